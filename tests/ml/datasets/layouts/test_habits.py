"""Habits of people's folders: what systems leave in them, masks in one file, patients in file names, other words."""

import zipfile

import numpy as np
import pytest
import tifffile

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.analysis import PatientCounts
from ml.datasets.archive import ArchiveLimits, unpack
from ml.datasets.splits import make_split
from ml.evaluation.cases import choose_cases
from ml.prediction.sources import find_sources
from tests.support.evaluations import zip_of
from tests.support.layouts import image, mask, pairs_beside

OF_SYSTEMS = (
    "Thumbs.db",
    "anna/ehthumbs.db",
    "desktop.ini",
    "Icon\r",
    "anna/.DS_Store",
    "__MACOSX/anna/._1.png",
    "System Volume Information/IndexerVolumeGuid",
    "$RECYCLE.BIN/S-1-5-21/$RABC.png",
    "lost+found/1234",
    "anna/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
    "#recycle/1.png",
)


def test_what_systems_leave_in_a_folder_is_no_part_of_it(tmp_path):
    """Recycle bins and thumbnails of disks and network storage hold pictures, which are none of the set's."""
    for patient in ("anna", "ben"):
        pairs_beside(tmp_path / patient, "1", "2")
    for name in OF_SYSTEMS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image(tmp_path / name) if name.endswith((".png", ".jpg")) else (tmp_path / name).write_bytes(b"x")
    assert find_layout(tmp_path).problems == ()
    assert len(find_sources([tmp_path])[0]) == 4


def test_what_systems_leave_is_not_unpacked(tmp_path):
    """Nor is a zip of macOS refused for the name of a folder's icon, which ends in a carriage return."""
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for name in (*OF_SYSTEMS, "anna/1.png", "anna/Icon\r"):
            file.writestr(name, b"x")
    (tmp_path / "out").mkdir()
    assert unpack(tmp_path / "set.zip", tmp_path / "out", ArchiveLimits(100, 10**6, 10**6), takes_all=True) == 1


@pytest.mark.parametrize("place", ["anna/anna_masks.tif", "anna/mask.tiff", "anna/segmentation.tif"])
def test_one_mask_of_several_images_is_told_to_be_saved_page_by_page(tmp_path, place):
    for stem in ("1", "2", "3"):
        image(tmp_path / "anna" / f"{stem}.png")
    tifffile.imwrite(tmp_path / place, np.zeros((3, 40, 40), np.uint8), photometric="minisblack")
    with pytest.raises(DatasetError, match=r"3 images .* 1 mask .* each page as the mask of its image") as refused:
        check(tmp_path)
    assert "name it as its image" not in str(refused.value)


@pytest.mark.parametrize(
    "names",
    [
        ("case12_slice01", "case12_slice02", "case13_slice01"),
        ("P001-7", "P001-8", "P002-7"),
        ("12_z004", "12_z005", "13_z004"),
        ("IM-0001-0003", "IM-0001-0004", "IM-0002-0003"),
        ("Patient 1 (1)", "Patient 1 (2)", "Patient 2 (1)"),
        ("Miller(1)", "Miller(2)", "Jones(1)"),
        ("pat01slice05", "pat01slice06", "pat02slice05"),
        ("P1S12", "P1S13", "P2S12"),
        ("case3z7", "case3z8", "case4z7"),
    ],
)
def test_patients_that_file_names_seem_to_name_are_said_where_each_image_counts_as_one(tmp_path, names):
    for stem in names:
        image(tmp_path / "images" / f"{stem}.png")
        mask(tmp_path / "masks" / f"{stem}.png")
    (finding,) = find_layout(tmp_path).problems
    assert finding.code == "unnamed_patients" and finding.is_warning
    assert "each of 3 images counts as one" in finding.message and "of 2" in finding.message
    assert finding.message in choose_cases(tmp_path, None).notes


@pytest.mark.parametrize(
    "names",
    [
        ("1", "2", "3"),
        ("a1", "a2"),
        ("x_1", "y_1"),
        ("case1_2020", "case2_2020"),
        ("y1", "y02"),
        ("a3f9b1", "a3f9b2", "c4b1"),
    ],
)
def test_names_with_one_number_or_one_image_each_say_nothing_of_patients(tmp_path, names):
    for stem in names:
        image(tmp_path / "images" / f"{stem}.png")
        mask(tmp_path / "masks" / f"{stem}.png")
    assert not find_layout(tmp_path).problems


def test_patients_in_folders_and_barcodes_are_named(tmp_path):
    pairs_beside(tmp_path / "anna", "case1_1", "case1_2", "case2_1")
    for stem in ("TCGA_DU_6404_19850629_1", "TCGA_DU_6404_19850629_2", "TCGA_DU_6405_19850629_1"):
        pairs_beside(tmp_path, stem)
    assert not find_layout(tmp_path).problems


@pytest.mark.parametrize("masks", ["Segmentation", "segmentations", "SEG", "Truth", "FLAIR_mask"])
@pytest.mark.parametrize("others", [(), ("T1", "T2")])
def test_a_folder_of_masks_beside_flairs_is_read(tmp_path, masks, others):
    """As BraTS' sequences are saved slice by slice; the masks of two patients were told to be two of one image."""
    for patient in ("anna", "ben"):
        for sequence in ("FLAIR", *others):
            image(tmp_path / patient / sequence / "IM_001.png")
        mask(tmp_path / patient / masks / "IM_001.png")
    layout = find_layout(tmp_path)
    assert [(case.patient, case.image.parent.name, case.mask.parent.name) for case in layout.cases] == [
        ("anna", "FLAIR", masks),
        ("ben", "FLAIR", masks),
    ]
    assert {path.rpartition("/")[0] for group in layout.left_out for path in group.files} == {
        f"{patient}/{sequence}" for patient in ("anna", "ben") for sequence in others
    }


def test_masks_by_their_names_in_a_place_that_is_not_read_are_refused_by_all(tmp_path):
    """The portal, which needs no masks, said that there were none."""
    for patient in ("anna", "ben"):
        image(tmp_path / patient / "FLAIR" / "1.png")
        image(tmp_path / patient / "T1" / "1.png")
        mask(tmp_path / patient / "drawn" / "2_seg.png")
    for refused in (find_layout, check):
        with pytest.raises(DatasetError, match="needs no masks"):
            refused(tmp_path)
    assert {source.path.parent.name for source in find_sources([tmp_path])[0]} == {"FLAIR", "T1"}


def test_masks_of_t1_alone_are_told_that_flair_is_read_and_nothing_else(tmp_path):
    """They were told to call T1 `flair` as well as `images`."""
    for patient in ("anna", "ben"):
        image(tmp_path / patient / "T1" / "1.png")
        mask(tmp_path / patient / "T1_mask" / "1.png")
    with pytest.raises(DatasetError, match="call FLAIR's `flair`") as refused:
        check(tmp_path)
    assert "`images`" not in str(refused.value) and "call them" not in str(refused.value)


def test_of_several_folders_of_masks_flairs_own_is_read(tmp_path):
    for folder in ("T2_FLAIR", "T1"):
        image(tmp_path / "anna" / folder / "1.png")
        mask(tmp_path / "anna" / f"{folder}_mask" / "1.png")
    layout = find_layout(tmp_path)
    (case,) = layout.cases
    assert (case.image.parent.name, case.mask.parent.name) == ("T2_FLAIR", "T2_FLAIR_mask")
    assert {name for group in layout.left_out for name in group.files} == {"anna/T1/1.png", "anna/T1_mask/1.png"}
    assert [group.files for group in layout.left_out if "another sequence" in group.message] == [("anna/T1/1.png",)]


@pytest.mark.parametrize("masks", ["Segmentation", "segmentations", "SEG", "Truth"])
def test_a_folder_of_segmentations_beside_another_is_no_scan_and_is_told_what_to_call_it(tmp_path, masks):
    for patient in ("anna", "ben"):
        image(tmp_path / patient / "slices" / "IM_001.png")
        mask(tmp_path / patient / masks / "IM_001.png")
    with pytest.raises(DatasetError, match=rf"Folders of masks lie there \({masks}\): call them `masks`"):
        check(tmp_path)
    sources, left_out = find_sources([tmp_path])
    assert [source.path.parent.name for source in sources] == ["slices", "slices"]
    assert sum(group.count for group in left_out) == 2


@pytest.mark.parametrize("places", [("anna", "ben"), ("train", "val"), ("",)])
def test_masks_in_a_folder_within_that_of_their_images_are_read(tmp_path, places):
    """The portal took them for images without a truth, and evaluated none of them."""
    for place in places:
        for stem in ("1", "2"):
            image(tmp_path / place / f"{stem}.png")
            mask(tmp_path / place / "masks" / f"{stem}.png")
    layout = find_layout(tmp_path)
    assert len(layout.cases) == 2 * len(places) and all(case.has_truth for case in layout.cases)
    assert not layout.left_out
    if places == ("anna", "ben"):
        assert {case.patient for case in layout.cases} == {"anna", "ben"}
    assert bool(layout.sides) == ("train" in places)


def test_a_mask_beside_its_image_and_one_in_a_folder_are_not_both_its_truth(tmp_path):
    """As before, the folder is left out by name."""
    pairs_beside(tmp_path / "anna", "1", "2")
    mask(tmp_path / "anna" / "masks" / "1.png")
    layout = find_layout(tmp_path)
    assert [case.mask.name for case in layout.cases] == ["1_mask.png", "2_mask.png"]
    assert [group.files for group in layout.left_out] == [("anna/masks/1.png",)]


def test_folds_are_told_to_be_laid_into_one_set(tmp_path):
    """They were told to call `masks` so."""
    for fold, stem in (("fold_1", "TCGA_DU_6404_19850629_1"), ("fold_1", "TCGA_DU_6405_19850629_1"), ("fold_2", "a")):
        image(tmp_path / fold / "images" / f"{stem}.png")
        mask(tmp_path / fold / "masks" / f"{stem}.png")
    with pytest.raises(
        DatasetError, match="lay all images into one `images` and all masks into one `masks`"
    ) as refused:
        check(tmp_path)
    assert "call them" not in str(refused.value) and "pictures of the same names" not in str(refused.value)


def test_a_mask_as_nifti_beside_dicom_is_no_scan_to_give_by_itself(tmp_path):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "1.dcm").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "anna" / "FLAIR_seg.nii.gz").write_bytes(b"x")
    sources, (left_out,) = find_sources([tmp_path])
    assert [source.path.name for source in sources] == ["1.dcm"]
    assert (left_out.code, left_out.files) == ("expert_mask", ("anna/FLAIR_seg.nii.gz",))


def test_several_masks_of_one_image_may_be_joined(tmp_path):
    """BUSI's `_mask_1`: a second tumor, which `keep one` would lose."""
    pairs_beside(tmp_path / "malignant", "malignant (1)", "malignant (2)")
    mask(tmp_path / "malignant" / "malignant (2)_mask_1.png")
    doubled, nested = sorted(find_layout(tmp_path).problems, key=lambda problem: problem.code)
    assert doubled.code == "doubled_mask" and doubled.message.endswith("keep one, or join them if each is a part.")
    assert nested.code == "nested_patients"  # a class's folder counts as one patient


@pytest.mark.parametrize("lines", ["patient;age\nanna;50\n", "patient,age\nanna,50\n", "patient\tage\nanna\t50\n"])
def test_a_table_in_place_of_a_list_of_patients_is_called_so(tmp_path, lines):
    for patient in ("anna", "ben", "cleo"):
        pairs_beside(tmp_path / "set" / patient, "1", "2")
    (tmp_path / "list.csv").write_text(f"\ufeff{lines}", encoding="utf-8")
    with pytest.raises(DatasetError, match="a table: give the patients' names alone, one a line"):
        choose_cases(tmp_path / "set", tmp_path / "list.csv")
    patients = [PatientCounts(name, 2, 1, 100, 10) for name in ("anna", "ben", "cleo")]
    with pytest.raises(DatasetError, match="a table: give the patients' names alone, one a line"):
        make_split(patients, "0", excluded=[lines.splitlines()[1]])


def test_copies_made_to_train_on_are_of_one_patient_with_their_picture(tmp_path):
    """Each counted as a patient: a picture and its mirror image were on two sides of a split."""
    names = ("7", "7_hflip", "7_rot90", "7_aug_2", "8", "8-flipped", "8_rotated_2_blur", "brain_aug_1", "brain_aug_2")
    for stem in names:
        image(tmp_path / "images" / f"{stem}.png")
        mask(tmp_path / "masks" / f"{stem}.png")
    groups = {}
    for case in find_layout(tmp_path).cases:
        groups.setdefault(case.patient, set()).add(case.name)
    assert groups == {
        "7": {"7", "7_hflip", "7_rot90", "7_aug_2"},
        "8": {"8", "8-flipped", "8_rotated_2_blur"},
        "brain_aug_1": {"brain_aug_1"},
        "brain_aug_2": {"brain_aug_2"},
    }


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (("images/0000", "images/0001", "images/0002"), ("masks/0001", "masks/0002", "masks/0003")),
        (("anna/z4", "anna/z5", "anna/z6"), ("anna/z3_mask", "anna/z4_mask", "anna/z5_mask")),
    ],
)
def test_masks_that_are_counted_from_another_number_fail_and_are_no_neighbors_truth(tmp_path, images, masks):
    """One program counts from 0 and the other from 1: two were named, and all others had the next slice's mask."""
    for stem in images:
        image(tmp_path / f"{stem}.png")
    for stem in masks:
        mask(tmp_path / f"{stem}.png")
    cases = choose_cases(tmp_path, None).cases
    assert len(cases) == 2 and {case.fault.code for case in cases if case.fault} == {"shifted_masks"}
    assert all("counted from different numbers" in case.fault.message for case in cases)
    image(tmp_path / f"{masks[0].removesuffix('_mask').replace('masks', 'images')}.png")
    image(tmp_path / f"{masks[2].removesuffix('_mask').replace('masks', 'images')}.png")
    assert not any(case.fault for case in choose_cases(tmp_path, None).cases)


def test_flair_of_folders_for_each_sequence_is_taken_with_the_folder_of_masks(tmp_path):
    for stem in ("1", "2"):
        for sequence in ("flair", "t1", "T1ce"):
            image(tmp_path / sequence / f"{stem}.png")
        mask(tmp_path / "mask" / f"{stem}.png")
    layout = find_layout(tmp_path)
    assert (layout.name, {case.image.parent.name for case in layout.cases}) == ("images and masks", {"flair"})
    assert {name for group in layout.left_out for name in group.files} == {
        f"{sequence}/{stem}.png" for sequence in ("t1", "T1ce") for stem in ("1", "2")
    }
    assert all(group.message.startswith("Slices of another sequence") for group in layout.left_out)


def test_a_folder_of_masks_for_each_image_is_told_to_be_joined(tmp_path):
    """As Segment Anything writes them."""
    for stem in ("1", "2"):
        image(tmp_path / "images" / f"{stem}.png")
        for part in ("0", "1"):
            mask(tmp_path / "masks" / stem / f"{part}.png")
    with pytest.raises(DatasetError, match=r"a folder of masks \(`masks/1/0.png`\): join those of the tumor into one"):
        check(tmp_path)


@pytest.mark.parametrize("ending", [".pgm", ".ppm", ".tga", ".mif", ".vti", ".pkl", ".pt"])
def test_slices_of_a_site_that_saved_another_kind_are_named(tmp_path, ending):
    pairs_beside(tmp_path / "anna", "1")
    (tmp_path / "ben").mkdir()
    for name in ("1", "1_mask"):
        (tmp_path / "ben" / f"{name}{ending}").write_bytes(b"P5 2 2 255\n1234")
    (left_out,) = find_layout(tmp_path).left_out
    assert left_out.files == (f"ben/1{ending}", f"ben/1_mask{ending}") and "not read in a data set" in left_out.message


@pytest.mark.parametrize(
    "name", [".1.png.icloud", "1.png.nextcloud", "1.png.crdownload", "1.png.part", ".1.nii.gz.icloud"]
)
def test_what_clouds_and_downloads_keep_in_place_of_a_file_is_named(tmp_path, name):
    """A slice that was not there yet, and its mask, were no part of any figure, and nothing said so."""
    pairs_beside(tmp_path / "anna", "2")
    (tmp_path / "anna" / name).write_bytes(b"x")
    (tmp_path / "anna" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "anna" / "notes.part").write_bytes(b"x")
    (left_out,) = find_layout(tmp_path).left_out
    assert (left_out.code, left_out.files) == ("missing_file", (f"anna/{name}",))
    assert "download it whole" in left_out.message
    (tmp_path / "set.zip").write_bytes(zip_of(tmp_path / "anna", "anna/"))
    (tmp_path / "out").mkdir()
    assert unpack(tmp_path / "set.zip", tmp_path / "out", ArchiveLimits(100, 10**6, 10**6)) == 2
    assert find_layout(tmp_path / "out").left_out == (left_out,)


@pytest.mark.parametrize("word", ["_Maske", "_masque", "-mascara", " maschera", "Segmentierung"])
def test_masks_by_words_of_other_languages_are_no_scans(tmp_path, word):
    image(tmp_path / "anna" / "Bild1.png")
    mask(tmp_path / "anna" / f"Bild1{word}.png")
    with pytest.raises(DatasetError, match="name it as its image"):
        check(tmp_path)
    assert [source.name for source in find_sources([tmp_path])[0]] == ["anna/Bild1"]


@pytest.mark.parametrize(
    "folders", [("masks_rater1", "masks_rater2"), ("masks/edema", "masks/core"), ("Masken", "masks")]
)
def test_an_image_with_masks_in_several_folders_is_told_so_and_they_are_no_scans(tmp_path, folders):
    for stem in ("1", "2"):
        image(tmp_path / "scans" / f"{stem}.png")
        for place in folders:
            mask(tmp_path / place / f"{stem}.png")
    with pytest.raises(DatasetError, match=f"masks in several folders .*{' and '.join(sorted(folders))}"):
        check(tmp_path)
    assert {source.name for source in find_sources([tmp_path])[0]} == {"scans/1", "scans/2"}


def test_masks_in_a_place_that_is_not_read_are_refused_by_all_and_their_images_predicted(tmp_path):
    """The portal, which needs no masks, said that there were none."""
    for patient in ("anna", "ben"):
        image(tmp_path / patient / "1.png")
        mask(tmp_path / patient / "gt" / "1.png")
    for refused in (find_layout, check):
        with pytest.raises(DatasetError, match="The nearest layout is images and masks") as caught:
            refused(tmp_path)
        assert "several folders" not in str(caught.value)
    assert [source.name for source in find_sources([tmp_path])[0]] == ["anna/1", "ben/1"]


@pytest.mark.parametrize("ending", ["_Simple Segmentation", "-labelled", "_anno"])
def test_masks_whose_names_go_on_behind_their_images_are_told_to_be_called_as_they(tmp_path, ending):
    """ilastik's: `scan_1` seemed to have the masks of `scan_11` and `scan_12`, too, which were to be joined."""
    for number in (1, 11, 12):
        image(tmp_path / "images" / f"scan_{number}.png")
        mask(tmp_path / "masks" / f"scan_{number}{ending}.png")
    with pytest.raises(DatasetError, match=f"with `{ending}` behind it, which is not read: take that off") as refused:
        check(tmp_path)
    assert "join them" not in str(refused.value)


def test_masks_of_two_patients_whose_slices_have_one_name_are_no_parts_of_one(tmp_path):
    """`Bild1_Maske` of each was told to be joined with the other's."""
    for patient in ("anna", "ben"):
        image(tmp_path / patient / "Bild1.png")
        mask(tmp_path / patient / "Bild1_Maske.png")
    with pytest.raises(DatasetError, match="name it as its image with `_mask`") as refused:
        check(tmp_path)
    assert "join them" not in str(refused.value)
    mask(tmp_path / "anna" / "Bild1_Maske_2.png")
    with pytest.raises(DatasetError, match="join them into one mask"):
        check(tmp_path)


@pytest.mark.parametrize("word", ["_predict", "_pred", "-prediction", "_predicted", "_overlay", "_heat_map", "_prob"])
@pytest.mark.parametrize("has_masks", [True, False])
def test_a_models_answer_beside_its_image_is_no_scan_and_no_experts_mask(tmp_path, word, has_masks):
    """A tutorial's U-Net writes `0_predict.png` beside `0.png`: tumors were found in its masks."""
    for number in range(3):
        image(tmp_path / "test" / f"{number}.png")
        mask(tmp_path / "test" / f"{number}{word}.png")
        if has_masks:
            mask(tmp_path / "test" / f"{number}_mask.png")
    image(tmp_path / "test" / f"lonely{word}.png")
    layout = find_layout(tmp_path)
    sources, left_out = find_sources([tmp_path])
    own = {"0.png", "1.png", "2.png", f"lonely{word}.png"}
    assert {source.path.name for source in sources} == {case.image.name for case in layout.cases} == own
    assert layout.has_truth == has_masks
    (group,) = (group for group in left_out if group.message.startswith("A model's answer"))
    assert group.code == "left_out" and group.files == tuple(f"test/{number}{word}.png" for number in range(3))


def test_a_models_answers_are_left_out_where_nothing_but_names_tells_masks(tmp_path):
    pairs_beside(tmp_path / "a" / "set", "1", "2")
    pairs_beside(tmp_path / "b" / "more" / "set", "3", "4")
    image(tmp_path / "test" / "5.png")
    mask(tmp_path / "test" / "5_predict.png")
    assert "5_predict.png" not in {source.path.name for source in find_sources([tmp_path])[0]}
