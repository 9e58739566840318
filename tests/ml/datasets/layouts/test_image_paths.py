"""A `file_name` of annotations that leads nowhere is known by its last part, where that is one image's name alone."""

import json

import pytest

from ml.datasets import DatasetError, check, find_layout, list_cases
from ml.evaluation.cases import choose_cases
from tests.support.layouts import coco, image, mask

ELSEWHERE = [
    r"C:\data\x.png",
    r"\\server\share\x.png",
    "file:///data/x.png",
    "file:///C:/data/x.png",
    "/data/x.png",
    "../x.png",
    "images/x.png",
    "https://host/data/x.png",
    "https://host/data/x.png?token=a/b.png#1",
    "/data/local-files/?d=set/x.png",
    r"file:///C:/data%5Cx.png",
    "gs://bucket/X.PNG",
]


@pytest.mark.parametrize("name", [*ELSEWHERE, "https://host/a%20b/x.png"])
def test_an_image_is_found_by_its_name_alone_and_it_is_said(tmp_path, name):
    for one in ("x.png", "y.png"):
        image(tmp_path / one)
    coco(tmp_path / "_annotations.coco.json", [name, "y.png"])
    assert [case.image.name for case in list_cases(tmp_path) if case.truth().any()] == ["x.png", "y.png"]
    report = check(tmp_path)
    (finding,) = report.warnings
    assert report.is_sound and finding.code == "found_by_name"
    assert finding.message.startswith("1 image is named in _annotations.coco.json by paths that are not there (the")
    assert repr(name) in finding.message
    (note,) = choose_cases(tmp_path, None).notes
    assert "found_by_name: 1" in note


@pytest.mark.parametrize("name", ["./x.png", "data/../x.png", ".\\x.png", "data//..//x.png"])
def test_a_path_within_the_folder_is_read_without_a_word(tmp_path, name):
    image(tmp_path / "x.png")
    coco(tmp_path / "_annotations.coco.json", [name])
    assert list_cases(tmp_path)[0].truth().any() and check(tmp_path).warnings == ()


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_that_two_images_have_is_none(tmp_path, name):
    for one in ("a/x.png", "b/x.png", "y.png"):
        image(tmp_path / one)
    coco(tmp_path / "_annotations.coco.json", [name, "y.png"])
    assert [case.image.name for case in list_cases(tmp_path)] == ["y.png"]
    groups = {group.code: group for group in check(tmp_path).left_out}
    assert "several images have the last part of its name" in groups["missing_image"].message
    assert check(tmp_path).analysis.slices == 1


def test_two_entries_that_end_in_one_name_are_none_and_cost_the_right_one_nothing(tmp_path):
    for one in ("x.png", "y.png"):
        image(tmp_path / one)
    coco(tmp_path / "_annotations.coco.json", ["C:\\a\\x.png", "C:\\b\\x.png", "y.png"])
    assert [case.image.name for case in list_cases(tmp_path)] == ["y.png"]
    (group,) = [group for group in check(tmp_path).left_out if group.code == "missing_image"]
    assert group.count == 2 and "other entries end in the name of the same image" in group.message
    coco(tmp_path / "_annotations.coco.json", ["C:\\a\\x.png", "x.png", "y.png"])
    assert [case.image.name for case in list_cases(tmp_path)] == ["x.png", "y.png"]


def test_a_mask_is_no_image_that_lost_its_folder(tmp_path):
    image(tmp_path / "y.png")
    mask(tmp_path / "masks" / "x.png")
    coco(tmp_path / "_annotations.coco.json", ["C:\\data\\x.png", "y.png"])
    assert [case.image.name for case in list_cases(tmp_path)] == ["y.png"]


def test_each_file_of_annotations_looks_in_its_own_subset_first(tmp_path):
    names = {}
    for side in ("train", "val"):
        image(tmp_path / "images" / side / "x.png")
        coco(tmp_path / "annotations" / f"instances_{side}.json", [f"D:\\{side}\\x.png"])
        names[side] = f"images/{side}/x.png"
    found = [case.image.relative_to(tmp_path).as_posix() for case in list_cases(tmp_path)]
    assert found == list(names.values())


def test_where_no_name_is_there_it_is_said_how_it_is_written(tmp_path):
    image(tmp_path / "other.png")
    coco(tmp_path / "_annotations.coco.json", ["C:\\data\\x.png"])
    with pytest.raises(DatasetError, match="is the path of the image below the folder of the annotations") as caught:
        find_layout(tmp_path)
    assert repr("C:\\data\\x.png") in str(caught.value)


def test_an_absolute_path_in_the_json_opens_nothing_outside(tmp_path):
    image(tmp_path / "outside" / "x.png")
    image(tmp_path / "set" / "y.png")
    path = tmp_path / "set" / "_annotations.coco.json"
    coco(path, [str(tmp_path / "outside" / "x.png"), "../outside/x.png", "y.png"])
    assert len(json.loads(path.read_text())["images"]) == 3
    assert [case.image.name for case in list_cases(tmp_path / "set")] == ["y.png"]
