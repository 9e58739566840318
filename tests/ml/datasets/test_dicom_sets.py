"""Folders of DICOM series whose masks are DICOM SEG or RTSTRUCT."""

from pathlib import Path

import numpy as np
import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.dicom_headers import DicomHeaders, MaskFile, OtherFile, SeriesFile, dicom_headers
from ml.datasets.loading import load_case
from ml.evaluation.run import read_case
from ml.evaluation.scoring import Failure
from tests.support import mutated_volumes
from tests.support.dicom_sets import OUTLINES, SHAPE, TUMOR, write_outlines, write_seg, write_series
from tests.support.structure_sets import Outline
from webapp.domain.evaluations import manifest


def findings(folder: Path) -> dict[str, tuple[str, ...]]:
    report = check(folder)
    return {problem.code: problem.files for problem in report.problems + report.warnings}


def test_masks_belong_to_the_series_that_they_refer_to(tmp_path: Path) -> None:
    """A SEG below the series, an RTSTRUCT beside it, and names that say nothing."""
    write_series(tmp_path / "P1", "1.2.1")
    write_seg(tmp_path / "P1" / "deeper" / "a.dcm", "1.2.1")
    write_series(tmp_path / "P2", "1.2.2", seed=1, PatientID="other")
    write_outlines(tmp_path / "P2" / "0.dcm", "1.2.2")
    layout, report = find_layout(tmp_path), check(tmp_path)
    assert (layout.name, report.problems, report.warnings, report.left_out) == ("DICOM", (), (), ())
    assert [case.patient for case in layout.cases] == ["P1"] * SHAPE[2] + ["P2"] * SHAPE[2]
    assert report.data_sha256 is not None and report.analysis.tumor_slices == 4
    assert {case.volume.spacing_mm for case in layout.cases if case.volume} == {(12.0, 4.0, 4.0)}
    for index, case in enumerate(layout.cases):
        truth = load_case(case).truth
        assert truth is not None
        np.testing.assert_array_equal(truth, TUMOR[:, :, index % SHAPE[2]].T)  # LPS is the axial stack's order
    listed = [manifest.listed(place, case, tmp_path) for place, case in enumerate(layout.cases)]
    values = manifest.encode(listed)
    assert len(str(values)) < 8000, "the files of a series stand there once"
    assert [one.case(tmp_path) for one in manifest.decode(values)] == list(layout.cases)


def test_a_file_of_a_series_that_changes_is_noticed(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "P1", "1.2.1")
    write_seg(tmp_path / "P1" / "seg.dcm", "1.2.1")
    before = check(tmp_path).data_sha256
    paths[4].write_bytes(paths[4].read_bytes()[:-2] + b"\1\1")
    assert check(tmp_path).data_sha256 != before


def test_a_mask_of_a_series_that_is_not_there_and_two_of_one_are_findings(tmp_path: Path) -> None:
    write_series(tmp_path / "P1", "1.2.1")
    write_seg(tmp_path / "P1" / "seg.dcm", "1.2.1")
    write_seg(tmp_path / "P1" / "lost.dcm", "1.2.99")
    write_series(tmp_path / "P2", "1.2.2", seed=1, PatientID="other")
    write_seg(tmp_path / "P2" / "seg.dcm", "1.2.2")
    write_outlines(tmp_path / "P2" / "rt.dcm", "1.2.2")
    write_series(tmp_path / "P3", "1.2.3", seed=2, PatientID="third")
    found = findings(tmp_path)
    assert found["mask_without_image"] == ("P1/lost.dcm",)
    assert found["doubled_mask"] == ("P2/rt.dcm", "P2/seg.dcm")
    assert found["missing_mask"] == ("P3/1.2.3-00.dcm",)
    doubled = [case for case in find_layout(tmp_path).cases if case.patient == "P2"]
    result = read_case(doubled[0])
    assert len(doubled) == 1 and isinstance(result, Failure) and "two" not in result.message
    assert "masks of one series" in result.message


def test_of_several_masks_of_a_series_the_one_called_as_a_tumor_is_taken(tmp_path: Path) -> None:
    """ReMIND's patients have a SEG for each structure; two that may be the tumor are two masks still."""
    other = np.roll(TUMOR, 9, axis=0)
    for number, names in ((1, ("tumor", "cerebrum", "ventricles")), (2, ("tumor", "Segment_1")), (3, ("a", "b"))):
        write_series(tmp_path / f"P{number}", f"1.2.{number}", seed=number, PatientID=str(number))
        for name in names:
            mask = TUMOR if name == "tumor" else other
            write_seg(tmp_path / f"P{number}" / f"{name}.dcm", f"1.2.{number}", mask, labels=(name,))
    layout = find_layout(tmp_path)
    found = findings(tmp_path)
    assert found["doubled_mask"] == ("P3/a.dcm", "P3/b.dcm")
    [told] = [one.message for one in layout.problems if one.code == "doubled_mask"]
    assert "called a and b" in told
    left_out = {name: group.message for group in layout.left_out for name in group.files}
    assert left_out.keys() == {"P1/cerebrum.dcm", "P1/ventricles.dcm", "P2/Segment_1.dcm"}
    assert "no tumor's" in left_out["P1/cerebrum.dcm"] and "called as a tumor" in left_out["P2/Segment_1.dcm"]
    for case in layout.cases[: SHAPE[2]]:
        assert case.mask is not None and case.mask.parent.name == "tumor.dcm"


def test_a_mask_of_anatomy_alone_is_no_truth(tmp_path: Path) -> None:
    """Neither as SEG nor as the one region of an RTSTRUCT that was drawn, with a tumor's name that has no outline."""
    write_series(tmp_path / "P1" / "flair", "1.2.1", SeriesDescription="Ax T2 FLAIR")
    write_seg(tmp_path / "P1" / "1.dcm", "1.2.1", labels=("Ventricles",))
    write_series(tmp_path / "P1" / "t1", "1.2.2", seed=1, SeriesDescription="Ax T1")
    write_seg(tmp_path / "P1" / "2.dcm", "1.2.2", labels=("Tumor",))
    write_series(tmp_path / "P2", "1.2.3", seed=2, PatientID="other")
    write_outlines(tmp_path / "P2" / "rt.dcm", "1.2.3", [])
    layout = find_layout(tmp_path)
    [left_out] = [group for group in layout.left_out if "no tumor's" in group.message]
    assert left_out.files == ("P1/1.dcm", "P2/rt.dcm")
    assert findings(tmp_path)["missing_mask"] == ("P2/1.2.3-00.dcm",)
    assert {case.image.parent.name for case in layout.cases if case.mask} == {"1.2.2-00.dcm"}


def test_an_empty_mask_is_said(tmp_path: Path) -> None:
    write_series(tmp_path / "P1", "1.2.1")
    write_seg(tmp_path / "P1" / "seg.dcm", "1.2.1", np.zeros(SHAPE, np.bool))
    write_series(tmp_path / "P2", "1.2.2", seed=1, PatientID="other")
    write_outlines(tmp_path / "P2" / "rt.dcm", "1.2.2")
    report = check(tmp_path)
    assert report.is_sound
    assert [(one.code, one.files) for one in report.warnings] == [("empty_mask", ("P1/seg.dcm",))]


def test_only_masks_whose_series_lack_are_refused_by_name(tmp_path: Path) -> None:
    write_seg(tmp_path / "P1" / "lost.dcm", "1.2.99")
    with pytest.raises(DatasetError, match=r"1 mask \(the first: P1/lost.dcm\).*the series whose UID it refers to"):
        check(tmp_path)
    write_series(tmp_path / "P1", "1.2.1")
    with pytest.raises(DatasetError, match=r"P1/lost.dcm"):
        check(tmp_path)


def test_outlines_on_a_planning_ct_are_told_what_they_refer_to(tmp_path: Path) -> None:
    """As GLIS-RT has them. The series that they refer to was asked for, and lay beside them."""
    write_series(tmp_path / "P1" / "mr", "1.2.1")
    write_series(tmp_path / "P1" / "ct", "1.2.2", Modality="CT")
    write_outlines(tmp_path / "P1" / "rt.dcm", "1.2.2")
    with pytest.raises(
        DatasetError, match=r"is there and is not read \(the DICOM file is CT, and the models read MR\)"
    ):
        check(tmp_path)


def test_of_a_patients_series_that_with_a_mask_is_read(tmp_path: Path) -> None:
    """And of several with one FLAIR by its header; two of which nothing says it are two volumes."""
    write_series(tmp_path / "P1" / "flair", "1.2.1", SeriesDescription="Ax T2 FLAIR")
    write_series(tmp_path / "P1" / "t1", "1.2.2", seed=1, SeriesDescription="Ax T1")
    write_series(tmp_path / "P1" / "t2", "1.2.3", seed=2, SeriesDescription="Ax T2")
    for uid in ("1.2.1", "1.2.2"):
        write_seg(tmp_path / "P1" / f"{uid}.dcm", uid)
    layout = find_layout(tmp_path)
    assert {case.image.parent.name for case in layout.cases} == {"1.2.1-00.dcm"}
    [left_out] = layout.left_out
    assert left_out.files == ("P1/t1/1.2.2-00.dcm", "P1/t2/1.2.3-00.dcm")
    write_seg(tmp_path / "P1" / "3.dcm", "1.2.3")
    (tmp_path / "P1" / "1.2.1.dcm").unlink()
    assert {case.patient for case in find_layout(tmp_path).cases} == {"P1/series 1", "P1/series 2"}


def test_series_of_one_patient_on_two_sides_are_no_division(tmp_path: Path) -> None:
    """The headers have one PatientID, whatever the folders are called."""
    for side, name, uid in (("train", "P1", "1.2.1"), ("val", "P2", "1.2.2")):
        write_series(tmp_path / side / name, uid, seed=int(uid[-1]))
        write_seg(tmp_path / side / name / "mask.dcm", uid)
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"P1/series 1", "P1/series 2"}
    assert layout.sides == {} and "shared_patient" in {problem.code for problem in layout.problems}


def test_one_word_for_every_patient_names_nobody(tmp_path: Path) -> None:
    for name, uid in (("P1", "1.2.1"), ("P2", "1.2.2")):
        write_series(tmp_path / name, uid, seed=int(uid[-1]), PatientID="Anonymized", PatientName="Anonymous^^")
        write_seg(tmp_path / name / "mask.dcm", uid)
    assert {case.patient for case in find_layout(tmp_path).cases} == {"P1", "P2"}


def test_a_mask_that_does_not_fit_fails_its_slices_with_a_sentence(tmp_path: Path) -> None:
    write_series(tmp_path / "P1", "1.2.1")
    write_seg(tmp_path / "P1" / "seg.dcm", "1.2.1", FrameOfReferenceUID="1.2.3.4")
    write_series(tmp_path / "P2", "1.2.2", seed=1, PatientID="other")
    write_outlines(
        tmp_path / "P2" / "rt.dcm", "1.2.2", [Outline(OUTLINES[0].points, 2.5 + step / 2) for step in (0, 1)]
    )
    report = check(tmp_path)
    assert [(one.code, one.files) for one in report.problems] == [("unreadable_mask", ("P1/seg.dcm",))]
    assert "another frame of reference" in report.problems[0].message
    assert [(one.code, one.files) for one in report.warnings] == [("mask_on_another_grid", ("P2/rt.dcm",))]
    assert isinstance(read_case(find_layout(tmp_path).cases[0]), Failure)


def test_damaged_files_and_other_objects_are_left_out_by_name(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "P1", "1.2.1")
    write_seg(tmp_path / "P1" / "seg.dcm", "1.2.1")
    (tmp_path / "P1" / "cut.dcm").write_bytes(paths[0].read_bytes()[:200])
    layout = find_layout(tmp_path)
    assert [one.files for one in layout.left_out] == [("P1/cut.dcm",)]
    assert len(layout.cases) == SHAPE[2]


def test_a_series_without_a_slice_is_one_failed_case(tmp_path: Path) -> None:
    write_series(tmp_path / "P1", "1.2.1")[2].unlink()
    write_seg(tmp_path / "P1" / "seg.dcm", "1.2.1")
    report = check(tmp_path)
    assert [(one.code, one.files) for one in report.problems] == [("unreadable_image", ("P1/1.2.1-00.dcm",))]
    assert "uneven distances" in report.problems[0].message


def test_mutated_headers_are_descriptions_or_sentences(tmp_path: Path) -> None:
    """The reader of headers goes on after each, whatever it did to its child."""
    generator = np.random.default_rng(17)
    files = []
    for index in range(120):
        files.append(tmp_path / f"{index}.dcm")
        files[-1].write_bytes(mutated_volumes.broken_mask(index, generator))
    [good, *_] = write_series(tmp_path, "1.2.1")
    with dicom_headers([*files, good]) as headers:
        found = [headers.describe(path) for path in files]
        described = headers.describe(good)
        assert isinstance(described, SeriesFile) and (described.series, described.is_flair) == ("1.2.1", None)
        assert not isinstance(headers.grid([good]), str)
    assert {type(one) for one in found} == {MaskFile, OtherFile}


def test_a_folder_without_a_mask_is_refused_before_every_header_is_read(tmp_path: Path, monkeypatch) -> None:
    asked: list[Path] = []
    describe = DicomHeaders.describe

    def counted(self: DicomHeaders, path: Path) -> SeriesFile | MaskFile | OtherFile:
        asked.append(path)
        return describe(self, path)

    monkeypatch.setattr(DicomHeaders, "describe", counted)
    files = write_series(tmp_path / "P1", "1.2.1")
    with pytest.raises(DatasetError):
        find_layout(tmp_path)
    assert not asked
    write_outlines(tmp_path / "P1" / "rt.dcm", "1.2.1")
    assert find_layout(tmp_path).has_truth and len(asked) == len(files) + 1


def test_a_file_without_bytes_is_called_so_among_the_others(tmp_path: Path) -> None:
    write_series(tmp_path / "P1", "1.2.1")
    write_seg(tmp_path / "P1" / "seg.dcm", "1.2.1")
    (tmp_path / "P1" / "lost.dcm").touch()
    (group,) = find_layout(tmp_path).left_out
    assert group.sentence == "P1/lost.dcm: The file is empty (0 bytes); copy, download or export it again."


def test_patients_are_called_by_their_own_folders_in_those_of_a_download(tmp_path: Path) -> None:
    """NBIA's `manifest-1/COLLECTION/P1`: all were called as the collection."""
    for number, patient in enumerate(("P1", "P2")):
        place = tmp_path / "COLLECTION" / patient / "07-02-1999-NA-MRI" / "5.000000-AX FLAIR"
        write_series(place, f"1.2.{number + 1}", seed=number, PatientID=patient)
        write_outlines(place.parent / "1.000000-RTstruct" / "1-1.dcm", f"1.2.{number + 1}")
    assert {case.patient for case in find_layout(tmp_path).cases} == {"P1", "P2"}
    (tmp_path / "COLLECTION").rename(tmp_path / "train")
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"P1", "P2"} and layout.sides is not None
    assert {side for side, patients in layout.sides.items() if patients} == {"train"}


def test_patients_whom_no_header_names_are_told_apart_by_folders_under_one_series_number(tmp_path: Path) -> None:
    other = np.roll(TUMOR, 6, axis=1)
    for seed, (name, mask) in enumerate((("P1", TUMOR), ("P2", other))):
        write_series(tmp_path / name / "flair", "1.2.1", seed=seed, PatientID="", PatientName="")
        write_seg(tmp_path / name / "seg.dcm", "1.2.1", mask)
    layout, report = find_layout(tmp_path), check(tmp_path)
    assert (report.problems, report.warnings, report.left_out) == ((), (), ())
    assert [case.patient for case in layout.cases] == ["P1"] * SHAPE[2] + ["P2"] * SHAPE[2]
    for case, mask in ((layout.cases[2], TUMOR), (layout.cases[SHAPE[2] + 2], other)):
        truth = load_case(case).truth
        assert truth is not None
        np.testing.assert_array_equal(truth, mask[:, :, 2].T)


def test_series_that_are_no_flair_by_their_headers_are_said_beside_the_figures(tmp_path: Path) -> None:
    """A tumor that was drawn on T1 after contrast was compared with the model's answer on T1, without a word."""
    for number, words in enumerate(("Ax T1 post", "Ax T2 FLAIR", "")):
        write_series(tmp_path / f"P{number}", f"1.2.{number}", seed=number, PatientID=words, SeriesDescription=words)
        write_seg(tmp_path / f"P{number}" / "seg.dcm", f"1.2.{number}")
    (note,) = find_layout(tmp_path).notes
    assert note.startswith("By their headers 1 of 3 series with a mask are no FLAIR") and "the first: P0" in note
