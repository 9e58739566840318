"""Which file is the mask of a patient's volumes, and what is none."""

from pathlib import Path

import numpy as np
import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.loading import load_case
from ml.datasets.volume_slices import file_of
from ml.prediction.sources import find_sources
from ml.volumes.grid import VolumeGrid
from ml.volumes.nrrd_file import write_nrrd
from tests.support.volume_files import affine_of, head, tumor
from tests.support.volume_sets import (
    SHAPE,
    SPACING_MM,
    affine,
    codes,
    flair,
    labels,
    write_brats,
    write_volume,
)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("P1/flair.nii.gz", "P1/flair-label.nii.gz"),  # 3D Slicer
        ("P1/FLAIR.nii.gz", "P1/Segmentation.nii.gz"),
        ("P1/P1_flair.nii.gz", "P1/Segmentation.nii.gz"),
        ("P1_flair.nii.gz", "P1_segmentation.nii"),  # ITK-SNAP
        ("P1_flair.nii", "P1_flair_mask.nii.gz"),
    ],
)
def test_masks_of_other_programs_are_a_patients(tmp_path: Path, image: str, mask: str) -> None:
    write_volume(tmp_path / image, flair())
    write_volume(tmp_path / mask, labels())
    report = check(tmp_path)
    assert (report.layout, report.problems, report.left_out) == ("BraTS", (), ())
    assert [patient.patient for patient in report.patients] == ["P1"] and report.analysis.tumor_slices


@pytest.mark.parametrize(
    ("image", "mask"),
    [("FLAIR", "tumor"), ("P1_T2_FLAIR", "P1_ROI"), ("P1_flair", "P1_flair_lesion"), ("a_t2f", "Lesions")],
)
def test_a_tumor_by_its_name_alone_is_the_one_mask_of_a_patients_folder(tmp_path: Path, image: str, mask: str) -> None:
    """The portal evaluated such volumes as scans without masks."""
    for seed, patient in enumerate(("P1", "P2")):
        write_volume(tmp_path / patient / f"{image}.nii.gz", flair(seed=seed))
        write_volume(tmp_path / patient / f"{mask}.nii.gz", labels())
    layout = find_layout(tmp_path)
    assert layout.has_truth and not layout.problems
    assert {(case.patient, file_of(case.mask).name) for case in layout.cases if case.mask} == {
        (patient, f"{mask}.nii.gz") for patient in ("P1", "P2")
    }
    for patient in ("P1", "P2"):  # a mask by its name is the truth
        write_volume(tmp_path / patient / f"{image.rpartition('_')[0] or 'flair'}_seg.nii.gz", labels())
    assert all("_seg" in file_of(case.mask).name for case in find_layout(tmp_path).cases if case.mask)


def test_the_tumors_mask_is_taken_and_those_of_brain_and_skull_never(tmp_path: Path) -> None:
    """As UCSF-PDGM calls them; and where the brain's is the only one."""
    for name in ("P1_FLAIR", "P1_T1"):
        write_volume(tmp_path / "P1" / f"{name}.nii.gz", flair())
    for name in ("P1_brain_segmentation", "P1_brain_parenchyma_segmentation", "P1_tumor_segmentation"):
        write_volume(tmp_path / "P1" / f"{name}.nii.gz", labels())
    layout = find_layout(tmp_path)
    assert {case.mask.parent.name for case in layout.cases if case.mask} == {"P1_tumor_segmentation.nii.gz"}
    (left_out,) = layout.left_out
    assert left_out.files == ("P1/P1_brain_parenchyma_segmentation.nii.gz", "P1/P1_brain_segmentation.nii.gz")
    assert "no tumor's, so it is not used" in left_out.message and "name it as BraTS" not in left_out.message
    (tmp_path / "P1" / "P1_tumor_segmentation.nii.gz").unlink()
    with pytest.raises(
        DatasetError, match=r"12 slices and not one mask.*P1_brain_segmentation.nii.gz: A mask .* of brain"
    ):
        check(tmp_path)


def test_masks_of_a_kind_that_is_not_read_are_named(tmp_path: Path) -> None:
    write_volume(tmp_path / "P1" / "P1_flair.nii.gz", flair())
    (tmp_path / "P1" / "Segmentation.mha").write_bytes(b"ObjectType = Image")
    with pytest.raises(DatasetError, match=r"P1/Segmentation.mha: The kind .mha \(.*\) is not read.*NIfTI"):
        check(tmp_path)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAL"])
@pytest.mark.parametrize("name", ["P1-seg.nrrd", "P1.seg.nrrd", "Segmentation.seg.nrrd", "P1-t2f-label.NRRD"])
def test_masks_as_nrrd_are_the_volumes(tmp_path: Path, name: str, orientation: str) -> None:
    sizes, spacing = dict(zip("LPS", SHAPE, strict=True)), dict(zip("LPS", SPACING_MM, strict=True))
    along = [letter if letter in "LPS" else "LPS"["RAI".index(letter)] for letter in orientation]
    shape, lengths = tuple(sizes[one] for one in along), tuple(spacing[one] for one in along)
    matrix = affine_of(orientation, lengths, shape)
    write_volume(tmp_path / "P1" / "P1-t2f.nii.gz", flair())
    write_nrrd(tmp_path / "P1" / name, tumor(matrix, shape).astype(np.uint8), VolumeGrid.of(matrix, shape))
    layout, report = find_layout(tmp_path), check(tmp_path)
    assert (layout.name, report.problems, report.left_out) == ("BraTS", (), ())
    found = np.stack([load_case(case).truth for case in layout.cases])
    write_volume(tmp_path / "P2" / "P2-t2f.nii.gz", flair())
    write_volume(tmp_path / "P2" / "P2-seg.nii.gz", labels())
    wanted = np.stack([load_case(case).truth for case in find_layout(tmp_path / "P2").cases])
    np.testing.assert_array_equal(found, wanted)
    assert found.any()


@pytest.mark.parametrize("orientation", ["LPS", "RAS"])
def test_a_segmentation_that_covers_a_part_of_the_scan_lies_where_its_header_says(
    tmp_path: Path, orientation: str
) -> None:
    """As 3D Slicer saves one that is cropped to what is marked; it failed for its size. A NIfTI mask of another size
    does: arrays are cropped and saved with the old header."""
    write_brats(tmp_path, "P1")
    wanted = np.stack([load_case(case).truth for case in find_layout(tmp_path).cases])
    (tmp_path / "P1" / "P1-seg.nii.gz").unlink()
    voxels, whole = labels(orientation), affine(orientation)
    marked = np.argwhere(voxels)
    first, last = marked.min(axis=0) - 1, marked.max(axis=0) + 2
    cut = voxels[tuple(map(slice, first, last))]
    matrix = whole.copy()
    matrix[:3, 3] = (whole @ [*first, 1])[:3]
    write_nrrd(tmp_path / "P1" / "P1.seg.nrrd", cut, VolumeGrid.of(matrix, cut.shape))
    layout, report = find_layout(tmp_path), check(tmp_path)
    assert (report.problems, report.warnings) == ((), ())
    np.testing.assert_array_equal(np.stack([load_case(case).truth for case in layout.cases]), wanted)
    half = cut[: len(cut) // 2]
    write_nrrd(tmp_path / "P1" / "P1.seg.nrrd", half, VolumeGrid.of(matrix, half.shape))
    assert {one.code for one in check(tmp_path).warnings} == {"mask_cut_off"}
    far = matrix.copy()
    far[:3, 3] += whole[:3, 0] * SHAPE[0]
    write_nrrd(tmp_path / "P1" / "P1.seg.nrrd", cut, VolumeGrid.of(far, cut.shape))
    assert "of the mask's tumor 0% lies inside of its scan" in check(tmp_path).problems[0].message.lower()
    (tmp_path / "P1" / "P1.seg.nrrd").unlink()
    write_volume(tmp_path / "P1" / "P1-seg.nii.gz", voxels[:-4], matrix=whole)
    assert set(codes(tmp_path)) == {"unequal_size"}


def test_a_mask_of_several_volumes_is_told_what_to_make_of_it(tmp_path: Path) -> None:
    """It was told to be chosen by a number beside model and threshold, where a data set has none."""
    write_brats(tmp_path, "P1", ends=("-t2f",))
    write_volume(tmp_path / "P1" / "P1-seg.nii.gz", np.stack([labels()] * 3, axis=-1))
    (problem,) = check(tmp_path).problems
    assert "holds 3 volumes (4-D)" in problem.message and "add them to one 3-D volume" in problem.message


def test_a_damaged_mask_as_nrrd_fails_its_patient(tmp_path: Path) -> None:
    write_volume(tmp_path / "P1" / "P1-t2f.nii.gz", flair())
    write_brats(tmp_path, "P2", seed=1)
    (tmp_path / "P1" / "P1-seg.nrrd").write_bytes(b"NRRD0004\ntype: uchar\n")
    assert codes(tmp_path)["unreadable_mask"] == ("P1/P1-seg.nrrd",)


def test_two_masks_of_one_volume_fail_it_whatever_they_are_called(tmp_path: Path) -> None:
    write_brats(tmp_path, "P1")
    write_volume(tmp_path / "P1" / "P1-label.nii.gz", labels())
    assert codes(tmp_path) == {"doubled_mask": ("P1/P1-label.nii.gz", "P1/P1-seg.nii.gz")}


@pytest.mark.parametrize(
    "name", ["brainstem_mask", "P1_eye_L_mask", "P1_optic_chiasm_seg", "P1_ventricles_label", "resection_cavity_mask"]
)
def test_a_mask_of_an_organ_or_a_cavity_is_no_tumors(tmp_path, name):
    """What radiotherapy outlines beside the tumor is in folders of the same form."""
    write_brats(tmp_path, "P1", ends=("-t2f",))
    write_volume(tmp_path / "P1" / f"{name}.nii.gz", labels())
    with pytest.raises(DatasetError, match="12 slices and not one mask"):
        check(tmp_path)
    write_volume(tmp_path / "P1" / "P1_tumor_seg.nii.gz", labels())
    layout = find_layout(tmp_path)
    assert {file_of(case.mask).name for case in layout.cases} == {"P1_tumor_seg.nii.gz"}


def test_of_a_patients_masks_the_one_called_as_he_is_is_taken_and_parts_are_left_out(tmp_path: Path) -> None:
    """UCSD-PTGBM was refused; parts beside a patient's mask were masks of no volume."""
    name, parts = "UCSD-PTGBM-0002_01", ("total_cellular_tumor", "enhancing_cellular_tumor")
    write_brats(tmp_path, name, ends=("_FLAIR", "_BraTS_tumor_seg", *(f"_{part}_seg" for part in parts)))
    layout = find_layout(tmp_path)
    assert {(case.patient, case.mask and file_of(case.mask).name) for case in layout.cases} == {
        (name, f"{name}_BraTS_tumor_seg.nii.gz")
    }
    assert {one.code for one in layout.problems} == {"left_out", "cavities"}
    assert [set(group.files) for group in layout.left_out] == [{f"{name}/{name}_{part}_seg.nii.gz" for part in parts}]


@pytest.mark.parametrize(
    ("names", "mask", "others"),
    [
        # https://data.mendeley.com/datasets/8bctsm8jz7
        (("1-Flair", "1-T1", "1-T2"), "1-LesionSeg-Flair", ("1-LesionSeg-T1", "1-LesionSeg-T2")),
        (("P1_flair", "P1_t1"), "P1_mask_flair", ("P1_mask_t1",)),
        (("flair", "t1"), "seg_flair", ("seg_t1",)),
    ],
)
def test_a_mask_that_names_the_sequence_it_was_drawn_on_is_no_scan_and_of_flair_the_truth(
    tmp_path: Path, names: tuple[str, ...], mask: str, others: tuple[str, ...]
) -> None:
    """The masks were evaluated and predicted on as FLAIR, and those of other sequences were lost without a word."""
    for patient in ("A1", "A2"):
        for name in names:
            write_volume(tmp_path / patient / f"{name}.nii.gz", flair())
        for name in (mask, *others):
            write_volume(tmp_path / patient / f"{name}.nii.gz", labels())
    layout = find_layout(tmp_path)
    files = {file_of(case.image).name: file_of(case.mask).name for case in layout.cases if case.mask is not None}
    assert files == {f"{names[0]}.nii.gz": f"{mask}.nii.gz"} and len(layout.cases) == 2 * SHAPE[2]
    left_out = {name.rpartition("/")[2] for problem in layout.problems for name in problem.files}
    assert left_out >= {f"{name}.nii.gz" for name in others}
    sources, _ = find_sources([tmp_path])
    assert {source.path.name for source in sources} == {f"{names[0]}.nii.gz"}


def test_a_mask_that_was_drawn_on_another_sequence_is_nobodys_truth(tmp_path: Path) -> None:
    for name, voxels in (("1-Flair", flair()), ("1-T1", flair()), ("1-LesionSeg-T1", labels())):
        write_volume(tmp_path / "A1" / f"{name}.nii.gz", voxels)
    with pytest.raises(DatasetError, match="no mask is a volume's"):
        find_layout(tmp_path)
    assert [source.path.name for source in find_sources([tmp_path])[0]] == ["1-Flair.nii.gz"]


@pytest.mark.parametrize("other", ["P1_lesion", "P1_tumor", "P1_ROI", "P1_seg_v2"])
def test_what_may_be_a_mask_of_a_sequence_beside_flair_is_no_patient(tmp_path: Path, other: str) -> None:
    """`P1_lesion_flair` beside `P1_flair` was FLAIR of a patient `P1_lesion`."""
    for name in ("P1_flair", "P1_t1", "P2_flair"):
        write_volume(tmp_path / "P1" / f"{name}.nii.gz", flair(seed=len(name)))
    for name in ("P1_seg", "P2_seg", f"{other}_flair", f"{other}_t1"):
        write_volume(tmp_path / "P1" / f"{name}.nii.gz", labels())
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"P1/P1", "P1/P2"}
    assert layout.has_truth and {group.count for group in layout.left_out} == {2}
    assert {source.path.name for source in find_sources([tmp_path])[0]} == {"P1_flair.nii.gz", "P2_flair.nii.gz"}


def test_masks_of_volumes_in_no_layout_are_no_scans_to_predict_on(tmp_path: Path) -> None:
    """What CaPTk makes, whose masks were predicted on and whose scans without a skull left out."""
    scans = [f"{name}_to_SRI{end}.nii.gz" for name in ("FL", "T1") for end in ("", "_brain")]
    for name in (*scans, "brainTumorMask_SRI.nii.gz", "brainMask_SRI.nii.gz"):
        write_volume(tmp_path / "P1" / name, labels() if "Mask" in name else flair())
    sources, left_out = find_sources([tmp_path])
    assert {source.path.name for source in sources} == set(scans)
    assert [(group.code, group.count) for group in left_out] == [("expert_mask", 2)]


def test_a_tumor_volume_of_radiotherapy_is_a_mask(tmp_path: Path) -> None:
    """BraTS-MEN-RT has T1 after contrast and `_gtv`, which was predicted on."""
    write_brats(tmp_path, "P1", ends=("_t1c", "_seg"))
    (tmp_path / "P1" / "P1_seg.nii.gz").rename(tmp_path / "P1" / "P1_gtv.nii.gz")
    assert set(codes(tmp_path)) == {"no_flair"}
    with pytest.raises(DatasetError, match="no images to predict on"):
        find_sources([tmp_path])


def test_masks_on_interpolated_slices_are_said(tmp_path: Path) -> None:
    """Of sagittal slices far apart figures are of axial ones that were made up, and nobody was told."""
    for patient, thick_axis in (("P1", 2), ("P2", 0)):
        spacing = tuple(12.0 if axis == thick_axis else 4.0 for axis in range(3))
        shape = tuple(16 if axis == thick_axis else 48 for axis in range(3))
        matrix = affine_of("LPS", spacing, shape)
        write_volume(tmp_path / patient / f"{patient}_flair.nii.gz", head(matrix, shape), matrix=matrix)
        mask = tumor(matrix, shape).astype(np.uint8)
        write_volume(tmp_path / patient / f"{patient}_seg.nii.gz", mask, matrix=matrix)
    [found] = [one for one in check(tmp_path).warnings if one.code == "mask_resampled"]
    assert found.files and all(name.startswith("P2/") for name in found.files)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("P1/P1_flair", "P1/P2_seg"),
        ("P1/flair", "P1/P2_seg"),
        ("TCGA_CS_5393/TCGA_CS_5393_flair", "TCGA_CS_5393/TCGA_DU_6404_seg"),
        ("P1/P1_20200110_flair", "P1/P1_20190304_seg"),
        ("P1/P1_2020-01-10_flair", "P1/P1_2019-03-04_seg"),
        ("Meier1/Meier1_V2_flair", "Meier1/Meier1_V1_seg"),
        ("P1/followup_flair", "P1/baseline_seg"),
        ("P1/2020-01-10/flair", "P1/2019-03-04/seg"),
        ("P1/scan/P1_flair", "P1/roi/P2_mask"),
    ],
)
def test_the_one_mask_of_another_patient_or_time_is_not_taken(tmp_path: Path, image: str, mask: str) -> None:
    """It lay beside the one FLAIR, and was its truth: a Dice of 0, or of 0.48, and the set was sound."""
    write_volume(tmp_path / f"{image}.nii.gz", flair())
    write_volume(tmp_path / f"{mask}.nii.gz", labels())
    with pytest.raises(DatasetError, match="no mask is a volume's"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("P1/flair", "P1/P1_v2_seg"),
        ("P7/P7_flair", "P7/reader1_seg"),
        ("P7/P7_flair", "P7/manual_seg"),
        ("P7/P7_flair", "P7/tumor_v2_seg"),
        ("Patient_012/flair", "Patient_012/12_seg"),
        ("P7/2020-01-10/flair", "P7/2020-01-10/P7_20200110_seg"),
        ("BraTS20_Training_355/BraTS20_Training_355_flair", "BraTS20_Training_355/W39_1998.09.19_Segm"),
        ("EGD-0001/4_FLAIR/FLAIR", "EGD-0001/5_MASK/MASK"),
        ("P7/preop_flair", "P7/pre-op_seg"),
        ("P7/P7_flair", "P7/seg_3d_seg"),
    ],
)
def test_the_one_mask_of_a_name_that_says_nobody_else_is_the_patients(tmp_path: Path, image: str, mask: str) -> None:
    write_volume(tmp_path / f"{image}.nii.gz", flair())
    write_volume(tmp_path / f"{mask}.nii.gz", labels())
    assert check(tmp_path).problems == () and find_layout(tmp_path).has_truth


@pytest.mark.parametrize("are_all", [True, False])
def test_a_mask_that_is_a_link_to_nothing_is_to_be_fetched(tmp_path: Path, are_all: bool) -> None:
    """It was said to be a part of the tumor, or that it should be renamed to what it was called."""
    for name in ("P1", "P2"):
        write_volume(tmp_path / name / f"{name}_flair.nii.gz", flair())
        if are_all or name == "P1":
            (tmp_path / name / f"{name}_seg.nii.gz").symlink_to(".git/annex/objects/x.nii.gz")
        else:
            write_volume(tmp_path / name / f"{name}_seg.nii.gz", labels())
    if are_all:
        with pytest.raises(DatasetError, match=r"2 files .* cannot be read; P1/P1_seg.nii.gz: A link that leads to no"):
            check(tmp_path)
        return
    (found,) = (problem for problem in check(tmp_path).problems if problem.code == "missing_file")
    assert found.message.startswith("A link that leads to nothing: fetch the file")
