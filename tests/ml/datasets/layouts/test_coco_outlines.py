"""Which pixels COCO's outlines and run lengths mark, and which of them cannot be read."""

import json

import numpy as np
import pytest
from PIL import Image

from ml.datasets import DatasetError, check, find_layout, list_cases
from ml.datasets.loading import load_case
from ml.evaluation.cases import choose_cases
from ml.evaluation.run import read_case
from ml.evaluation.scoring import Failure
from tests.support.layouts import OUTLINED, SIDE, SQUARE, coco, codes, image


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
    assert codes(one([[1, 5, 40, 5, 40, 6], [8, 8, 19, 19, 19, 8, 8, 19]])) == []


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


def test_annotations_that_draw_nothing_are_a_warning_and_a_note_of_every_figure(tmp_path):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    coco(tmp_path / "_annotations.coco.json", ["a.png", "b.png"], [None, None])
    assert codes(tmp_path) == ["no_annotations"] and check(tmp_path).is_sound
    (note,) = choose_cases(tmp_path, None).notes
    assert note.startswith("_annotations.coco.json has no annotation of tumor for its 2 images")


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


def test_the_mask_is_the_union_of_all_annotations(tmp_path):
    image(tmp_path / "a.png")
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png"])
    document = json.loads(path.read_text())
    second = {"id": 9, "image_id": 0, "category_id": 1, "segmentation": [[30, 30, 33, 30, 33, 33, 30, 33]]}
    document["annotations"].append(second)
    path.write_text(json.dumps(document))
    assert list_cases(tmp_path)[0].truth().sum() == OUTLINED + 16
