"""BraTS folders and others of patients: volumes whose slices are the cases."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.loading import load_case
from ml.datasets.volume_slices import file_of
from ml.evaluation.run import read_case
from ml.evaluation.scoring import Failure
from tests.support.volume_files import affine_of, nifti
from tests.support.volume_sets import (
    SHAPE,
    SPACING_MM,
    affine,
    flair,
    labels,
    write_brats,
    write_nnunet,
    write_volume,
)

BRIGHT = 150
THREE = ("-t2f", "-t1n", "-t1c", "-seg", "-t2w")
CHANNELS = {"channel_names": {"0": "FLAIR"}, "labels": {"background": 0, "tumor": 1}, "numTraining": 2}


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


@pytest.mark.parametrize("ends", [("-t1n", "-t2f", "-t1c"), ("_T1pre", "_FLAIR", "_T1post")])
def test_t1_and_t1_after_contrast_are_the_channels_around_flair(tmp_path: Path, ends: tuple[str, ...]) -> None:
    for level, end in enumerate(ends, 1):
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


@pytest.mark.parametrize(("ends", "said"), [(("-seg",), "The header of the mask"), (("-t2f",), "The header of FLAIR")])
def test_a_volume_without_position_is_told_what_to_write(tmp_path: Path, ends: tuple[str, ...], said: str) -> None:
    write_brats(tmp_path, "P")
    for end in ends:
        voxels = labels() if end == "-seg" else flair()
        write_volume(tmp_path / "P" / f"P{end}.nii.gz", voxels, matrix=np.eye(4))
    write_brats(tmp_path, "Q", seed=1)
    [problem] = [one for one in check(tmp_path).problems if one.code == "unequal_place"]
    assert problem.message.startswith(f"{said} does not say where in the patient it lies")
    assert "`Nifti1Image(voxels, other.affine)`" in problem.message


def test_layouts_side_by_side_are_refused(tmp_path: Path, patient_folders: Path) -> None:
    write_brats(patient_folders, "P1")
    with pytest.raises(DatasetError, match="several layouts side by side"):
        find_layout(patient_folders)


def test_patients_with_and_without_t1_are_said_to_be_mixed(tmp_path: Path) -> None:
    write_brats(tmp_path, "P1", ends=THREE)
    write_brats(tmp_path, "P2", seed=1)
    assert any("1 of 2 patients FLAIR alone" in note for note in find_layout(tmp_path).notes)


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
