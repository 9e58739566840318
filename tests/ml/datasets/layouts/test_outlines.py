"""Outlines of LabelMe, CVAT and YOLO: the truth of COCO's by the same rules."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.archive import ArchiveLimits, unpack
from ml.datasets.layouts.yolo import read_names
from ml.datasets.loading import load_case
from tests.support.evaluations import zip_of
from tests.support.layouts import (
    SIDE,
    SQUARE,
    coco,
    cvat_polygon,
    cvat_xml,
    image,
    labelme,
    mask,
    pairs_of,
    yolo,
    yolo_line,
)

BRAIN = [1, 1, 39, 2, 38, 39, 2, 38]


def write_labelme(folder: Path, *shapes: dict[str, object]) -> None:
    labelme(folder / "a.json", *shapes)


def write_cvat(folder: Path, *shapes: str) -> None:
    cvat_xml(folder / "annotations.xml", {"a.png": "".join(shapes)})


def write_yolo(folder: Path, *lines: str) -> None:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "a.png").rename(folder / "images" / "a.png")
    (folder / "data.yaml").write_text("nc: 2\nnames: ['Tumor', 'brain']\n")
    yolo(folder / "labels" / "a.txt", *lines)


def labelme_polygon(outline: list[int], label: str = "Tumor") -> dict[str, object]:
    return {"label": label, "points": pairs_of(outline), "shape_type": "polygon"}


def yolo_polygon(outline: list[int], label: str = "Tumor") -> str:
    return yolo_line(outline, ["Tumor", "brain"].index(label))


KINDS: dict[str, tuple[Callable[..., None], Callable[..., object]]] = {
    "LabelMe": (write_labelme, labelme_polygon),
    "CVAT": (write_cvat, cvat_polygon),
    "YOLO": (write_yolo, yolo_polygon),
}
ROWS = "0, 1, 1, 1, 1"  # of two rows of two pixels, all but the third


@pytest.mark.parametrize("kind", KINDS)
def test_outlines_are_the_truth_of_coco(tmp_path: Path, kind: str) -> None:
    write, polygon = KINDS[kind]
    for name in ("own", "coco"):
        image(tmp_path / name / "a.png")
    write(tmp_path / "own", polygon(SQUARE), polygon(BRAIN, "brain"))
    coco(tmp_path / "coco" / "_annotations.coco.json", ["a.png"], [[SQUARE]])
    report = check(tmp_path / "own")
    assert (report.layout, report.problems, report.left_out) == (kind, (), ())
    assert [(one.name, one.annotations, one.is_tumor) for one in report.categories] == [
        ("brain", 1, False),
        ("Tumor", 1, True),
    ]
    (own,), (other,) = (find_layout(tmp_path / name).cases for name in ("own", "coco"))
    np.testing.assert_array_equal(load_case(own).truth, load_case(other).truth)
    assert own.outlines == other.outlines


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_an_outline_says_that_there_is_no_tumor(tmp_path: Path, kind: str) -> None:
    write, polygon = KINDS[kind]
    image(tmp_path / "a.png")
    write(tmp_path, polygon(BRAIN, "brain"))
    (case,) = find_layout(tmp_path).cases
    assert case.fault is None and case.outlines == ()


@pytest.mark.parametrize(
    ("kind", "shape", "said"),
    [
        ("LabelMe", {"label": "Tumor", "points": [[8, 8], [19, 19]], "shape_type": "rectangle"}, "a box alone"),
        ("LabelMe", {"label": "Tumor", "points": [[8, 8], [9, 9]], "shape_type": "circle"}, "kind 'circle'"),
        ("LabelMe", {"label": "Tumor", "points": [[8, 8], [9, 9, 9]]}, "not a list of pairs"),
        ("LabelMe", {"points": [[8, 8], [9, 9]]}, "no polygon of three points"),
        ("LabelMe", "no object", "not a list of pairs"),
        ("CVAT", '<box label="Tumor" xtl="1" ytl="1" xbr="9" ybr="9"/>', "a box alone"),
        ("CVAT", '<polyline label="Tumor" points="1,1;9,9"/>', "kind 'polyline'"),
        ("CVAT", '<ellipse label="Tumor" cx="9" cy="9" rx="5" ry="4"/>', "kind 'ellipse'"),
        ("CVAT", '<tag label="Tumor"/>', "kind 'tag'"),
        ("CVAT", '<polygon label="Tumor" points="1,x;9,9"/>', "not a list of pairs"),
        ("CVAT", '<mask label="Tumor" rle="0, 9" left="39" top="0" width="3" height="3"/>', "without counts"),
        ("YOLO", "0 0.5 0.5 0.2 0.2", "a box alone"),
        ("YOLO", "0 0.5 0.5 0.2 0.2 0.9", "not a list of pairs"),
        ("YOLO", "0 100 100 110 100 110 120 100 120", "outside the image"),
        ("YOLO", "0 0.1 0.1 x 0.2 0.3 0.3", "not a list of pairs"),
    ],
)
def test_what_is_no_outline_fails_its_image_and_is_never_without_tumor(
    tmp_path: Path, kind: str, shape: object, said: str
) -> None:
    write, polygon = KINDS[kind]
    image(tmp_path / "a.png")
    write(tmp_path, polygon(SQUARE), shape)
    if kind == "CVAT" and "tag" in str(shape):  # of an image that nothing is drawn on
        write(tmp_path, shape)
    (case,) = find_layout(tmp_path).cases
    assert case.fault is not None and case.fault.code == "bad_annotation" and said in case.fault.message
    assert {problem.code for problem in check(tmp_path).problems} == {"bad_annotation"}


def test_masks_of_cvat_are_read_along_their_rows(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    write_cvat(tmp_path, '<mask label="Tumor" source="manual" rle="0, 2, 1, 1" left="5" top="7" width="2" height="2"/>')
    (case,) = find_layout(tmp_path).cases
    wanted = np.zeros((SIDE, SIDE), bool)
    wanted[7, 5:7] = wanted[8, 6] = True
    np.testing.assert_array_equal(load_case(case).truth, wanted)


@pytest.mark.parametrize(
    "text", ["<annotations><track/></annotations>", "<annotations>", "<!DOCTYPE a><annotations/>", "<annotations/>"]
)
def test_what_cvat_did_not_write_so_is_refused_or_no_annotations(tmp_path: Path, text: str) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(DatasetError, match=r"annotations\.xml"):
        check(tmp_path)


@pytest.mark.parametrize("place", ["a.json", "annotations/a.json", "labels/a.json", "json/a.json"])
def test_labelmes_files_may_lie_beside_the_folder_of_images(tmp_path: Path, place: str) -> None:
    image(tmp_path / ("a.png" if place == "a.json" else "images/a.png"))
    labelme(tmp_path / place, labelme_polygon(SQUARE), imagePath="..\\images\\a.png")
    layout = find_layout(tmp_path)
    assert (layout.name, layout.problems, len(layout.cases)) == ("LabelMe", (), 1) and layout.has_truth


def test_a_damaged_file_of_one_image_fails_this_one_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        image(tmp_path / f"{name}.png")
        labelme(tmp_path / f"{name}.json", labelme_polygon(SQUARE))
    (tmp_path / "b.json").write_text((tmp_path / "b.json").read_text()[:-9])
    faults = {case.name: case.fault for case in find_layout(tmp_path).cases}
    assert faults["a"] is None and faults["b"] is not None and "b.json cannot be read as JSON" in faults["b"].message


def test_two_files_that_name_one_image_fail_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        image(tmp_path / f"{name}.png")
        labelme(tmp_path / f"{name}.json", labelme_polygon(SQUARE), imagePath="a.png")
    layout = find_layout(tmp_path)
    assert {case.name: case.fault is not None for case in layout.cases if case.has_truth} == {"a": True}
    assert {problem.code for problem in layout.problems} == {"doubled_image", "missing_mask"}


def test_images_with_masks_keep_them_beside_such_files(tmp_path: Path) -> None:
    image(tmp_path / "P" / "a.png")
    mask(tmp_path / "P" / "a_mask.png")
    labelme(tmp_path / "P" / "a.json", labelme_polygon(SQUARE))
    layout = find_layout(tmp_path)
    assert layout.name == "patient folders" and [group.files for group in layout.left_out] == [("P/a.json",)]


@pytest.mark.parametrize("place", ["images/{}", "{}/images"])
def test_yolos_sides_are_kept(tmp_path: Path, place: str) -> None:
    for side in ("train", "val"):
        folder = tmp_path / place.format(side)
        image(folder / "a.png")
        yolo(Path(str(folder).replace("images", "labels")) / "a.txt", yolo_line(SQUARE))
    (tmp_path / "data.yaml").write_text("names:\n- tumor\n")
    layout = find_layout(tmp_path)
    assert layout.sides == {"train": ("train/a",), "validation": ("val/a",), "test": ()}
    assert [(one.name, one.annotations) for one in layout.categories] == [("tumor", 2)]


@pytest.mark.parametrize(
    "text",
    [
        "names: [tumor, 'no tumor']",
        "nc: 2\nnames:\n  - tumor\n  - no tumor  # healthy\n",
        'names:\n  0: tumor\n  1: "no tumor"\nnc: 2',
        "names: {0: tumor, 1: no tumor}",
        "names: ['tumor',\n  'no tumor']\ntrain: images",
    ],
)
def test_names_of_classes_are_read_in_every_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    assert read_names(tmp_path / "data.yaml") == {"0": "tumor", "1": "no tumor"}


def test_texts_that_are_no_outlines_leave_images_without_truth(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    yolo(tmp_path / "labels" / "a.txt", "a glioma, seen in 2019")
    assert not find_layout(tmp_path).has_truth


@pytest.mark.parametrize("kind", KINDS)
def test_a_zip_keeps_them(tmp_path: Path, kind: str) -> None:
    write, polygon = KINDS[kind]
    image(tmp_path / "set" / "a.png")
    write(tmp_path / "set", polygon(SQUARE))
    (tmp_path / "set.zip").write_bytes(zip_of(tmp_path / "set"))
    (tmp_path / "unpacked").mkdir()
    unpack(tmp_path / "set.zip", tmp_path / "unpacked", ArchiveLimits(100, 10**7, 10**8))
    layout = find_layout(tmp_path / "unpacked")
    assert layout.name == kind and layout.has_truth and not layout.problems


def test_labels_of_yolo_beside_their_images_are_told_where_they_belong(tmp_path: Path) -> None:
    """As darknet keeps them (CVAT's "YOLO 1.1")."""
    image(tmp_path / "obj_train_data" / "a.png")
    yolo(tmp_path / "obj_train_data" / "a.txt", "0 0.5 0.5 0.2 0.2")
    with pytest.raises(DatasetError, match="outlines are where images lie in `images`, labels in `labels`"):
        check(tmp_path)


def test_coco_of_fiftyone_is_read_with_its_folder_of_data(tmp_path: Path) -> None:
    image(tmp_path / "data" / "a.png")
    coco(tmp_path / "labels.json", ["a.png"])
    layout = find_layout(tmp_path)
    assert (layout.name, layout.has_truth, layout.left_out) == ("COCO", True, ())


def test_boxes_that_are_turned_are_boxes(tmp_path: Path) -> None:
    """YOLO's oriented boxes are four corners, as an outline may be."""
    image(tmp_path / "images" / "a.png")
    yolo(tmp_path / "labels" / "a.txt", "0 0.5 0.2 0.8 0.5 0.6 0.7 0.3 0.4")
    (note,) = find_layout(tmp_path).problems
    assert note.code == "box_outlines" and "is a box, rectangles and no outlines" in note.message
    yolo(tmp_path / "labels" / "a.txt", "0 0.5 0.2 0.8 0.5 0.6 0.75 0.3 0.4")
    assert find_layout(tmp_path).problems == ()


def test_an_image_without_annotations_is_of_the_patient_in_its_name(tmp_path: Path) -> None:
    """Each was one of its own, and names with a barcode were said to name nobody."""
    for number in (1, 2, 3):
        image(tmp_path / f"TCGA_DU_640{number % 2}_19850629_{number}.png")
    labelme(tmp_path / "TCGA_DU_6401_19850629_1.json", {"label": "tumor", "points": pairs_of(SQUARE)})
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"TCGA_DU_6400_19850629", "TCGA_DU_6401_19850629"}
    assert {problem.code for problem in layout.problems} == {"missing_mask"}


def test_images_of_a_project_of_cvat_lie_in_the_folders_of_their_subsets(tmp_path: Path) -> None:
    """`images/Train/a.png` and `images/Test/a.png` have the name `a.png` and a subset: refused as not there."""
    for name in ("Train/a", "Test/a", "Test/b"):
        image(tmp_path / "images" / f"{name}.png")
    cvat_xml(tmp_path / "annotations.xml", {"a.png": cvat_polygon(SQUARE), "b.png": ""}, ("Train", "Test"))
    (tmp_path / "images" / "b.png").write_bytes((tmp_path / "images" / "Test" / "b.png").read_bytes())
    report = check(tmp_path)
    assert {one.patient: one.tumor_slices for one in report.patients} == {
        "Train/a": 1,
        "Test/a": 1,
        "Test/b": 0,
        "b": 0,
    }
    assert "found_by_name" not in {one.code for one in report.warnings}
