"""What is read of COCO annotations, and that nothing that cannot be read becomes an image without tumor."""

import json

import pytest
from PIL import Image

from ml.datasets import DatasetError, check, find_layout, list_cases
from ml.evaluation.cases import choose_cases
from ml.evaluation.run import read_case
from ml.evaluation.scoring import Failure
from tests.support.layouts import OUTLINED, SIDE, SQUARE, coco, codes, image


def test_a_missing_image_that_several_entries_name_is_one_file(tmp_path):
    image(tmp_path / "a.png")
    coco(tmp_path / "_annotations.coco.json", ["a.png", "gone.png", "gone.png", "lost.png"])
    (group,) = check(tmp_path).left_out
    assert group.count == 2 and group.files == ("gone.png", "lost.png")


@pytest.mark.parametrize("key", ["images", "annotations"])
def test_one_entry_that_is_no_object_is_named_and_costs_what_it_may_belong_to(tmp_path, key):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png", "b.png"], [[SQUARE], None])
    document = json.loads(path.read_text())
    document[key].append(None)
    path.write_text(json.dumps(document))
    (problem,) = check(tmp_path).problems
    place = len(document[key]) - 1
    assert problem.message == f"number {place} of `{key}` is no object; correct or remove it."
    failed = {case.image.name for case in list_cases(tmp_path) if isinstance(read_case(case), Failure)}
    assert failed == ({"b.png"} if key == "annotations" else set())
    notes = choose_cases(tmp_path, None).notes  # what is lost may be of an image that has others
    assert ["may lack them" in note for note in notes] == ([True, False] if key == "annotations" else [False])
    assert "1 finding that these figures rest on (bad_annotation: 1)" in notes[-1] and problem.message in notes[-1]


def test_an_annotation_without_an_image_id_names_none(tmp_path):
    image(tmp_path / "a.png")
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png"])
    path.write_text(path.read_text().replace('"image_id": 0, ', ""))
    assert check(tmp_path).problems[0].message.startswith("annotation 0 names no image;")


@pytest.mark.parametrize("key", ["0", " 0", 0.0])
def test_ids_may_be_text_or_broken_numbers(one, key):
    folder = one([SQUARE], image_id=key)
    assert list_cases(folder)[0].truth().sum() == OUTLINED and codes(folder) == []


@pytest.mark.parametrize("key", [99, None, "x"])
def test_an_annotation_of_no_image_leaves_no_image_without_tumor(tmp_path, key):
    for name in ("a.png", "b.png", "c.png"):
        image(tmp_path / name)
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png", "b.png", "c.png"], [[SQUARE], [SQUARE]])
    document = json.loads(path.read_text())
    document["annotations"][1]["image_id"] = key
    path.write_text(json.dumps(document))

    seen = {case.image.name: read_case(case) for case in list_cases(tmp_path)}

    assert not isinstance(seen["a.png"], Failure)
    for name in ("b.png", "c.png"):  # the annotation may be of either
        assert isinstance(seen[name], Failure) and seen[name].code == "bad_annotation"
        assert "1 annotation names no image of _annotations.coco.json" in seen[name].message
    assert "bad_annotation" in codes(tmp_path)


def test_the_annotations_of_an_entry_without_a_name_are_of_no_other_image(tmp_path):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png", "b.png"], [[SQUARE]])
    document = json.loads(path.read_text())
    document["images"][0]["file_name"] = None
    path.write_text(json.dumps(document))
    [case] = [case for case in list_cases(tmp_path) if case.has_truth]
    assert case.image.name == "b.png"
    assert not isinstance(read_case(case), Failure)


def test_two_entries_of_one_file_are_named_and_fail(tmp_path):
    image(tmp_path / "a.png")
    coco(tmp_path / "_annotations.coco.json", ["a.png", "A.PNG"], [[SQUARE], None])
    (case,) = list_cases(tmp_path)
    assert "2 entries, of the ids 0, 1" in read_case(case).message
    assert codes(tmp_path) == ["doubled_image"]


def test_an_image_in_two_files_of_annotations_is_named_and_fails(tmp_path):
    image(tmp_path / "images" / "a.png")
    for name in ("instances_train", "instances_val"):
        coco(tmp_path / "annotations" / f"{name}.json", ["a.png"])
    (case,) = list_cases(tmp_path)
    assert "two files of annotations" in read_case(case).message
    assert codes(tmp_path) == ["doubled_image"]


def test_one_id_of_two_images_fails_both(tmp_path):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png", "b.png"])
    document = json.loads(path.read_text())
    document["images"][1]["id"] = "0"
    path.write_text(json.dumps(document))
    assert all(isinstance(read_case(case), Failure) for case in list_cases(tmp_path))


def test_an_entry_without_a_size_fails_its_image(tmp_path):
    image(tmp_path / "a.png")
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png"])
    path.write_text(path.read_text().replace(f'"height": {SIDE}, ', ""))
    assert "states no size" in read_case(list_cases(tmp_path)[0]).message


def test_annotations_that_name_no_image_that_is_there_are_said(tmp_path):
    image(tmp_path / "other.png")
    coco(tmp_path / "_annotations.coco.json", ["a.png", "b.png"])
    with pytest.raises(DatasetError, match=r"names 2 images, and none of them is there \(the first: 'a.png'\)"):
        find_layout(tmp_path)


def test_a_file_name_may_be_percent_encoded(tmp_path):
    image(tmp_path / "a b.png")
    coco(tmp_path / "_annotations.coco.json", ["a%20b.png"])
    assert list_cases(tmp_path)[0].truth().any() and codes(tmp_path) == []


def test_a_file_name_may_have_folders_and_must_not_lead_out(tmp_path):
    image(tmp_path / "set" / "deep" / "a.png")
    image(tmp_path / "outside.png")
    coco(tmp_path / "set" / "_annotations.coco.json", ["deep\\a.png", "../outside.png", "/outside.png", "a\0b.png"])
    (case,) = list_cases(tmp_path / "set")
    assert (case.patient, case.name) == ("deep/a", "a")
    assert codes(tmp_path / "set").count("bad_annotation") == 6


def test_annotations_with_a_byte_order_mark_are_read(tmp_path):
    image(tmp_path / "a.png")
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png"])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list_cases(tmp_path)[0].truth().any()


def test_an_image_of_another_size_than_its_entry_is_named(one):
    folder = one([SQUARE])
    Image.new("RGB", (SIDE, 60), "gray").save(folder / "a.png")
    assert codes(folder) == ["unequal_size"]
