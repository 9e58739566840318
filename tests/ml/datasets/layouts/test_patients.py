"""Whose the slices of a folder are."""

import shutil

import numpy as np
import pytest

from ml.datasets import DatasetError, find_layout, list_cases
from tests.support.layouts import image, pairs_beside
from tests.support.layouts import mask as draw_mask


def test_a_patient_folder_is_a_patient(patient_folders):
    cases = list_cases(patient_folders)
    assert [case.name for case in cases][:3] == ["anna_0", "anna_1", "anna_2"]
    assert sorted({case.patient for case in cases}) == ["anna", "ben", "cleo"]
    assert cases[0].pixels().shape == (32, 32, 3) and cases[0].pixels().dtype == np.uint8
    assert cases[0].truth().dtype == bool and cases[0].truth().sum() == 100


def test_only_the_patients_asked_for(patient_folders):
    assert {case.patient for case in list_cases(patient_folders, ["ben", "nobody"])} == {"ben"}
    with pytest.raises(DatasetError, match="nobody"):
        list_cases(patient_folders, ["nobody"])


def test_images_and_masks_take_the_patient_from_a_barcode_else_each_is_its_own_group(image_and_mask_folders):
    cases = list_cases(image_and_mask_folders)
    assert find_layout(image_and_mask_folders).name == "images and masks"
    assert [case.patient for case in cases] == ["TCGA_DU_6404_19850629"] * 2 + ["x1", "x2"]
    assert all(case.truth().sum() == 50 for case in cases)


def test_equal_names_in_train_and_valid_are_different_groups(coco_folder):
    shutil.copytree(coco_folder / "train", coco_folder / "valid")
    assert len({case.patient for case in list_cases(coco_folder)}) == 4


def test_pairs_in_a_folder_of_a_patient_are_left_out_by_name(tmp_path):
    pairs_beside(tmp_path / "anna", "1", "2")
    pairs_beside(tmp_path / "anna" / "old", "1", "2")
    layout = find_layout(tmp_path)
    assert len(layout.cases) == 2 and [group.count for group in layout.left_out] == [4]


def test_patients_that_differ_in_case_alone_fail_whatever_side_they_are_on(tmp_path):
    for place in ("train/P1", "test/p1", "test/P2"):
        pairs_beside(tmp_path / place, "1")
    layout = find_layout(tmp_path)
    faults = {case.patient: case.fault and case.fault.message for case in layout.cases}
    assert faults["P2"] is None and faults["P1"] == faults["p1"]
    assert faults["P1"].startswith("The names of patients P1 and p1 differ in case alone")


def test_patients_whose_accents_are_written_in_two_ways_are_told_so(tmp_path):
    for name in ("M\u00fcller", "Mu\u0308ller"):
        pairs_beside(tmp_path / name, "1")
    faults = {case.fault.message for case in find_layout(tmp_path).cases}
    assert len(faults) == 1 and "M\u00fcller and M\u00fcller differ in how their accents are written" in faults.pop()


def test_a_linked_folder_of_a_patient_is_one(tmp_path):
    pairs_beside(tmp_path / "elsewhere", "1")
    pairs_beside(tmp_path / "set" / "anna", "1")
    (tmp_path / "set" / "ben").symlink_to("../elsewhere")
    layout = find_layout(tmp_path / "set")
    assert [case.patient for case in layout.cases] == ["anna", "ben"] and not layout.problems


def test_folders_of_one_patient_in_subsets_are_patients(tmp_path):
    for side, patient in (("train", "anna"), ("test", "ben")):
        image(tmp_path / side / patient / "1.png")
        draw_mask(tmp_path / side / patient / "1_mask.png")
    layout = find_layout(tmp_path)
    assert [case.patient for case in layout.cases] == ["ben", "anna"]
    assert layout.sides == {"train": ("anna",), "validation": (), "test": ("ben",)}


def test_folders_of_one_name_in_images_and_masks_are_a_patient_or_a_side(tmp_path):
    for place in ("anna/1", "val/x", "train/TCGA_DU_6404_19850629_3"):
        image(tmp_path / "images" / f"{place}.png")
        draw_mask(tmp_path / "labels" / f"{place}.png")
    layout = find_layout(tmp_path)
    assert layout.name == "images and masks" and all(case.has_truth for case in layout.cases)
    assert [case.patient for case in layout.cases] == ["TCGA_DU_6404_19850629", "anna", "val/x"]
    shutil.rmtree(tmp_path / "images" / "anna")
    assert find_layout(tmp_path).sides == {"train": ("TCGA_DU_6404_19850629",), "validation": ("val/x",), "test": ()}


@pytest.mark.parametrize("side", ["", "train/"])
def test_patients_with_folders_of_images_and_masks_are_patients_and_it_is_said(tmp_path, side):
    for patient in ("anna", "ben"):
        for number in range(2):
            image(tmp_path / side / patient / "images" / f"{number}.tif")  # as long as the other's
            draw_mask(tmp_path / side / patient / "masks" / f"{number}.tif")
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"anna", "ben"} and layout.has_truth
    assert [problem.code for problem in layout.problems] == ["nested_patients"]
    assert any("2 folders with images and masks" in note for note in layout.notes)
    assert all(case.pixels().shape for case in layout.cases)
    image(tmp_path / side / "ben" / "images" / "cleo" / "1.tif")
    draw_mask(tmp_path / side / "ben" / "masks" / "cleo" / "1.tif")
    with pytest.raises(DatasetError, match="It holds 2 data sets"):
        find_layout(tmp_path)


def test_of_a_patients_folders_of_sequences_the_one_of_flair_is_taken(tmp_path):
    for patient in ("anna", "ben"):
        for sequence in ("T1", "t2_flair", "t1ce"):
            pairs_beside(tmp_path / patient / sequence, "1", "2")
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"anna", "ben"} and len(layout.cases) == 4
    assert all(case.image.parent.name == "t2_flair" and case.has_truth for case in layout.cases)
    (group,) = layout.left_out
    assert group.count == 16 and "another sequence than FLAIR" in group.message
    (one,) = {case.patient for case in find_layout(tmp_path / "anna").cases}
    assert one == "anna"


def test_patients_without_flair_are_no_several_data_sets(tmp_path):
    for patient in ("anna", "ben"):
        for sequence in ("t1", "t2"):
            pairs_beside(tmp_path / patient / sequence, "1")
    with pytest.raises(DatasetError, match=r"a folder for each sequence \(t1, t2\), and none is FLAIR's"):
        find_layout(tmp_path)
