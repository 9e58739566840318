"""Which slices, masks and patients are found in a folder."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ml.datasets import DatasetError, check, find_layout, list_cases
from tests.support.layouts import coco, image, loose_pair, pairs_beside
from tests.support.layouts import mask as draw_mask


def test_coco_polygons_become_masks_and_an_image_without_one_has_an_empty_mask(coco_folder):
    with_tumor, without = list_cases(coco_folder)
    assert (with_tumor.patient, without.patient) == ("train/a", "train/b")
    assert with_tumor.truth()[4:14, 4:14].all() and with_tumor.truth().sum() == 100
    assert not without.truth().any() and without.has_truth


def test_the_folder_with_the_annotations_itself_is_a_data_set(coco_folder):
    assert [case.patient for case in list_cases(coco_folder / "train")] == ["a", "b"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_other_image_formats_with_png_masks(tmp_path, suffix):
    (tmp_path / "p").mkdir()
    Image.new("RGB", (32, 32), "grey").save(tmp_path / "p" / f"s.{suffix}")
    Image.new("1", (32, 32), 1).save(tmp_path / "p" / "s_mask.png")
    (case,) = list_cases(tmp_path)
    assert case.pixels().shape == (32, 32, 3) and case.truth().all()


def test_a_small_tumor_of_a_16_bit_mask_is_not_lost(patient_folders):
    mask = patient_folders / "anna" / "anna_0_mask.tif"
    values = np.zeros((32, 32), dtype=np.uint16)
    values[5, 5] = 1
    Image.fromarray(values).save(mask)
    assert list_cases(patient_folders)[0].truth().sum() == 1


def test_hidden_files_do_not_count(patient_folders):
    (patient_folders / "anna" / "._anna_0.tif").write_bytes(b"resource fork")
    assert len(list_cases(patient_folders)) == 12


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_no_folder_and_an_empty_one_are_said(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=name):
        list_cases(tmp_path / name)


def test_a_damaged_image_is_named(patient_folders):
    (patient_folders / "anna" / "anna_0.tif").write_bytes(b"II*\0" + bytes(50))
    with pytest.raises(DatasetError, match=r"anna/anna_0\.tif cannot be read"):
        list_cases(patient_folders)[0].pixels()


def test_a_file_that_has_gone_is_not_called_damaged(patient_folders):
    """Whose disk was pulled out was told to replace or remove each of its slices."""
    case = list_cases(patient_folders)[0]
    case.image.unlink()
    with pytest.raises(DatasetError, match=r"^anna/anna_0\.tif is no longer there: put it back, or look whether"):
        case.pixels()
    case.image.mkdir()
    with pytest.raises(DatasetError, match=r"^anna/anna_0\.tif cannot be read \(Is a directory\): look after its disk"):
        case.pixels()


def test_a_file_that_is_no_image_is_named_without_the_folders_around_the_data_set(tmp_path):
    path = tmp_path / "anna" / "a_0.webp"
    image(path)
    draw_mask(tmp_path / "anna" / "a_0_mask.png")
    [case] = list_cases(tmp_path)
    path.write_bytes(b"RIFF\0\0\0\0WEBPbroken")
    with pytest.raises(DatasetError, match=r"anna/a_0\.webp cannot be read") as refused:
        case.pixels()
    assert str(tmp_path) not in str(refused.value) and "a_0.webp'" in str(refused.value)


def test_accents_are_the_same_however_they_are_composed(tmp_path):
    image(tmp_path / "p" / "Mu\u0308ller.png")
    draw_mask(tmp_path / "p" / "M\u00fcller_mask.png")
    (case,) = list_cases(tmp_path)
    assert case.truth().any()


def test_names_that_differ_in_case_alone_keep_their_own_masks(tmp_path):
    for stem in ("a", "A"):
        image(tmp_path / "p" / f"{stem}.png")
    draw_mask(tmp_path / "p" / "A_mask.png")
    layout = find_layout(tmp_path)
    assert [(case.name, case.has_truth) for case in layout.cases] == [("A", True), ("a", False)]


def test_two_different_data_sets_are_refused_by_name(tmp_path):
    for name in ("first", "second"):
        image(tmp_path / name / "p" / f"{name}.png")
        draw_mask(tmp_path / name / "p" / f"{name}_mask.png")
    with pytest.raises(DatasetError, match=r"It holds 2 data sets \(first, second\); give the folder of one"):
        find_layout(tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            ["train/images/a.jpg", "train/labels/a.txt"],
            ["1 .jpg in train/images, 1 .txt in train/labels", "images and"],
        ),
        (["p/a.nii.gz", "p/b.nii.gz"], ["2 .nii.gz in p", "The layouts of volumes are BraTS"]),
        (["p/a.mha", "p/b.seg.nrrd"], ["1 .mha in p, 1 .nrrd in p", "None of these is read", "or volumes as NIfTI"]),
        (["a.png", "result.json"], ["1 .json, 1 .png", "The nearest layout is COCO"]),
        (["p/a_mask.png"], ["1 .png in p", "put each mask beside its image"]),
        (["notes", "b.txt"], ["1 file without an ending, 1 .txt", "The layouts are patient folders"]),
    ],
)
def test_of_an_unknown_layout_it_is_said_what_was_found_and_which_is_nearest(tmp_path, files, said):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match="no data set in a layout that is known") as caught:
        list_cases(tmp_path)
    assert all(words in str(caught.value) for words in said), str(caught.value)


def test_a_loose_pair_beside_the_patients_is_no_data_set_of_its_own(tmp_path):
    """Given the folder itself or one around it, as a browser's choice of a folder is."""
    loose_pair(tmp_path / "around")
    inner = find_layout(tmp_path / "around" / "set")
    assert [case.patient for case in inner.cases] == ["example", "anna", "anna", "ben", "ben"]
    for around in (tmp_path / "around", tmp_path):
        assert find_layout(around).cases == inner.cases and find_layout(around).folder == inner.folder


def test_a_set_whose_download_came_in_parts_is_told_to_be_one(tmp_path):
    """It was said to give one of the parts, which has some of the masks of its images."""
    for place, names in (("set-001/lgg/p", ("1", "2", "3_mask")), ("set-002/lgg/p", ("1_mask", "3"))):
        for name in names:
            (draw_mask if name.endswith("_mask") else image)(tmp_path / place / f"{name}.png")
    pairs_beside(tmp_path / "set-001" / "lgg" / "q", "4")
    pairs_beside(tmp_path / "set-002" / "lgg" / "q", "5")
    with pytest.raises(DatasetError, match=r"one data set in 2 parts.*Move the files of all parts into one") as caught:
        find_layout(tmp_path)
    assert "give the folder of one" not in str(caught.value)
    (tmp_path / "whole").mkdir()
    for part in ("set-001", "set-002"):
        shutil.copytree(tmp_path / part / "lgg", tmp_path / "whole", dirs_exist_ok=True)
        shutil.rmtree(tmp_path / part)
    layout = find_layout(tmp_path)
    assert sum(case.has_truth for case in layout.cases) == 4


@pytest.mark.parametrize("kind", ["patient folders", "COCO"])
def test_a_loose_pair_beside_a_data_set_is_named_and_neither_is_taken(tmp_path, kind):
    pairs_beside(tmp_path, "example")
    for name in ("1", "2", "3"):
        if kind == "COCO":
            image(tmp_path / "set" / f"{name}.png")
        else:
            pairs_beside(tmp_path / "set" / name, "1", "2")
    if kind == "COCO":
        coco(tmp_path / "set" / "_annotations.coco.json", ["1.png", "2.png", "3.png"])
    with pytest.raises(
        DatasetError, match=r"2 data sets \(directly in it, set\), one within another: give `set` by its"
    ):
        find_layout(tmp_path)


@pytest.mark.parametrize(
    "masks",
    [
        ("masks/0.png", "masks/0_mask.png"),
        ("masks/0_mask.png", "masks/0_seg.png"),
        ("masks/0_mask_1.png", "masks/0_mask_2.png"),
        ("masks/0.png", "images/0_mask.png"),
        ("masks/0.png", "Labels/0_gt.png"),
    ],
)
def test_two_masks_of_one_image_fail_it_in_any_layout(tmp_path, masks):
    image(tmp_path / "images" / "0.png")
    for name in masks:
        draw_mask(tmp_path / name)
    [case] = find_layout(tmp_path).cases
    assert case.fault.code == "doubled_mask" and set(masks) == set(case.fault.files)
    with pytest.raises(DatasetError, match="are masks of one image"):
        case.truth()


def test_deeper_folders_of_images_and_masks_are_no_data_sets_of_their_own(tmp_path):
    for name in ("Images", "Masks"):
        image(tmp_path / name / "P1" / "T1" / "1.png")
    with pytest.raises(DatasetError, match=r"Found: 1 \.png in Images/P1/T1, .* or in one folder for each patient"):
        find_layout(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    pairs_beside(tmp_path / "anna", "1")
    pairs_beside(tmp_path / "anna" / "closed", "1")

    def refuse(path):
        if path.name == "closed":
            raise PermissionError(path)
        return True

    [group] = find_layout(tmp_path, refuse).left_out
    assert group.sentence == "anna/closed: The folder cannot be read: change its permissions."


def test_links_to_nothing_are_said_where_nothing_else_is_there(tmp_path):
    (tmp_path / "a.png").symlink_to(".git/annex/objects/a.png")
    with pytest.raises(DatasetError, match="Found: 1 link to nothing"):
        find_layout(tmp_path)


def test_the_digest_of_a_wrapped_data_set_is_its_own(tmp_path, patient_folders):
    (tmp_path / "a" / "b").mkdir(parents=True)
    patient_folders.rename(tmp_path / "a" / "b" / "set")
    inner = check(tmp_path / "a" / "b" / "set")
    assert inner.is_sound and check(tmp_path / "a").data_sha256 == inner.data_sha256


def test_names_are_relative_to_what_was_given_and_not_to_the_folder_that_was_found(tmp_path):
    pairs_beside(tmp_path / "download" / "set" / "anna", "1", "2")
    draw_mask(tmp_path / "download" / "set" / "anna" / "lonely_mask.png")
    image(tmp_path / "preview.png")
    (tmp_path / "download" / "set" / "anna" / "2.png").write_bytes(b"damaged")
    report = check(tmp_path)
    names = {problem.code: problem.files for problem in (*report.problems, *report.warnings)}
    assert names == {
        "mask_without_image": ("download/set/anna/lonely_mask.png",),
        "unreadable_image": ("download/set/anna/2.png",),
        "left_out": ("preview.png",),
    }
    assert {name for group in report.left_out for name in group.files} == {*names["mask_without_image"], "preview.png"}


def test_files_without_an_ending_are_counted_and_named(tmp_path):
    pairs_beside(tmp_path / "anna", "1")
    for name in ("IM0001", "IM0002", "README"):
        (tmp_path / "anna" / name).write_bytes(b"anything")
    (group,) = find_layout(tmp_path).left_out
    assert group.files == ("anna/IM0001", "anna/IM0002") and "no ending" in group.message
    assert ".dcm" in group.message
