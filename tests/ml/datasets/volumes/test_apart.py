"""Volumes whose masks have other names or lie in other folders, as collections and BIDS publish them."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.time_points import person_of
from ml.datasets.volume_slices import file_of
from ml.prediction.sources import find_sources
from tests.support.volume_sets import SHAPE, flair, labels, write_apart, write_brats, write_nnunet, write_volume

BIDS = "sub-0{0}/anat/sub-0{0}_FLAIR.nii.gz"


def write(folder: Path, images: Iterable[str], masks: Iterable[str]) -> None:
    for seed, name in enumerate(images):
        write_volume(folder / name, flair(seed=seed))
    for name in masks:
        write_volume(folder / name, labels())


def masks_of(folder: Path) -> dict[str, str | None]:
    """The mask of each patient by its path."""
    cases = find_layout(folder).cases
    return {one.patient: None if one.mask is None else one.mask.parent.relative_to(folder).as_posix() for one in cases}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (BIDS, "derivatives/manual/sub-0{0}/anat/sub-0{0}_label-lesion_mask.nii.gz"),
        (BIDS, "derivatives/manual/sub-0{0}/anat/sub-0{0}_space-FLAIR_desc-tumor_dseg.nii.gz"),
        (BIDS, "derivatives/manual/sub-0{0}/anat/sub-0{0}_dseg.nii"),
        (BIDS, "derivatives/manual/sub-0{0}/anat/sub-0{0}_label-lesion_roi.nii.gz"),
        (
            "sub-1/ses-{0}/anat/sub-1_ses-{0}_acq-iso_FLAIR.nii.gz",
            "derivatives/a/sub-1/ses-{0}/anat/sub-1_ses-{0}_label-lesion_mask.nii.gz",
        ),
        ("images/P{0}_flair.nii.gz", "labels/P{0}_flair.nii.gz"),
        ("images/P{0}/FLAIR.nii.gz", "masks/P{0}/tumor.nii.gz"),
        ("glioma_mask/images/P{0}_flair.nii.gz", "glioma_mask/segm/P{0}_segm.nii.gz"),
        ("images/P{0}/P{0}-t2f.nii.gz", "truth/P{0}.seg.nrrd"),
    ],
)
def test_masks_in_other_folders_are_told_by_their_patients_names(tmp_path: Path, images: str, masks: str) -> None:
    numbers = (1, 2)
    write(tmp_path, map(images.format, numbers), [masks.format(one) for one in numbers if not masks.endswith("nrrd")])
    if masks.endswith("nrrd"):
        from ml.volumes.grid import VolumeGrid
        from ml.volumes.nrrd_file import write_nrrd
        from tests.support.volume_sets import affine

        for one in numbers:
            (tmp_path / "truth").mkdir(exist_ok=True)
            write_nrrd(tmp_path / masks.format(one), labels(), VolumeGrid.of(affine(), SHAPE))
    layout = find_layout(tmp_path)
    assert (layout.name, layout.problems) == ("volumes and masks", ())
    assert set(masks_of(tmp_path).values()) == set(map(masks.format, numbers)) and len(layout.cases) == 2 * SHAPE[2]
    pairs = {(one.image.parent.as_posix().count("1"), one.mask.parent.as_posix().count("1")) for one in layout.cases}
    assert len(pairs) == 2  # the first of one is not the second's


def test_upenns_folders_are_one_set_and_an_experts_mask_comes_first(tmp_path: Path) -> None:
    write_apart(tmp_path)
    report = check(tmp_path)
    assert (report.layout, report.is_sound, report.analysis.tumor_patients) == ("volumes and masks", True, 2)
    assert [group.files for group in report.left_out] == [
        ("automated_segm/UPENN-GBM-00002_11_automated_approx_segm.nii.gz",)
    ]
    (note,) = find_layout(tmp_path).notes
    assert note.startswith("The masks of 1 of 2 patients were made by a program, and corrected by nobody")
    assert all(one.volume.channels for one in find_layout(tmp_path).cases)


def test_corrected_masks_of_the_cancer_imaging_archive_are_taken(tmp_path: Path) -> None:
    names = ("TCGA-02-0006_1996.08.23", "TCGA-02-0009_1997.06.14")
    ends = ("_flair", "_t1", "_t1Gd", "_t2")
    write(
        tmp_path,
        [f"{name}/{name}{end}.nii.gz" for name in names for end in ends],
        [f"{name}/{name}_GlistrBoost{end}.nii.gz" for name in names for end in ("", "_ManuallyCorrected")],
    )
    (tmp_path / names[1] / f"{names[1]}_GlistrBoost_ManuallyCorrected.nii.gz").unlink()
    assert masks_of(tmp_path) == {
        names[0]: f"{names[0]}/{names[0]}_GlistrBoost_ManuallyCorrected.nii.gz",
        names[1]: f"{names[1]}/{names[1]}_GlistrBoost.nii.gz",
    }
    assert "1 of 2 patients were made by a program" in find_layout(tmp_path).notes[0]


def test_of_a_mask_in_several_spaces_that_in_flairs_own_is_taken(tmp_path: Path) -> None:
    """Both were masks of one volume, and failed it."""
    places = [
        f"derivatives/a/sub-0{{}}/anat/sub-0{{}}{space}_label-lesion_mask.nii.gz" for space in ("", "_space-MNI152")
    ]
    write(tmp_path, map(BIDS.format, (1, 2)), [place.format(one, one) for one in (1, 2) for place in places])
    assert {Path(mask).name for mask in masks_of(tmp_path).values()} == {
        "sub-01_label-lesion_mask.nii.gz",
        "sub-02_label-lesion_mask.nii.gz",
    }
    (left_out,) = find_layout(tmp_path).left_out
    assert left_out.count == 2 and "own space" in left_out.message


def test_masks_of_brain_and_tissue_in_derivatives_are_no_truth(tmp_path: Path) -> None:
    """Without one of a tumor there is none, and the images are scans."""
    of_anatomy = [
        f"derivatives/fmriprep/sub-0{one}/anat/sub-0{one}_{end}.nii.gz"
        for one in (1, 2)
        for end in ("desc-brain_mask", "dseg", "desc-aparcaseg_dseg")
    ]
    write(tmp_path, map(BIDS.format, (1, 2)), of_anatomy)
    assert not find_layout(tmp_path).has_truth
    write(tmp_path, (), [f"derivatives/fmriprep/sub-0{one}/anat/sub-0{one}_label-lesion_mask.nii.gz" for one in (1, 2)])
    assert {Path(mask).name for mask in masks_of(tmp_path).values()} == {
        "sub-01_label-lesion_mask.nii.gz",
        "sub-02_label-lesion_mask.nii.gz",
    }


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["a/P1_flair.nii.gz", "b/P1_flair.nii.gz"], ["masks/P1_seg.nii.gz"]),  # whose?
        (["data/P1/P1_flair.nii.gz", "data/P2/P2_flair.nii.gz"], ["truth/mask1.nii.gz", "truth/mask2.nii.gz"]),
        (["P1/P1_flair.nii.gz"], ["P1/other_tumor.nii.gz"]),
    ],
)
def test_masks_of_no_volume_are_refused_by_name_and_the_volumes_predicted(
    tmp_path: Path, images: list[str], masks: list[str]
) -> None:
    write(tmp_path, images, masks)
    with pytest.raises(
        DatasetError, match=r"and [12] masks? \(the first: .*\), and no mask is a volume's.*rename them"
    ):
        find_layout(tmp_path)
    sources, left_out = find_sources([tmp_path])
    assert {one.path for one in sources} == {tmp_path / name for name in images}
    assert {name for group in left_out for name in group.files} == set(masks)


def test_two_masks_of_one_volume_in_other_folders_fail_it(tmp_path: Path) -> None:
    write(tmp_path, ["images/P1_flair.nii.gz"], ["masks/P1_seg.nii.gz", "labels/P1.nii.gz"])
    (case,) = find_layout(tmp_path).cases
    assert case.fault is not None and case.fault.code == "doubled_mask"


@pytest.mark.parametrize(
    ("names", "person"),
    [
        (("UPENN-GBM-00001_11", "UPENN-GBM-00001_21"), "UPENN-GBM-00001"),
        (("sub-01_ses-1", "sub-01_ses-2", "sub-01/ses-3/anat"), "sub-01"),
        (("TCGA-02-0006_1996.08.23", "TCGA-02-0006_1997-01-02", "TCGA-02-0006-19980304"), "TCGA-02-0006"),
        (("PatientID_0003/Timepoint_1", "PatientID_0003_Timepoint_2"), "PatientID_0003"),
        (("Imaging/Patient-001/week-000-1", "Imaging/Patient-001/week-044"), "Imaging/Patient-001"),
        (("UCSF-PDGM-0433_nifti", "UCSF-PDGM-0433_FU001d_nifti", "UCSF-PDGM-0433"), "UCSF-PDGM-0433"),
        (("RHUH-0001/0", "RHUH-0001/2", "RHUH-0001_1"), "RHUH-0001"),
        (("UCSD-PTGBM-0002_01", "UCSD-PTGBM-0002_02"), "UCSD-PTGBM-0002"),
        (("100101A", "100101B", "100101c"), "100101"),
        (("P7_20190304_flair", "P7_20200304_FLAIR (2)", "P7_20200304_t1", "P7"), "P7"),
        (("BraTS-GLI-00001-000-t2f", "BraTS-GLI-00001-001-t2f", "BraTS-GLI-00001-001"), "BraTS-GLI-00001"),
        (("person 2 - Head FLAIR", "person 2 - P7_20190304"), "person 2"),
        (("TRAIN/100101A", "TRAIN/100101B"), "TRAIN/100101"),
        (("100001/100001_time1", "100001/100001_time2"), "100001/100001"),
        (("P7_04.03.2021", "P7_10-06-2021", "P7_03-25-2021", "P7/4.3.2021", "P7/MR 10.06.2021"), "P7"),
        (("GLIS-RT-001/01-30-2020-NA-BRAIN", "GLIS-RT-001/02-28-2020-NA-BRAIN"), "GLIS-RT-001"),
        (("Miller/04.03.2021", "Miller/2021-06-10", "Miller/post"), "Miller"),
        (("pre/P7", "post/P7", "follow-up 1/P7", "Baseline/P7_20190304", "preop/P7/2021-03-04"), "P7"),
        (("P7_baseline", "P7_followup", "P7_FU", "P7_6months", "P7_12-mo", "P7_year1", "P7/3 weeks"), "P7"),
        (("P7_primary", "P7_recurrence", "P7_recurrence2", "P7_intraop", "P7/recurrent", "P7_progression_1"), "P7"),
        (("P7_V1", "P7-v2", "P7_t0", "P7 T1"), "P7"),
        (("P7_baseline", "P7_fu1", "P7 follow-up 2", "P7_preop", "P7_post_op"), "P7"),
    ],
)
def test_times_of_one_person_are_told_by_the_names_of_the_collection(names: tuple[str, ...], person: str) -> None:
    assert set(map(person_of, names)) == {person} and person_of("sub-01") == "sub-01"


@pytest.mark.parametrize("has_json", [True, False])
@pytest.mark.parametrize("place", ["imagesTs", "."])
def test_nnunets_images_without_labels_are_told_what_lacks(tmp_path: Path, place: str, has_json: bool) -> None:
    write_nnunet(tmp_path, ("a", "b"), {"channel_names": {"0": "FLAIR"}}, side="Ts")
    for path in (tmp_path / "labelsTs").iterdir():
        path.unlink()
    (tmp_path / "labelsTs").rmdir()
    if not has_json:
        (tmp_path / "dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"labelsTs.*dataset.json|dataset.json.*labelsTs") as raised:
        check(tmp_path / "imagesTs" if place == "." else tmp_path)
    assert "BraTS" not in str(raised.value)


def test_nnunets_test_images_beside_its_training_set_are_said_to_lack_their_labels(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("a", "b"), {"channel_names": {"0": "FLAIR"}})
    write_volume(tmp_path / "imagesTs" / "c_0000.nii.gz", flair())
    (left_out,) = find_layout(tmp_path).left_out
    assert left_out.files == ("imagesTs/c_0000.nii.gz",) and "`labelsTs/P1.nii.gz`" in left_out.message


@pytest.mark.parametrize(
    ("image", "masks"),
    [
        ("P{0}/P{0}_flair.nii.gz", ("P{0}/P{0}_seg_AB.nii.gz", "P{0}/P{0}_seg_CD.nii.gz")),
        ("P{0}/P{0}-t2f.nii.gz", ("P{0}/P{0}_edema.nii.gz", "P{0}/P{0}_enhancing_tumor.nii.gz", "P{0}/P{0}_NCR.nii")),
        ("P{0}/FLAIR.nii.gz", ("P{0}/Segmentation_edema.nii.gz", "P{0}/Segmentation_core.nii.gz")),
        ("P{0}/FLAIR.nii.gz", ("P{0}/Segmentation_1.nii.gz", "P{0}/Segmentation_2.nii.gz")),
        ("P{0}/FLAIR.nii.gz", ("P{0}/edema_mask.nii.gz", "P{0}/core_mask.nii.gz")),
        ("P{0}/FLAIR.nii.gz", ("P{0}/edema_mask.nii.gz",)),
        ("P{0}_flair.nii.gz", ("P{0}_seg_AB.nii.gz", "P{0}_seg_CD.nii.gz")),
        (
            "P{0}/w/FLAIR.nii.gz",
            ("P{0}/w/HD-GLIO-AUTO/FLAIR_seg_mask.nii.gz", "P{0}/w/DeepBraTumIA/ct1_seg_mask.nii.gz"),
        ),
        ("P{0}/FLAIR.nii.gz", ("P{0}/masks/necrosis.nii.gz",)),
        ("images/P{0}_flair.nii.gz", ("masks/P{0}_edema.nii.gz", "masks/p{0}_necrosis.nii.gz")),
        ("images/P{0}_flair.nii.gz", ("masks/P{0}_edema.nii.gz",)),
    ],
)
def test_parts_and_readers_are_no_whole_truth_and_are_told_to_be_joined(
    tmp_path: Path, image: str, masks: tuple[str, ...]
) -> None:
    """None of them is taken, nor is the set one without masks for the portal, and nobody is told to rename one part."""
    numbers = (1, 2)
    write(tmp_path, map(image.format, numbers), [mask.format(one) for mask in masks for one in numbers])
    with pytest.raises(DatasetError, match=r"join those of parts .* or take one person's") as refused:
        find_layout(tmp_path)
    assert all(mask.format(1) in str(refused.value) for mask in masks)
    sources, left_out = find_sources([tmp_path])
    assert len(sources) == 2 and {name for one in left_out for name in one.files} >= {one.format(2) for one in masks}
    for one in numbers:  # as the sentence says
        whole = tmp_path / image.format(one).replace(".nii.gz", "_seg.nii.gz")
        (tmp_path / masks[0].format(one)).rename(whole)
        for mask in masks[1:]:
            (tmp_path / mask.format(one)).unlink()
    assert set(masks_of(tmp_path).values()) == {image.format(one).replace(".nii.gz", "_seg.nii.gz") for one in numbers}


def test_masks_in_the_folders_of_a_program_are_named_as_its_own(tmp_path: Path) -> None:
    """LUMIERE's, below two folders more, passed for an expert's."""
    weeks = [f"Patient-00{one}/week-000" for one in (1, 2)]
    masks = [f"{week}/DeepBraTumIA-segmentation/atlas/segmentation/seg_mask.nii.gz" for week in weeks]
    write(tmp_path, [f"{week}/FLAIR.nii.gz" for week in weeks], masks)
    [problem] = [one for one in find_layout(tmp_path).problems if one.code == "automatic_masks"]
    assert problem.message.startswith("The masks of 2 of 2 patients were made by a program")


def test_times_that_are_told_by_the_collections_names_are_not_called_untold(tmp_path: Path) -> None:
    """Times of RHUH-GBM are one person's, and its folders were said to be as many persons."""
    places = [f"RHUH-000{one}/{time}/RHUH-000{one}_{time}" for one in (1, 2) for time in (0, 1)]
    write(
        tmp_path, [f"{place}_flair.nii.gz" for place in places], [f"{place}_segmentations.nii.gz" for place in places]
    )
    layout = find_layout(tmp_path)
    assert {person_of(case.patient) for case in layout.cases} == {"RHUH-0001", "RHUH-0002"}
    assert not [one for one in layout.problems if one.code == "nested_patients"]


def test_parts_beside_a_patients_whole_mask_are_said_to_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, ["P1/P1_flair.nii.gz"], ["P1/P1_seg.nii.gz", "P1/P1_edema.nii.gz"])
    assert masks_of(tmp_path) == {"P1": "P1/P1_seg.nii.gz"}
    [left_out] = find_layout(tmp_path).left_out
    assert left_out.files == ("P1/P1_edema.nii.gz",) and "of a part of the tumor" in left_out.message


def test_scans_beside_flair_are_no_masks_of_parts(tmp_path: Path) -> None:
    others = ["P1_T1_enhanced", "P1_ADC", "P1_seg_ventricles", "P1_net_perfusion"]
    write(tmp_path, ["P1/P1_flair.nii.gz", *(f"P1/{name}.nii.gz" for name in others)], [])
    assert not find_layout(tmp_path).has_truth


def test_a_mask_beside_its_volume_is_taken_as_before(tmp_path: Path) -> None:
    write_brats(tmp_path, "P1")
    write(tmp_path, (), ["masks/P2_seg.nii.gz"])
    layout = find_layout(tmp_path)
    assert layout.name == "BraTS" and layout.left_out[0].files == ("masks/P2_seg.nii.gz",)


@pytest.mark.parametrize(
    "name",
    [
        *("MR_20190304", "P7_19991345", "P7_day", "P7_follower3", "20190304", "P7_2019-03.04", "week-3", "P1/P2"),
        *("P7_04.03-2021", "P7_32.13.2021", "04.03.2021", "HGG/2019-03-04", "site1/20190304", "MR/20190304", "P1/MRT1"),
        *("glioma/recurrent", "P7_mo", "P7_6", "P7_fun", "recurrence_7"),
        *("site1_V1", "site 2/group3_v2", "anna_V1", "P7_V12", "P7V1", "P7/T1"),
        *("TCGA-FG-A60K", "P100101A", "12A", "100101AB", "flair", "anna_t1"),
    ],
)
def test_a_name_that_may_be_several_persons_or_no_date_is_one_of_its_own(name: str) -> None:
    assert person_of(name) == name


def test_folders_of_times_are_called_after_their_persons_all_of_them(tmp_path: Path) -> None:
    """A time that one person alone has was called `Timepoint_5`, and was nobody's."""
    times = {"PatientID_0003": (1, 2), "PatientID_0004": (1,), "PatientID_0006": (5,), "PatientID_0007": (6,)}
    for seed, (name, numbers) in enumerate(times.items()):
        for number in numbers:
            place = tmp_path / name / f"Timepoint_{number}" / f"{name}_Timepoint_{number}"
            write_volume(place.with_name(f"{place.name}_brain_t2f.nii.gz"), flair(seed=10 * seed + number))
            write_volume(place.with_name(f"{place.name}_tumorMask.nii.gz"), labels())
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {
        f"{name}/Timepoint_{number}" for name, numbers in times.items() for number in numbers
    }
    assert {person_of(case.patient) for case in layout.cases} == times.keys()


def test_brats_2015_as_its_database_calls_it_is_read(tmp_path: Path) -> None:
    """A folder for each sequence; no name of them was known, and nobody was told which is the expert's."""
    for number, name in enumerate(("brats_2013_pat0001_1", "brats_tcia_pat101_0001")):
        for at, kind in enumerate(("XX.O.MR_Flair", "XX.O.MR_T1", "XX.O.MR_T1c", "XX.O.MR_T2", "XX.O.OT")):
            brain = "Brain_3more" if kind.endswith("OT") else "Brain"
            stem = f"VSD.{brain}.{kind}.{54512 + 5 * number + at}"
            voxels = labels() if kind.endswith("OT") else flair(seed=10 * number + at)
            write_volume(tmp_path / "HGG" / name / stem / f"{stem}.nii.gz", voxels)
    report = check(tmp_path)
    assert (report.is_sound, report.analysis.tumor_patients, report.left_out) == (True, 2, ())
    cases = find_layout(tmp_path).cases
    assert {case.patient for case in cases} == {"brats_2013_pat0001_1", "brats_tcia_pat101_0001"}
    assert all(case.volume.channels for case in cases)
    sources, left_out = find_sources([tmp_path])
    assert [source.path.name[-12:] for source in sources] == ["54512.nii.gz", "54517.nii.gz"]
    assert [(group.code, group.count) for group in left_out] == [("expert_mask", 2)]


def test_predict_takes_a_folder_of_volumes_whose_names_tell_no_sequence(tmp_path: Path) -> None:
    """They were read where each was given, and not in their folder, as DICOM is."""
    for name in ("images/patient_001", "images/patient_002"):
        write_volume(tmp_path / f"{name}.nii.gz", flair())
    write_volume(tmp_path / "images/brain_mask.nii.gz", labels())
    write_volume(tmp_path / "masks/patient_001.nii.gz", labels())
    for folder in (tmp_path, tmp_path / "images"):
        sources, _ = find_sources([folder])
        assert [source.path.name for source in sources] == ["patient_001.nii.gz", "patient_002.nii.gz"]


def write_times(folder: Path, *places: str) -> None:
    for seed, place in enumerate(places):
        write_volume(folder / place / "FLAIR.nii.gz", flair(seed=seed))
        write_volume(folder / place / "Tumor.nii.gz", labels())


def test_folders_of_dates_that_begin_with_the_day_are_times_of_the_person_around_them(tmp_path: Path) -> None:
    """They were three persons, called by their dates, and a split had one person on both sides."""
    write_times(tmp_path, "Pat_01/04.03.2021", "Pat_01/10.06.2021", "Pat_02/11.01.2020")
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"Pat_01/04.03.2021", "Pat_01/10.06.2021", "Pat_02/11.01.2020"}
    assert {person_of(case.patient) for case in layout.cases} == {"Pat_01", "Pat_02"} and not layout.notes


@pytest.mark.parametrize(
    ("places", "is_said"),
    [
        (("Pat_01/MRT1", "Pat_01/MRT2", "Pat_02/MRT1"), True),
        (("Pat_01/Timepoint_1", "Pat_01/Timepoint_2", "Pat_02/Timepoint_1"), False),
        (("site1/P1", "site1/P2", "site2/P1"), False),
        (("site1/P1", "site1/P2", "site2/P3"), False),
        (("A1/P1", "A1/P2", "A2/P3"), False),
    ],
)
def test_folders_in_numbered_folders_that_tell_neither_person_nor_time_are_said(
    tmp_path: Path, places: tuple[str, ...], is_said: bool
) -> None:
    write_times(tmp_path, *places)
    notes = find_layout(tmp_path).notes
    assert [note for note in notes if "(Pat_01/2021-03-04, Pat_01/Timepoint_1)" in note] == list(notes)
    assert bool(notes) == is_said


@pytest.mark.parametrize(
    ("image", "others", "mask", "patients"),
    [
        (  # the Erasmus Glioma Database, as XNAT exports it
            "SUBJECTS/EGD-000{0}/4_FLAIR/NIFTI/FLAIR.nii.gz",
            ("SUBJECTS/EGD-000{0}/2_T1GD/NIFTI/T1GD.nii.gz",),
            "SUBJECTS/EGD-000{0}/5_MASK/NIFTI/MASK.nii.gz",
            {"EGD-0001", "EGD-0002"},
        ),
        (  # BraTS 2021 as it is published on Kaggle: folders that are called as files
            "BraTS2021_0000{0}/BraTS2021_0000{0}_flair.nii/00000057_brain_flair.nii",
            (),
            "BraTS2021_0000{0}/BraTS2021_0000{0}_seg.nii/00000057_final_seg.nii",
            {"BraTS2021_00001", "BraTS2021_00002"},
        ),
    ],
)
def test_a_mask_of_another_name_is_that_of_the_one_volume_in_its_patients_folder(
    tmp_path: Path, image: str, others: tuple[str, ...], mask: str, patients: set[str]
) -> None:
    numbers = (1, 2)
    write(tmp_path, map(image.format, numbers), map(mask.format, numbers))
    write(tmp_path, (other.format(one) for one in numbers for other in others), ())
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == patients and layout.has_truth
    assert masks_of(tmp_path) == dict(zip(sorted(patients), map(mask.format, numbers), strict=True))
    assert {group.code for group in layout.left_out} == ({"left_out"} if others else set())
    write(tmp_path, (), [mask.format(1).replace("MASK.nii", "MASK2_seg.nii").replace("final", "other")])
    assert set(masks_of(tmp_path).values()) == {None, mask.format(2)}  # which of two?


def test_of_masks_of_monai_label_those_that_a_person_corrected_are_taken(tmp_path: Path) -> None:
    images = [f"P{one}_flair.nii.gz" for one in (1, 2)]
    write(tmp_path, images, [f"labels/{kind}/{name}" for kind in ("final", "original") for name in images])
    (tmp_path / "labels" / "final" / images[1]).unlink()
    assert masks_of(tmp_path) == {"P1": f"labels/final/{images[0]}", "P2": f"labels/original/{images[1]}"}
    layout = find_layout(tmp_path)
    assert [group.files for group in layout.left_out] == [(f"labels/original/{images[0]}",)]
    assert layout.notes[0].startswith("The masks of 1 of 2 patients were made by a program")


def test_volumes_that_a_table_names_are_told_that_it_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, ["raw/a.nii.gz"], ["raw/b.nii.gz"])
    (tmp_path / "cases.csv").write_text("subject,image,mask\nS1,raw/a.nii.gz,raw/b.nii.gz\n")
    with pytest.raises(
        DatasetError, match=r"name the files like that .* A .csv that names volumes and masks is not read"
    ):
        find_layout(tmp_path)


def test_rembrandts_names_say_how_a_volume_was_processed(tmp_path: Path) -> None:
    name = "HF1538_1994.01.28"
    ends = [f"_{one}_LPS_rSRI_SSFinal" for one in ("flair", "t1", "t1Gd", "t2")]
    write(tmp_path, [f"{name}/{name}{end}.nii.gz" for end in ends], [])
    write(tmp_path, [], [f"{name}/{name}_GlistrBoost{end}.nii.gz" for end in ("", "_ManuallyCorrected")])
    assert masks_of(tmp_path) == {name: f"{name}/{name}_GlistrBoost_ManuallyCorrected.nii.gz"}
    assert all(case.volume and case.volume.channels for case in find_layout(tmp_path).cases)


def test_nifti_masks_of_dicom_series_are_told_to_convert_one_of_the_two(tmp_path: Path) -> None:
    write(tmp_path, [], ["P1/mask.nii.gz"])
    (tmp_path / "P1" / "dicom").mkdir()
    (tmp_path / "P1" / "dicom" / "IM1.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(DatasetError, match=r"convert the series to NIfTI .* or export the masks as DICOM SEG"):
        find_layout(tmp_path)


@pytest.mark.parametrize("is_nested", [False, True])
def test_masks_after_treatment_are_said_to_have_cavities(tmp_path: Path, is_nested: bool) -> None:
    for seed, name in enumerate(("BraTS-GLI-02064-100", "BraTS-GLI-02064-101", "BraTS-GLI-00001-000")):
        write_brats(tmp_path / (name[-3:] if is_nested else ""), name, seed=seed)
    (note,) = find_layout(tmp_path).notes
    assert note.startswith("The masks of 2 of 3 patients are called as those after treatment") and "label 4" in note


@pytest.mark.parametrize(
    "name", ["{}_pred_seg", "{}_prediction_seg", "{}_nnunet_seg", "{}_output_seg", "{}_ai_mask", "pred_{}_seg"]
)
def test_a_models_answer_by_its_name_is_no_experts_mask(tmp_path: Path, name: str) -> None:
    """It was the truth without a word, and beside an expert's mask failed the patient or was left out."""
    for seed, patient in enumerate(("AI", "P2")):
        write_brats(tmp_path, patient, seed=seed)
        (tmp_path / patient / f"{patient}-seg.nii.gz").rename(tmp_path / patient / f"{name.format(patient)}.nii.gz")
    (note,) = find_layout(tmp_path).notes
    assert note.startswith("The masks of 2 of 2 patients were made by a program")
    for seed, patient in enumerate(("AI", "P2")):
        write_brats(tmp_path, patient, seed=seed)
    layout = find_layout(tmp_path)
    assert not layout.notes and {group.count for group in layout.left_out} == {2}
    assert {file_of(case.mask).name for case in layout.cases} == {"AI-seg.nii.gz", "P2-seg.nii.gz"}
