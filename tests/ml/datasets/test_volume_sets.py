"""BraTS folders and nnU-Net's layout: volumes whose slices are the cases."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.loading import load_case
from ml.datasets.volume_slices import file_of, volume_of
from ml.evaluation.run import read_case
from ml.evaluation.scoring import Failure
from ml.prediction.sources import find_sources
from ml.volumes.grid import VolumeGrid
from ml.volumes.nrrd_file import write_nrrd
from tests.support.volume_files import affine_of, nifti, tumor
from tests.support.volume_sets import (
    SHAPE,
    SPACING_MM,
    affine,
    flair,
    labels,
    write_brats,
    write_decathlon,
    write_nnunet,
    write_volume,
)

BRIGHT = 150
THREE = ("-t2f", "-t1n", "-t1c", "-seg", "-t2w")
CHANNELS = {"channel_names": {"0": "FLAIR"}, "labels": {"background": 0, "tumor": 1}, "numTraining": 2}


def codes(folder: Path) -> dict[str, tuple[str, ...]]:
    report = check(folder)
    return {problem.code: problem.files for problem in report.problems + report.warnings}


@pytest.mark.parametrize("ends", [("-t2f", "-seg"), ("_flair", "_seg"), THREE, ("_t1", "_flair", "_t1ce", "_seg")])
def test_brats_folders_are_patients_whose_slices_are_cases(tmp_path: Path, ends: tuple[str, ...]) -> None:
    write_brats(tmp_path, "P1", ends=ends)
    write_brats(tmp_path, "P2", ends=ends, kind=".nii", seed=1)
    layout, report = find_layout(tmp_path), check(tmp_path)
    assert (layout.name, report.problems, report.left_out) == ("BraTS", (), ())
    assert {case.patient for case in layout.cases} == {"P1", "P2"} and len(layout.cases) == 2 * SHAPE[2]
    assert report.analysis.tumor_slices and report.analysis.slices == 2 * SHAPE[2]
    assert {case.volume.spacing_mm for case in layout.cases} == {(12.0, 4.0, 4.0)}
    assert all((case.volume.channels is None) == (len(ends) < 4) for case in layout.cases)


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


@pytest.mark.parametrize(("image", "mask"), [("{}", "{}_mask"), ("Images/{}", "Masks/{}")])
def test_volumes_of_no_sequence_are_told_what_to_call_flair_and_are_read_then(
    tmp_path: Path, image: str, mask: str
) -> None:
    for seed, name in enumerate(("P1", "P2")):
        write_volume(tmp_path / f"{image.format(name)}.nii.gz", flair(seed=seed))
        write_volume(tmp_path / f"{mask.format(name)}.nii.gz", labels())
    with pytest.raises(DatasetError, match=r"call `P1[.]nii[.]gz` `P1_flair[.]nii[.]gz` if it is that"):
        find_layout(tmp_path)
    for name in ("P1", "P2"):
        path = tmp_path / f"{image.format(name)}.nii.gz"
        path.rename(path.with_name(f"{name}_flair.nii.gz"))
        path = tmp_path / f"{mask.format(name)}.nii.gz"
        path.rename(path.with_name(f"{name}_seg.nii.gz"))
    assert find_layout(tmp_path).has_truth


def test_volumes_of_other_sequences_alone_are_told_that_flair_is_read(tmp_path: Path) -> None:
    """IXI's: they were told to be named as BraTS has it, which makes no FLAIR of them."""
    for name in ("IXI002-Guys-0828-T1", "IXI002-Guys-0828-T2", "IXI002-Guys-0828-PD"):
        write_volume(tmp_path / f"{name}.nii.gz", flair())
    with pytest.raises(DatasetError, match=r"other sequences than FLAIR .* give each patient's FLAIR as well"):
        find_layout(tmp_path)


def test_folders_of_patients_are_one_set(tmp_path: Path) -> None:
    """BraTS' `HGG` and `LGG`; BIDS, whose patients' files lie one folder deeper."""
    write_brats(tmp_path / "HGG", "P1", ends=THREE)
    write_brats(tmp_path / "LGG", "P1", seed=1)
    write_brats(tmp_path / "LGG", "P2", ends=("-t2f", "-t1n"), seed=2)
    layout, report = find_layout(tmp_path), check(tmp_path)
    assert (layout.name, {case.patient for case in layout.cases}) == ("BraTS", {"HGG/P1", "LGG/P1", "P2"})
    assert [(one.code, one.files) for one in report.problems] == [("missing_mask", ("LGG/P2/P2-t2f.nii.gz",))]
    # All patients of this test have the very same mask.
    assert {one.code for one in report.warnings} == {"mixed_channels", "mask_shared"}
    assert report.analysis.patients == 2
    write_volume(tmp_path / "bids" / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz", flair())
    write_volume(tmp_path / "bids" / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz", flair(seed=1))
    write_volume(tmp_path / "bids" / "derivatives" / "sub-01_lesion_mask.nii.gz", labels())
    report = check(tmp_path / "bids")
    assert [(one.code, one.files) for one in report.problems] == [
        ("missing_mask", ("sub-02/anat/sub-02_FLAIR.nii.gz",))
    ]
    assert [one.patient for one in report.patients] == ["sub-01"]


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


def test_labels_of_nnunet_may_be_nrrd_and_scans_may_not(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("A", "B"), CHANNELS)
    for name in ("A", "B"):
        (tmp_path / "labelsTr" / f"{name}.nii.gz").unlink()
        write_nrrd(tmp_path / "labelsTr" / f"{name}.nrrd", labels(), VolumeGrid.of(affine(), SHAPE))
    write_nrrd(tmp_path / "imagesTr" / "C_0000.nrrd", labels(), VolumeGrid.of(affine(), SHAPE))
    report = check(tmp_path)
    assert report.analysis.patients == 2 and report.analysis.tumor_slices
    (left_out,) = report.left_out
    assert left_out.files == ("imagesTr/C_0000.nrrd",) and "NRRD volume" in left_out.message


@pytest.mark.parametrize("image", ["{}_0000.nii.gz", "{}.nii.gz"])
@pytest.mark.parametrize("mask", ["{}.seg.nrrd", "{}.SEG.NRRD"])
def test_segmentations_of_3d_slicer_are_labels_of_nnunet(tmp_path: Path, image: str, mask: str) -> None:
    write_nnunet(tmp_path, ("A", "BRATS_0001"), CHANNELS)
    for name in ("A", "BRATS_0001"):
        (tmp_path / "imagesTr" / f"{name}_0000.nii.gz").rename(tmp_path / "imagesTr" / image.format(name))
        (tmp_path / "labelsTr" / f"{name}.nii.gz").unlink()
        write_nrrd(tmp_path / "labelsTr" / mask.format(name), labels(), VolumeGrid.of(affine(), SHAPE))
    report = check(tmp_path)
    assert (report.layout, report.problems, report.left_out) == ("nnU-Net", (), ())
    assert [patient.patient for patient in report.patients] == ["A", "BRATS_0001"] and report.analysis.tumor_slices


def test_a_volume_of_nnunet_may_be_called_as_a_segmentation_of_3d_slicer(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("A", "B.seg"), CHANNELS)
    (tmp_path / "labelsTr" / "B.seg.nii.gz").unlink()
    write_nrrd(tmp_path / "labelsTr" / "B.seg.nrrd", labels(), VolumeGrid.of(affine(), SHAPE))
    report = check(tmp_path)
    assert (report.problems, report.left_out) == ((), ()) and report.analysis.patients == 2


def test_two_labels_of_one_volume_of_nnunet_are_refused_by_their_names(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("A", "B"), CHANNELS)
    write_nrrd(tmp_path / "labelsTr" / "A.seg.nrrd", labels(), VolumeGrid.of(affine(), SHAPE))
    assert set(codes(tmp_path)["doubled_mask"]) == {"labelsTr/A.nii.gz", "labelsTr/A.seg.nrrd"}


def test_a_damaged_mask_as_nrrd_fails_its_patient(tmp_path: Path) -> None:
    write_volume(tmp_path / "P1" / "P1-t2f.nii.gz", flair())
    write_brats(tmp_path, "P2", seed=1)
    (tmp_path / "P1" / "P1-seg.nrrd").write_bytes(b"NRRD0004\ntype: uchar\n")
    assert codes(tmp_path)["unreadable_mask"] == ("P1/P1-seg.nrrd",)


def test_a_failed_patient_is_named_by_the_evaluation(tmp_path: Path) -> None:
    write_brats(tmp_path, "P1", ends=("-t1n", "-seg"))
    case = find_layout(tmp_path).cases[0]
    failure = read_case(case)
    assert isinstance(failure, Failure) and failure.sentence.startswith("P1/P1-t1n.nii.gz: The patient has no FLAIR")
    write_volume(tmp_path / "P2" / "flair.nii.gz", flair())
    (tmp_path / "P2" / "seg.nii.gz").touch()
    failure = read_case(find_layout(tmp_path).cases[-1])
    assert isinstance(failure, Failure)
    assert failure.sentence.startswith("P2/seg.nii.gz: seg.nii.gz: The file is empty")


def test_two_masks_of_one_volume_fail_it_whatever_they_are_called(tmp_path: Path) -> None:
    write_brats(tmp_path, "P1")
    write_volume(tmp_path / "P1" / "P1-label.nii.gz", labels())
    assert codes(tmp_path) == {"doubled_mask": ("P1/P1-label.nii.gz", "P1/P1-seg.nii.gz")}


def test_a_header_that_says_another_sequence_is_kept(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("P1", "P2"), CHANNELS)
    said = nifti(flair(), affine(), descrip=b"3T 3D GR\\IR TR=2300ms/TE=2.98ms MPRAGE")
    (tmp_path / "imagesTr" / "P1_0000.nii.gz").write_bytes(said)
    found = {case.patient: load_case(case).is_flair for case in find_layout(tmp_path).cases}
    assert found == {"P1": False, "P2": None}


def test_slices_and_truth_lie_on_each_other_in_every_orientation(tmp_path: Path) -> None:
    for orientation in ("LPS", "RAS", "SRA", "AIL"):
        shape = tuple(SHAPE["LRPAIS".index(letter) // 2] for letter in orientation)
        spacing = tuple(SPACING_MM["LRPAIS".index(letter) // 2] for letter in orientation)
        reference = nibabel.orientations
        turn = reference.ornt_transform(reference.axcodes2ornt("LPS"), reference.axcodes2ornt(orientation))
        for end, voxels in (("-t2f", flair()), ("-seg", labels())):
            turned = reference.apply_orientation(voxels, turn)
            write_volume(
                tmp_path / orientation / f"x{end}.nii.gz", turned, matrix=affine_of(orientation, spacing, shape)
            )
    layout = find_layout(tmp_path)
    by_patient = {
        name: [load_case(c) for c in layout.cases if c.patient == name] for name in ("LPS", "RAS", "SRA", "AIL")
    }
    first = np.stack([one.truth for one in by_patient["LPS"]])
    assert first.sum() == np.count_nonzero(labels())
    for loaded in by_patient.values():
        assert np.array_equal(np.stack([one.truth for one in loaded]), first)
        bright = np.stack([one.pixels[..., 1] for one in loaded]) > BRIGHT
        assert np.array_equal(bright, first)


def test_t1_and_t1_after_contrast_are_the_channels_around_flair(tmp_path: Path) -> None:
    for end, level in (("-t1n", 1), ("-t2f", 2), ("-t1c", 3)):
        voxels = flair()
        voxels[:4, :4, level] = 900  # a mark on another slice in each
        write_volume(tmp_path / "P" / f"P{end}.nii.gz", voxels)
    write_volume(tmp_path / "P" / "P-seg.nii.gz", labels())
    pixels = np.stack([load_case(case).pixels for case in find_layout(tmp_path).cases])
    marked = [
        [int(index) for index in np.flatnonzero(pixels[:, :4, :4, channel].min(axis=(1, 2)) > BRIGHT)]
        for channel in range(3)
    ]
    assert marked == [[1], [2], [3]]


def test_nnunet_takes_the_channel_that_is_named_flair(tmp_path: Path) -> None:
    names = {"0": "T1w", "1": "T2-FLAIR", "2": "T1w post"}
    write_nnunet(tmp_path, ("a_1", "b"), {**CHANNELS, "channel_names": names}, channels=3)
    layout = find_layout(tmp_path)
    first = layout.cases[0]
    assert (layout.name, check(tmp_path).problems) == ("nnU-Net", ())
    assert first.patient == "a_1" and first.file_name == "a_1_0001.nii.gz/0000"
    assert [path.name for path in first.volume.channels] == ["a_1_0000.nii.gz", "a_1_0002.nii.gz"]


def test_nnunets_older_modality_and_its_test_side(tmp_path: Path) -> None:
    document = {"modality": {"0": "FLAIR"}, "labels": {"0": "background", "1": "tumor"}}
    write_nnunet(tmp_path, ("a",), document)
    write_nnunet(tmp_path, ("b",), document, side="Ts")
    assert find_layout(tmp_path).sides == {"train": ("a",), "validation": (), "test": ("b",)}


def test_names_without_a_number_are_the_only_channel(tmp_path: Path) -> None:
    for name in ("BRATS_0001", "BRATS_0002", "c"):
        write_volume(tmp_path / "imagesTr" / f"{name}.nii.gz", flair(seed=len(name)))
        write_volume(tmp_path / "labelsTr" / f"{name}.nii.gz", labels())
    (tmp_path / "dataset.json").write_text('{"modality": {"0": "FLAIR"}, "labels": {"0": "background"}}')
    layout = find_layout(tmp_path)
    assert layout.problems == () and {case.patient for case in layout.cases} == {"BRATS_0001", "BRATS_0002", "c"}
    (tmp_path / "dataset.json").write_text('{"modality": {"0": "FLAIR", "1": "T1w"}, "labels": {}}')
    (first, *_) = find_layout(tmp_path).problems
    assert first.code == "unreadable_image" and "holds 1 volume, and its set names 2 channels" in first.message


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("FLAIR", "T1w", "t1gd", "T2w"), (2, 1, 3)),  # Medical Segmentation Decathlon, Task01_BrainTumour
        (("T2w", "FLAIR"), (2,)),
    ],
)
def test_one_file_may_hold_all_channels_that_dataset_json_names(
    tmp_path: Path, names: tuple[str, ...], numbers: tuple[int, ...]
) -> None:
    write_decathlon(tmp_path / "4d", ("BRATS_001", "BRATS_002"), names)
    layout, report = find_layout(tmp_path / "4d"), check(tmp_path / "4d")
    assert (layout.name, report.problems, report.left_out) == ("nnU-Net", (), ())
    assert {warning.code for warning in report.warnings} == {"mask_shared"}  # of the drawn patients
    assert report.analysis.slices == 2 * SHAPE[2] and report.analysis.tumor_slices
    assert {case.volume.numbers for case in layout.cases} == {numbers}
    for place in range(len(names)):  # the same in a file for each
        for case in ("BRATS_001", "BRATS_002"):
            voxels = flair(seed=int(case[-1]) - 1) * (place + 1)
            write_volume(tmp_path / "3d" / "imagesTr" / f"{case}_{place:04}.nii.gz", voxels)
            write_volume(tmp_path / "3d" / "labelsTr" / f"{case}.nii.gz", labels())
    (tmp_path / "3d" / "dataset.json").write_bytes((tmp_path / "4d" / "dataset.json").read_bytes())
    for one, other in zip(layout.cases, find_layout(tmp_path / "3d").cases, strict=True):
        again = replace(one, volume=volume_of(one.volume.to_json()))
        np.testing.assert_array_equal(load_case(again).pixels, load_case(other).pixels)
        np.testing.assert_array_equal(load_case(again).truth, load_case(other).truth)
    sources, _ = find_sources([tmp_path / "4d"])
    assert [(source.path.name, source.numbers) for source in sources] == [
        ("BRATS_001.nii.gz", numbers),
        ("BRATS_002.nii.gz", numbers),
    ]


def test_a_file_of_more_volumes_than_channels_are_named_fails_its_patient(tmp_path: Path) -> None:
    write_decathlon(tmp_path, ("a", "b"), ("FLAIR", "T1w", "t1gd", "T2w"))
    write_volume(tmp_path / "imagesTr" / "b.nii.gz", np.stack([flair()] * 3, axis=-1))
    (found,) = check(tmp_path).problems
    assert found.code == "unreadable_image" and "holds 3 volumes, and its set names 4 channels" in found.message


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**CHANNELS, "channel_names": {"0": "T1", "1": "T2"}}, "none of them FLAIR"),
        ({**CHANNELS, "channel_names": {"0": "FLAIR", "1": "T2-FLAIR"}}, "2 of them FLAIR"),
        ({"labels": {}}, "no `channel_names`"),
        ([], "is no object"),
        ({**CHANNELS, "labels": {"tumor": 0, "background": 1}}, "0 is not the background"),
    ],
)
def test_a_dataset_json_that_cannot_say_what_flair_is(tmp_path: Path, document: object, words: str) -> None:
    write_nnunet(tmp_path, ("a", "b"), document)
    with pytest.raises(DatasetError, match=words):
        find_layout(tmp_path)


def test_a_dataset_json_that_lies_about_files(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("a", "b"), {**CHANNELS, "channel_names": {"1": "FLAIR"}, "numTraining": 9})
    found = codes(tmp_path)
    assert found["no_flair"] == ("imagesTr/b_0000.nii.gz",) or found["no_flair"] == ("imagesTr/a_0000.nii.gz",)
    assert "volume_count" in found
    assert any("9 training volumes and 2" in note for note in find_layout(tmp_path).notes)


def test_volumes_without_mask_or_flair_and_masks_of_other_voxels(tmp_path: Path) -> None:
    write_brats(tmp_path, "good")
    write_brats(tmp_path, "no_mask", ends=("-t2f",), seed=1)
    write_brats(tmp_path, "no_flair", ends=("-t1n", "-seg"), seed=2)
    write_brats(tmp_path, "smaller", seed=3)
    write_volume(tmp_path / "smaller" / "smaller-seg.nii.gz", labels()[:-1])
    write_brats(tmp_path, "moved", seed=4)
    matrix = affine_of("LPS", SPACING_MM, SHAPE)
    matrix[0, 3] += 4
    write_volume(tmp_path / "moved" / "moved-seg.nii.gz", labels(), matrix=matrix)
    write_brats(tmp_path, "series", seed=5)
    write_volume(tmp_path / "series" / "series-seg.nii.gz", np.stack([labels(), labels()], axis=-1))
    write_brats(tmp_path, "fractions", seed=6)
    write_volume(tmp_path / "fractions" / "fractions-seg.nii.gz", labels().astype(np.float32) / 3)
    write_brats(tmp_path, "empty", seed=7)
    write_volume(tmp_path / "empty" / "empty-seg.nii.gz", labels() * 0)
    report = check(tmp_path)
    assert {(problem.code, problem.files[-1]) for problem in report.problems} == {
        ("missing_mask", "no_mask/no_mask-t2f.nii.gz"),
        ("no_flair", "no_flair/no_flair-t1n.nii.gz"),
        ("unequal_size", "smaller/smaller-seg.nii.gz"),
        ("unequal_place", "moved/moved-seg.nii.gz"),
        ("unreadable_mask", "series/series-seg.nii.gz"),
        ("unreadable_mask", "fractions/fractions-seg.nii.gz"),
    }
    assert (report.analysis.patients, report.analysis.tumor_patients) == (2, 1)


def test_layouts_side_by_side_are_refused(tmp_path: Path, patient_folders: Path) -> None:
    write_brats(patient_folders, "P1")
    with pytest.raises(DatasetError, match="several layouts side by side"):
        find_layout(patient_folders)


def test_patients_with_and_without_t1_are_said_to_be_mixed(tmp_path: Path) -> None:
    write_brats(tmp_path, "P1", ends=THREE)
    write_brats(tmp_path, "P2", seed=1)
    assert any("1 of 2 patients FLAIR alone" in note for note in find_layout(tmp_path).notes)


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


@pytest.mark.parametrize(
    ("named", "refused"),
    [
        ({"background": 0, "edema": 1, "resection cavity": 2}, "resection cavity"),
        ({"0": "background", "1": "brain", "2": "tumor"}, "brain"),
        ({"background": 0, "whole tumor": [1, 2], "enhancing tumor": [2], "ignore": 3}, "ignore"),
        ({"background": 0, "edema": 1, "enhancing tumor": 2}, ""),
        ({"0": "background", "1": "necrotic", "2": "edema"}, ""),
    ],
)
def test_labels_that_dataset_json_calls_no_tumor_are_refused(tmp_path, named, refused):
    """Every label above 0 is tumor: a cavity would be missed tumor in every figure."""
    write_nnunet(tmp_path, ("P1",), {"channel_names": {"0": "FLAIR"}, "labels": named, "numTraining": 1})
    if not refused:
        assert find_layout(tmp_path).has_truth
        return
    with pytest.raises(DatasetError, match=rf"labels that are no tumor \({refused}\).*export the labels again"):
        find_layout(tmp_path)


@pytest.mark.parametrize(
    ("others", "mask"),
    [
        (["P1_AX_T1_SE_20190304101112_3", "P1_AX_DWI_20190304101112_7"], "tumor_seg"),
        (["P1_T1_to_FLAIR"], "P1_AX_T2_FLAIR_20190304101112_5_seg"),
        (["P1_AX_T1_FLAIR_20190304101112_9", "FLAIR_brain"], "P1_ROI"),
    ],
)
def test_flair_as_dcm2niix_calls_it_is_read_in_a_patients_own_folder(
    tmp_path: Path, others: list[str], mask: str
) -> None:
    """Refused, and told that nothing says which sequence a volume is, with a name for T1."""
    name = "P1_AX_T2_FLAIR_20190304101112_5"
    for seed, stem in enumerate([name, *others]):
        write_volume(tmp_path / "P1" / f"{stem}.nii.gz", flair(seed=seed))
    write_volume(tmp_path / "P1" / f"{mask}.nii.gz", labels())
    write_brats(tmp_path, "P2", seed=9)
    layout = find_layout(tmp_path)
    own = [case for case in layout.cases if case.patient == "P1"]
    assert {(file_of(case.image).name, case.mask and file_of(case.mask).name) for case in own} == {
        (f"{name}.nii.gz", f"{mask}.nii.gz")
    }
    assert {one for group in layout.left_out for one in group.files} == {f"P1/{stem}.nii.gz" for stem in others}


@pytest.mark.parametrize("other", ["P1_T1_to_FLAIR", "P1_T2_space-FLAIR", "T1c_in_FLAIR"])
def test_what_was_brought_onto_flair_is_not_flair(tmp_path: Path, other: str) -> None:
    """T1 was read as FLAIR, and with the mask."""
    write_volume(tmp_path / "P1" / f"{other}.nii.gz", flair())
    write_volume(tmp_path / "P1" / "tumor_seg.nii.gz", labels())
    write_brats(tmp_path, "P2", seed=1)
    assert {case.patient for case in find_layout(tmp_path).cases if case.has_truth} == {"P2"}
    write_volume(tmp_path / "P1" / "P1_FLAIR.nii.gz", flair(seed=2))
    own = [case for case in find_layout(tmp_path).cases if case.patient == "P1" and case.mask is not None]
    assert {(file_of(case.image).name, file_of(case.mask).name) for case in own if case.mask} == {
        ("P1_FLAIR.nii.gz", "tumor_seg.nii.gz")
    }


def test_of_several_volumes_whose_names_say_flair_none_is_taken_and_one_is_named(tmp_path: Path) -> None:
    for seed, stem in enumerate(("P1_AX_T1_3", "P1_COR_FLAIR_4", "P1_AX_FLAIR_5")):
        write_volume(tmp_path / "P1" / f"{stem}.nii.gz", flair(seed=seed))
    write_volume(tmp_path / "P1" / "tumor_seg.nii.gz", labels())
    with pytest.raises(DatasetError, match=r"No name ends with what says .*call `P1_AX_FLAIR_5[.]nii[.]gz`") as refused:
        check(tmp_path)
    assert "Nothing says" not in str(refused.value)


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


def test_patients_without_a_mask_beside_a_set_are_told_that_they_have_none(tmp_path: Path) -> None:
    """BraTS' validation data were told to be named as BraTS does."""
    write_brats(tmp_path / "Training", "P1")
    write_brats(tmp_path / "Validation", "P2", ends=("-t2f", "-t1n"), seed=1)
    write_volume(tmp_path / "Other" / "P3_adc.nii.gz", flair(seed=2))
    layout = find_layout(tmp_path)
    said = {one: group.message for group in layout.left_out for one in group.files}
    assert set(said) == {"Validation/P2/P2-t2f.nii.gz", "Validation/P2/P2-t1n.nii.gz", "Other/P3_adc.nii.gz"}
    assert {one for one, text in said.items() if "without a mask" in text} == set(said) - {"Other/P3_adc.nii.gz"}


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


@pytest.mark.parametrize(
    "names",
    [
        ("BraTS20_Training_001_slice_070", "BraTS20_Training_001_slice_071", "BraTS20_Training_002_slice_070"),
        ("P1_7", "P1_8", "P2_7"),
    ],
)
def test_slices_of_a_volume_in_a_file_each_are_said_to_count_as_patients(tmp_path: Path, names: tuple) -> None:
    for seed, name in enumerate(names):
        write_volume(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", flair(seed=seed)[..., 6:7])
        write_volume(tmp_path / "labelsTr" / f"{name}.nii.gz", labels()[..., 6:7])
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "FLAIR"}}')
    [finding] = find_layout(tmp_path).problems
    assert finding.code == "unnamed_patients" and "each of 3 volumes of one slice counts as one" in finding.message
    assert "of 2" in finding.message and "join the slices" in finding.message


def test_volumes_that_fail_and_whole_ones_say_nothing_of_slices(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("P1_7", "P1_8", "P2_7"), {"channel_names": {"0": "FLAIR"}})
    assert not find_layout(tmp_path).problems
    for path in (tmp_path / "imagesTr").iterdir():
        path.write_bytes(b"damaged")
    assert {problem.code for problem in find_layout(tmp_path).problems} == {"unreadable_image"}
