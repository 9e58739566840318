"""Folders and files that are there twice."""

import shutil

import pytest

from ml.datasets import check, find_layout
from tests.support.layouts import image, pairs_beside
from tests.support.layouts import mask as draw_mask
from tests.support.volume_sets import write_brats


@pytest.mark.parametrize("inner", ["set", "anna/anna", "copy/of/set"])
def test_a_folder_that_lies_in_itself_again_is_named_as_that(tmp_path, inner):
    pairs_beside(tmp_path / "set" / "anna", "1", "2")
    pairs_beside(tmp_path / "set" / "ben", "1")
    original = tmp_path / "set" / ("anna" if inner == "anna/anna" else ".")
    copy = tmp_path / "copy" if inner == "anna/anna" else tmp_path / "elsewhere"
    shutil.copytree(original, copy)
    shutil.copytree(copy, tmp_path / "set" / inner)
    report = check(tmp_path / "set")
    (group,) = report.left_out
    assert report.is_sound and report.analysis.slices == 3
    assert (group.code, group.count) == ("doubled_folder", 4 if inner == "anna/anna" else 6)


@pytest.mark.parametrize("copy", ["ben (copy)", "ben - Copy", "ben_copy 2", "Ben (1)"])
def test_a_copy_of_a_folder_beside_it_is_left_out_by_name(tmp_path, copy):
    places = {"patient folders": ("", ""), "images and masks": ("images", "masks")}
    for layout, (images, masks) in places.items():
        root = tmp_path / layout
        for patient in ("anna", "ben"):
            image(root / images / patient / "1.png")
            draw_mask(root / masks / patient / "1_mask.png")
        shutil.copytree(root / images / "ben", root / images / copy)
        report = check(root)
        assert report.layout == layout and report.problems == () and report.analysis.patients == 2
        (doubled,) = [group for group in report.left_out if group.code == "doubled_folder"]
        assert "A copy of the folder ben" in doubled.message
        image(root / images / copy / "1.png")  # another slice: now it is a patient
        assert any(case.patient == copy for case in find_layout(root).cases)


def test_copies_of_a_patients_volumes_are_left_out(tmp_path):
    write_brats(tmp_path, "P1")
    shutil.copytree(tmp_path / "P1", tmp_path / "P1 - Copy")
    report = check(tmp_path)
    assert (report.layout, report.problems, report.analysis.patients) == ("BraTS", (), 1)
    assert [group.count for group in report.left_out] == [2]
