"""What is read of COCO annotations, and that nothing that cannot be read becomes an image without tumor."""

import json

import numpy as np
import pytest
from PIL import Image

from ml.datasets import DatasetError, check, find_layout, list_cases
from ml.datasets.loading import load_case
from ml.evaluation.cases import choose_cases
from ml.evaluation.run import read_case
from ml.evaluation.scoring import Failure
from tests.support.layouts import SIDE, coco, image

SQUARE = [8, 8, 19, 8, 19, 19, 10, 19, 8, 17]  # without a corner: a whole one is a box that nobody drew
OUTLINED = 144 - 3


def codes(folder):
    report = check(folder)
    return [problem.code for problem in (*report.problems, *report.warnings)]


@pytest.fixture
def one(tmp_path):
    """A folder of one image with this segmentation, or these fields of its annotation."""

    def make(segmentation, /, **fields):
        image(tmp_path / "a.png")
        path = tmp_path / "_annotations.coco.json"
        coco(path, ["a.png"], [segmentation])
        document = json.loads(path.read_text())
        document["annotations"][0] |= fields
        path.write_text(json.dumps(document))
        return tmp_path

    return make


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        None,
        [[8, 8, 19, 8]],
        [[8, 8, 19, 8, float("nan"), 19], SQUARE],
        [SQUARE, "x"],
        [[500, 500, 600, 500, 600, 600]],
        [[0, 0, 900, 0, 9, 9]],
        {"counts": "abc", "size": [SIDE, SIDE]},
        {"counts": [5, 5], "size": [SIDE, SIDE]},
        "everything",
        [[1, 1, 40, 40, 20, 20]],
        [[5, 5, 5, 5, 5, 5]],
        [[0.1, 0.1, 0.5, 0.1, 0.5, 0.5]],
        [SQUARE, [0.1, 0.1, 0.5, 0.1, 0.5, 0.5]],
        {"counts": [SIDE * SIDE], "size": [SIDE, SIDE]},
    ],
    ids=[
        "box",
        "none",
        "two points",
        "nan",
        "text",
        "elsewhere",
        "other grid",
        "damaged code",
        "short",
        "word",
        "line",
        "point",
        "fractions",
        "some fractions",
        "empty runs",
    ],
)
def test_an_annotation_that_cannot_be_read_is_a_failed_slice_not_one_without_tumor(one, segmentation):
    folder = one([], segmentation=segmentation, bbox=[8, 8, 11, 11])
    (case,) = list_cases(folder)
    assert case.has_truth
    failure = read_case(case)
    assert isinstance(failure, Failure) and failure.code == "bad_annotation"
    assert failure.message.startswith("a.png has no mask that can be used: annotation 0 has ")
    with pytest.raises(DatasetError, match="no mask that can be used"):
        case.truth()
    report = check(folder)
    assert not report.is_sound and codes(folder) == ["bad_annotation"]
    assert report.analysis.slices == 0


def test_good_pieces_are_kept_and_a_piece_without_area_is_a_note(one):
    folder = one([SQUARE, [30, 30, 31, 31]])
    (case,) = list_cases(folder)
    assert case.truth().sum() == OUTLINED
    assert codes(folder) == ["stray_piece"] and check(folder).is_sound


def test_a_line_beside_good_pieces_is_left_out_with_a_note(one):
    folder = one([SQUARE, [1, 1, 40, 40, 20, 20]])
    assert list_cases(folder)[0].truth().sum() == OUTLINED and codes(folder) == ["stray_piece"]


def test_a_narrow_triangle_and_a_bow_tie_have_an_area(one):
    assert codes(one([[1, 1, 40, 1, 40, 2], [8, 8, 19, 19, 19, 8, 8, 19]])) == []


@pytest.mark.parametrize(
    "piece",
    [[1, 1, 40, 40, 20, 20.3], [5, 5, 30, 5, 30, 30, 30, 5], [5, 5, 40, 5, 40, 5.3, 5, 5.3]],
    ids=["nearly on one line", "forth and back", "sliver"],
)
def test_an_outline_as_narrow_as_a_line_draws_no_tumor(one, piece):
    assert codes(one([piece])) == ["bad_annotation"]
    assert codes(one([SQUARE, piece])) == ["stray_piece"]


def test_fractions_that_overshoot_a_side_are_fractions(one):
    report = check(one([[0.9, 0.9, 1.04, 0.9, 1.04, 1.02]]))
    assert "corners between 0 and 1" in report.problems[0].message


@pytest.mark.parametrize("box", [[8, 8, 19, 8, 19, 19, 8, 19], [8, 8, 8, 19, 19, 19, 19, 13, 19, 8, 8, 8]])
def test_boxes_written_as_outlines_are_counted_beside_every_figure(one, box):
    folder = one([box])
    assert codes(folder) == ["box_outlines"] and check(folder).is_sound
    (note,) = choose_cases(folder, None).notes
    assert note.startswith("1 of 1 annotations of tumor of _annotations.coco.json is a box")
    assert codes(one([box, SQUARE])) == []


def test_outlines_in_percent_or_of_smaller_pictures_stand_beside_every_figure(tmp_path):
    names = ["a.png", "b.png", "c.png"]
    for name in names:
        image(tmp_path / name)
    half = [value / 2 for value in SQUARE]
    coco(tmp_path / "_annotations.coco.json", names, [[half]] * 3)
    assert codes(tmp_path).count("outlines_in_corner") == 1
    assert any("within 24% of both sides, on 3 images" in note for note in find_layout(tmp_path).notes)
    coco(tmp_path / "_annotations.coco.json", names, [[half], [half], [SQUARE]])
    assert "outlines_in_corner" not in codes(tmp_path)


def test_a_missing_image_that_several_entries_name_is_one_file(tmp_path):
    image(tmp_path / "a.png")
    coco(tmp_path / "_annotations.coco.json", ["a.png", "gone.png", "gone.png", "lost.png"])
    (group,) = check(tmp_path).left_out
    assert group.count == 2 and group.files == ("gone.png", "lost.png")


def test_annotations_that_draw_nothing_are_a_warning_and_a_note_of_every_figure(tmp_path):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    coco(tmp_path / "_annotations.coco.json", ["a.png", "b.png"], [None, None])
    assert codes(tmp_path) == ["no_annotations"] and check(tmp_path).is_sound
    (note,) = choose_cases(tmp_path, None).notes
    assert note.startswith("_annotations.coco.json has no annotation of tumor for its 2 images")


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


def test_a_corner_outside_is_clipped_with_a_note(one):
    folder = one([[-3, 8, 19, 8, 19, 19, 10, 20, -3, 19]])
    (case,) = list_cases(folder)
    assert case.truth()[8:20, :20].all()
    (problem,) = check(folder).warnings
    assert problem.code == "clipped_outline" and "3.0 pixels" in problem.message and check(folder).is_sound


def test_a_corner_less_than_a_pixel_outside_is_no_matter(one):
    assert codes(one([[-0.6, 8, 19, 8, 19, 19]])) == []


def test_run_lengths_and_polygons_of_one_image_are_one_mask(one):
    wanted = np.zeros((SIDE, SIDE), bool)
    wanted[30:40, 2:9] = True
    flat = np.concatenate(([False], wanted.ravel(order="F"), [True]))
    counts = np.diff(np.concatenate(([0], np.flatnonzero(np.diff(flat))))).tolist()
    folder = one({"counts": counts, "size": [SIDE, SIDE]}, iscrowd=1)
    assert np.array_equal(list_cases(folder)[0].truth(), wanted)
    assert check(folder).is_sound and check(folder).analysis.tumor_slices == 1
    mixed = one([SQUARE, {"counts": counts}])
    assert list_cases(mixed)[0].truth().sum() == wanted.sum() + OUTLINED


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


@pytest.mark.parametrize(
    "name",
    [
        "non-tumour",
        "No Tumor",
        "Normal brain",
        "tumor-free",
        "non-tumor region",
        "No lesion",
        "healthy brain tissue",
        "White matter",
        "without tumor",
        "free of tumour",
        "artifact",
        "_artifact",
        "motionArtefacts",
        "susceptibility artifact",
        "__ignore__",
        "unlabelled",
        "Left ventricle",
        "blood vessels",
        "stroke",
    ],
)
def test_a_category_that_says_that_it_is_no_tumor_is_none(tmp_path, name):
    image(tmp_path / "a.png")
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png"], [[SQUARE]])
    document = json.loads(path.read_text())
    document["categories"] = [{"id": document["annotations"][0]["category_id"], "name": name}]
    path.write_text(json.dumps(document))
    assert not list_cases(tmp_path)[0].truth().any()


@pytest.mark.parametrize(
    "name",
    [
        "non-enhancing tumor",
        "not normal",
        "abnormal",
        "Brain tumor",
        "benign",
        "whole tumor",
        "0",
        "lesion no 2",
        "lesion with artifact",
    ],
)
def test_a_category_with_such_a_word_in_another_sense_is_tumor(tmp_path, name):
    image(tmp_path / "a.png")
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png"], [[SQUARE]])
    document = json.loads(path.read_text())
    document["categories"] = [{"id": document["annotations"][0]["category_id"], "name": name}]
    path.write_text(json.dumps(document))
    assert list_cases(tmp_path)[0].truth().any()


def test_outlines_on_an_image_with_an_orientation_tag_are_named(tmp_path):
    """The image is turned by its tag, the outlines are not: which way they were drawn nobody can say."""
    image(tmp_path / "a.png")
    coco(tmp_path / "_annotations.coco.json", ["a.png"], [[SQUARE]])
    assert check(tmp_path).warnings == ()
    exif = Image.Exif()
    exif[274] = 3
    Image.open(tmp_path / "a.png").save(tmp_path / "a.png", exif=exif)
    assert [warning.code for warning in check(tmp_path).warnings] == ["mask_orientation"]
    assert load_case(list_cases(tmp_path)[0]).mask_codes == ("mask_orientation",)


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


def test_categories_are_listed_and_those_that_are_no_tumor_do_not_count(tmp_path):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png", "b.png"])
    document = json.loads(path.read_text())
    document["categories"] = [{"id": 1, "name": "Glioma"}, {"id": 2, "name": "No_Tumor"}, {"id": 3, "name": "other"}]
    document["annotations"][1]["category_id"] = 2
    path.write_text(json.dumps(document))
    report = check(tmp_path)
    found = [(category.name, category.annotations, category.is_tumor) for category in report.categories]
    assert found == [("Glioma", 1, True), ("No_Tumor", 1, False), ("other", 0, True)]
    assert [case.truth().any() for case in list_cases(tmp_path)] == [True, False]


def test_the_mask_is_the_union_of_all_annotations(tmp_path):
    image(tmp_path / "a.png")
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png"])
    document = json.loads(path.read_text())
    second = {"id": 9, "image_id": 0, "category_id": 1, "segmentation": [[30, 30, 33, 30, 33, 33, 30, 33]]}
    document["annotations"].append(second)
    path.write_text(json.dumps(document))
    assert list_cases(tmp_path)[0].truth().sum() == OUTLINED + 16


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
