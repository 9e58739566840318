"""What a series and its patient are called: words of protocols and years, never a patient's name."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pydicom
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support import dicom_files, volume_files
from tests.webapp.api.series.drawn_head import AFFINE, VOXELS, named
from tests.webapp.clients import finish, resources_of, send


def test_no_value_of_a_patient_is_kept(app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    files = [*named(dicom_files.series(VOXELS, AFFINE), "{}.dcm"), ("report.dcm", dicom_files.pdf())]
    response = send(client, *files)
    [scan] = response.json["scans"]
    assert scan["filename"] == "DICOM series"
    finish(resources_of(app), scan["segmentation"]["id"])
    with client.get(scan["links"]["original"]) as original:
        assert "DICOM series.zip" in original.headers["Content-Disposition"]
        with zipfile.ZipFile(io.BytesIO(original.data)) as archive:
            copies = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()]
    assert len(copies) == 24
    assert copies[0].PatientIdentityRemoved == "YES"
    assert not any(element.tag.is_private for element in copies[0])
    kept = [str(copies[0].PatientName), str(copies[0].PatientID), str(copies[0].get("SeriesDescription"))]
    assert kept == ["", "", "None"]
    canary = dicom_files.CANARY.encode()
    instance = Path(resources_of(app).settings.instance_dir)
    for path in instance.rglob("*"):
        if path.is_file():
            assert canary not in path.read_bytes(), path.name
    assert dicom_files.CANARY not in caplog.text
    for page in (f"/scans/{scan['id']}", "/scans", scan["links"]["self"]):
        assert dicom_files.CANARY not in client.get(page).text


def test_series_of_one_patient_are_a_study(client: FlaskClient) -> None:
    kinds, patients = ["Ax FLAIR", "Ax T1"], ["A", "B"]
    for folder, studies in (("P07", {"P07"}), ("", {"DICOM examination, 20"})):
        files = [file for kind in kinds for file in dicom_files.series(VOXELS, AFFINE, SeriesDescription=kind)]
        scans = send(client, *named(files, f"{folder}/{{}}")).json["scans"]
        assert {scan["study"]["name"].split(",")[0] for scan in scans} == {name.split(",")[0] for name in studies}
        assert len({scan["study"]["id"] for scan in scans}) == 1
    both = [
        file
        for patient in patients
        for kind in kinds
        for file in dicom_files.series(VOXELS, AFFINE, SeriesDescription=kind, PatientID=patient)
    ]
    scans = send(client, *named(both, "export/{}")).json["scans"]
    assert {scan["study"]["name"].partition(", 20")[0] for scan in scans} == {"export, patient 1", "export, patient 2"}


@pytest.mark.parametrize("form", [{}, {"study": "ST000000"}], ids=["a program", "the page, which names the folder"])
def test_discs_of_two_patients_are_two_studies_though_their_folders_are_called_alike(
    client: FlaskClient, form: dict[str, str]
) -> None:
    """As every disc has its ST000000: who reads a study takes it for one person's."""

    def studies_of(patient: str) -> set[str]:
        files = [
            (f"DICOM/PA000000/ST000000/SE00000{number}/IM{place:06}", data)
            for number in (1, 2)
            for place, data in enumerate(dicom_files.series(VOXELS, AFFINE, PatientID=patient))
        ]
        return {scan["study"]["name"] for scan in send(client, *files, form=form).json["scans"]}

    assert studies_of("A") == studies_of("A") == {"ST000000"}
    [other] = studies_of("B")
    assert other.startswith("ST000000, 20")
    assert studies_of("A") == {"ST000000"}


@pytest.mark.parametrize(
    "nobody",
    [
        "",
        "ANONYMOUS",
        "Patient^Anonymized",
        "000000",
        "De-identified^Patient",
        "ANON^ANON",
        "*****",
        "Anonymisé",
        "Removed by CTP",
    ],
)
def test_discs_of_which_nobody_says_whose_they_are_are_a_study_each(client: FlaskClient, nobody: str) -> None:
    def sent(*examinations: str) -> list[dict[str, Any]]:
        elements = {"PatientID": nobody, "PatientName": nobody}
        files = [
            (f"ST000000/{uid}-{number}-{place:03}", data)
            for uid in examinations
            for number in (1, 2)
            for place, data in enumerate(dicom_files.series(VOXELS, AFFINE, StudyInstanceUID=uid, **elements))
        ]
        return send(client, *files).json["scans"]

    def names(scans: list[dict[str, Any]]) -> set[str]:
        return {scan["study"]["name"].partition(", 20")[0] for scan in scans}

    first, second = sent("1.2.1"), sent("1.2.2")
    assert {scan["series"]["patient"] for scan in first + second} == {None}
    assert names(first) == names(second) == {"ST000000"}
    assert len({scan["study"]["id"] for scan in first + second}) == 2
    assert {scan["study"]["id"] for scan in sent("1.2.1")} == {scan["study"]["id"] for scan in first}
    assert names(sent("1.2.3", "1.2.4")) == {"ST000000, patient 1", "ST000000, patient 2"}


def test_a_study_that_somebody_named_takes_whom_they_put_there(client: FlaskClient) -> None:
    names = set()
    for patient in ("A", "B"):
        files = [data for _ in range(2) for data in dicom_files.series(VOXELS, AFFINE, PatientID=patient)]
        scans = send(client, *named(files, "P07/{}"), form={"study": "Trial 12"}).json["scans"]
        names |= {scan["study"]["name"] for scan in scans}
    assert names == {"Trial 12"}


def label(client: FlaskClient, **elements: Any) -> dict[str, Any]:
    [scan] = send(client, *named(dicom_files.series(VOXELS, AFFINE, **elements))).json["scans"]
    return {name: value for name, value in scan["series"].items() if name != "patient"}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("t1_fl2d_sag", "t1 fl2d sag"),
        ("Ax T2 FLAIR Miller^John 19330204", "Ax T2 FLAIR"),
        ("AX T1+C POST, DR. DIXON", "AX T1+C POST"),
        ("Canary flair", "flair"),
        ("w Canary 4711", "axial spin echo, TR 9000, TE 92, TI 2500"),
        ("", "axial spin echo, TR 9000, TE 92, TI 2500"),
    ],
)
def test_words_of_protocols_describe_a_series_and_no_others(client: FlaskClient, said: str, shown: str) -> None:
    times = {"ScanningSequence": "SE", "RepetitionTime": 9000, "EchoTime": 92, "InversionTime": 2500}
    elements = {"SeriesDescription": said, "StudyDate": "20140310", "ReferringPhysicianName": "Dixon^Maria"}
    assert label(client, **elements, **times) == {"description": shown, "modality": "MR", "date": "2014"}


@pytest.mark.parametrize("date", ["", "19330204", "99991231"])
def test_a_date_that_is_none_is_left_out(client: FlaskClient, date: str) -> None:
    found = label(client, SeriesDate=date, SeriesDescription="flair")
    assert found == {"description": "flair", "modality": "MR", "date": None}


def test_what_is_no_series_has_none(client: FlaskClient) -> None:
    files = [("a.nii", volume_files.nifti(VOXELS.astype("int16"), AFFINE, is_packed=False))]
    assert [scan["series"] for scan in send(client, *files).json["scans"]] == [None]


def test_series_of_one_folder_are_told_apart_by_their_words(client: FlaskClient) -> None:
    kinds = ["Ax FLAIR", "Ax T1 Canary", "Ax T1"]
    files = [data for kind in kinds for data in dicom_files.series(VOXELS, AFFINE, SeriesDescription=kind)]
    scans = send(client, *((f"P7/{place:03}", data) for place, data in enumerate(files))).json["scans"]
    assert [scan["filename"] for scan in scans] == ["P7, Ax FLAIR", "P7, Ax T1", "P7, Ax T1 (2)"]
    with client.get(scans[0]["links"]["original"]) as original:
        assert "P7, Ax FLAIR.zip" in original.headers["Content-Disposition"]


def test_two_patients_in_one_zip_are_told_apart_and_not_named(app: Flask, client: FlaskClient) -> None:
    uid = "1.2.840.4711"  # one for both: a careless export
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for patient in ("Canary-1", "Canary-2"):
            files = dicom_files.series(VOXELS, AFFINE, uid=uid, PatientID=patient, SeriesDescription="flair")
            for place, data in enumerate(files):
                archive.writestr(f"out/{patient[-1]}{place:03}.dcm", data)
    response = send(client, ("zip.zip", file.getvalue()))
    assert [(scan["filename"], scan["slice_count"]) for scan in response.json["scans"]] == [
        ("out, patient 1, flair", 24),
        ("out, patient 2, flair", 24),
    ]
    assert "Canary" not in response.text
    for path in Path(resources_of(app).settings.instance_dir).rglob("*"):
        assert not path.is_file() or b"Canary" not in path.read_bytes(), path.name


@pytest.mark.parametrize("uid", ["1.2.3.4", ""])
def test_patients_whom_no_header_names_are_told_apart_by_their_folders(client: FlaskClient, uid: str) -> None:
    """A tool gave all of them one UID of series, or none; by their positions they would be one stack."""
    elements = {"PatientID": "", "PatientName": "", "StudyInstanceUID": "", "SeriesInstanceUID": uid}
    files = []
    for patient in (1, 2):
        affine = AFFINE.copy()
        affine[:, 3] += (patient - 1) * VOXELS.shape[2] * affine[:, 2]
        for kind in ("flair", "t1"):
            slices = dicom_files.series(VOXELS, affine, **elements)
            files += [(f"set/sub-0{patient}/{kind}/{place:03}", data) for place, data in enumerate(slices)]
    scans = send(client, *files).json["scans"]
    assert {(scan["filename"], scan["slice_count"]) for scan in scans} == {
        (f"sub-0{patient} {kind}", 24) for patient in (1, 2) for kind in ("flair", "t1")
    }
    assert {scan["study"]["name"].partition(",")[0] for scan in scans} == {"sub-01", "sub-02"}


def test_the_folder_tells_patients_apart_and_its_name_of_a_patient_is_not_shown(client: FlaskClient) -> None:
    files = [
        (f"disc/{name}/flair/{place:03}", data)
        for name in ("Miller^Jane", "P8")
        for place, data in enumerate(dicom_files.series(VOXELS, AFFINE, PatientID=name, PatientName=name))
    ]
    scans = send(client, *files).json["scans"]
    assert [scan["filename"] for scan in scans] == ["flair, patient 1", "P8 flair, patient 2"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Study/Visit_A/DICOM/I{:03}.dcm", "Visit_A DICOM"),
        ("Study/Visit_A/dicom/flair/I{:03}.dcm", "Visit_A dicom flair"),
        ("Visit_A/I{:03}.dcm", "Visit_A"),
        ("DICOM/I{:03}.dcm", "DICOM"),
        ("Study/Visit_A/Ax FLAIR/I{:03}.dcm", "Ax FLAIR"),
        ("Miller^Jane/DICOM/I{:03}.dcm", "DICOM"),
    ],
)
def test_a_folder_that_every_patient_has_follows_the_next_one(client: FlaskClient, path: str, name: str) -> None:
    """The portal's page sends each examination of a drop by itself: two patients' were both "DICOM"."""
    files = dicom_files.series(VOXELS, AFFINE, PatientID="4711", PatientName="Miller^Jane")
    [scan] = send(client, *[(path.format(place), data) for place, data in enumerate(files)]).json["scans"]
    assert scan["filename"] == name


def test_a_single_file_of_a_scanner_follows_its_folder(client: FlaskClient) -> None:
    [slice_, *_] = dicom_files.series(VOXELS, AFFINE)
    names = {"P7/DICOM/IM_0001": "P7 DICOM IM_0001", "IM_0001": "IM_0001", "P7/flair.dcm": "flair.dcm"}
    for path, name in names.items():
        [scan] = send(client, (path, slice_)).json["scans"]
        assert scan["filename"] == name


def test_a_second_examination_is_a_study_of_its_own_though_its_disc_is_called_alike(client: FlaskClient) -> None:
    def studies_of(examination: str, form: dict[str, str]) -> set[str]:
        files = [
            (f"ST000000/SE{number}/IM{place:06}", data)
            for number in (1, 2)
            for place, data in enumerate(
                dicom_files.series(VOXELS, AFFINE, PatientID="A7", StudyInstanceUID=examination)
            )
        ]
        return {scan["study"]["name"] for scan in send(client, *files, form=form).json["scans"]}

    assert studies_of("1.2.1", {}) == studies_of("1.2.1", {}) == {"ST000000"}
    [second] = studies_of("1.2.2", {"study": "ST000000"})  # as the page names the folder
    assert second.startswith("ST000000, 20")
    assert studies_of("1.2.3", {"study": "Visits of A7"}) == studies_of("1.2.4", {"study": "Visits of A7"})
