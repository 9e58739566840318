"""A patient's name in 40 elements of a DICOM series, in private ones and in the file names: nowhere afterwards."""

import io
import logging
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from flask import Flask
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from ml.scans.readers.dicom.identifiers import without_people
from tests.support import dicom_files
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE, VOXELS, result
from tests.webapp.clients import SCANS, resources_of
from webapp.domain.scans.pseudonyms import pseudonym

NAME, NUMBER = "Kanarienvogel", "47110815"
_TEXT = """
PatientName PatientID OtherPatientNames PatientBirthName PatientMotherBirthName ReferringPhysicianName
PerformingPhysicianName OperatorsName RequestingPhysician NameOfPhysiciansReadingStudy PhysiciansOfRecord
InstitutionName InstitutionAddress InstitutionalDepartmentName StationName DeviceSerialNumber AccessionNumber
StudyID StudyDescription SeriesDescription ProtocolName ImageComments PatientComments AdditionalPatientHistory
PatientAddress PatientTelephoneNumbers Occupation EthnicGroup MilitaryRank CountryOfResidence RegionOfResidence
MedicalRecordLocator Allergies MedicalAlerts RequestedProcedureDescription RequestedProcedureID
PerformedProcedureStepDescription PerformedProcedureStepID ScheduledProcedureStepDescription
DerivationDescription IssuerOfPatientID PatientInsurancePlanCodeSequence
"""
TAGS = _TEXT.split()


def canaries() -> dict[str, Any]:
    elements: dict[str, Any] = {}
    for tag in TAGS:
        if dictionary_VR(tag) == "SQ":
            item = Dataset()
            item.CodeMeaning = NAME
            elements[tag] = [[item]] * SHAPE[2]  # one value a slice
        else:
            elements[tag] = NUMBER if tag in ("PatientID", "AccessionNumber", "StudyID") else NAME
    return elements


def test_a_name_in_forty_elements_and_the_file_names_is_nowhere(
    app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert len(TAGS) >= 40
    files = dicom_files.series(VOXELS, AFFINE, **canaries())
    assert all(data.count(NAME.encode()) > 35 for data in files)

    scan = result(app, *[(f"{NAME}^Jane_{NUMBER}/{NAME} {k}.dcm", data) for k, data in enumerate(files)])

    assert scan["filename"] == "Jane"
    client = app.test_client()
    answers = [client.get(path, buffered=True).data for path in (f"/scans/{scan['id']}", "/scans", *_downloads(scan))]
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    places = [*answers, *stored, caplog.text.encode()]
    for word in (NAME.encode(), NUMBER.encode(), dicom_files.CANARY.encode()):
        assert not any(word in data for data in places)


def _downloads(scan: dict[str, Any]) -> list[str]:
    kinds = ("original", "download.zip", "mask.nii.gz", "measurements.json")
    return [f"{SCANS}/{scan['id']}", *(f"{SCANS}/{scan['id']}/{kind}" for kind in kinds)]


def test_one_patient_has_one_pseudonym_which_needs_the_key(app: Flask) -> None:
    first = result(app, *_named(dicom_files.series(VOXELS, AFFINE, PatientID="H-123")))
    second = result(app, *_named(dicom_files.series(VOXELS + 1, AFFINE, PatientID="H-123")))
    other = result(app, *_named(dicom_files.series(VOXELS, AFFINE, PatientID="H-124")))
    nobody = result(app, *_named(dicom_files.series(VOXELS + 2, AFFINE, PatientID="ANON", PatientName="")))
    by_name = result(app, *_named(dicom_files.series(VOXELS + 3, AFFINE, PatientID="0", PatientName="Miller^Jane")))
    patient = first["series"]["patient"]
    assert patient == second["series"]["patient"] != other["series"]["patient"]
    assert nobody["series"]["patient"] is None
    assert by_name["series"]["patient"] not in (None, patient)
    key = resources_of(app).settings.secret_key
    assert pseudonym(key, "digest") != pseudonym(key + "x", "digest")
    assert "H" not in patient, "a pseudonym has digits of 16, and may have those of an id by chance"


def _named(files: list[bytes]) -> list[tuple[str, bytes]]:
    return [(f"head/{k}.dcm", data) for k, data in enumerate(files)]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("head", "head"),
        ("MILLER_jane_flair", "flair"),
        ("2024 Miller, FLAIR.dcm", "2024 FLAIR.dcm"),
        ("Miller.dcm", ""),
        ("Miller^Jane", ""),
        ("J Millers", "J Millers"),
    ],
)
def test_a_files_name_loses_the_words_that_its_header_has_for_people(name: str, left: str) -> None:
    header = Dataset()
    header.PatientName, header.PatientID = "Miller^Jane", "7"
    assert without_people([name], header) == [left]


@pytest.mark.parametrize(
    ("said", "name", "left"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎 FLAIR", "FLAIR"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田 太郎 FLAIR", "FLAIR"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "홍길동 flair", "flair"),
        ("Müller^Jörg", "Mueller Joerg FLAIR", "FLAIR"),
        ("Mueller^Joerg", "Müller_Jörg FLAIR", "FLAIR"),
        ("Müller^Jörg", "Muller, Jorg", ""),
        ("Müller^Jörg", "Mu\u0308ller flair", "flair"),
        ("De La Cruz^Maria", "delacruz_maria flair", "flair"),
        ("De La Cruz^Maria", "de la Cruz flair", "flair"),
        ("O'Neil^Sean", "ONeil Sean", ""),
        ("O'Neil^Sean", "O'Neil flair", "flair"),
        ("Smith^John", "SMITHJOHN", ""),
        ("Smith^John", "JohnSmith_t2", "t2"),
        ("John Smith", "smith_j flair", "flair"),
        ("Nguyễn^Văn An", "Nguyen Van An flair", "flair"),
        ("Øster^Søren", "Oster Soeren flair", "flair"),
        ("Miller^Jane", "flair 12-345-678", "flair"),
        ("Miller^Jane", "flair 12.03.1975", "flair"),
        ("Miller^Jane", "flair 1975-03-12", "flair"),
        ("Miller^Jane", "flair 12.03.75", "flair"),
        ("Miller^Jane", "750312_flair", "flair"),
        ("Miller^Jane", "flair 03-12-75", "flair"),
        ("Miller^Jane", "flair axial 3", "flair axial 3"),
        ("Miller^Jane", "Milleri flair", "Milleri flair"),
    ],
)
def test_a_name_in_other_letters_and_another_order_is_taken_out(said: str, name: str, left: str) -> None:
    header = Dataset()
    header.PatientName, header.PatientID, header.PatientBirthDate = said, "0012345678", "19750312"
    assert without_people([name], header) == [left]


@pytest.mark.parametrize(
    ("said", "stated", "name", "left"),
    [
        ("Müller^Jörg".encode(), "ISO_IR 100", "Müller_Jörg flair", "flair"),
        ("Müller^Jörg".encode(), None, "Mueller Joerg flair", "flair"),
        ("Müller^Jörg".encode("latin-1"), None, "Müller flair", "flair"),
        ("Müller^Jörg".encode("latin-1"), "ISO_IR 192", "Müller Jörg flair", "flair"),
        ("Wiśniewska^Łucja".encode("cp1250"), "ISO_IR 100", "WISNIEWSKA LUCJA flair", "flair"),
        ("Иванов^Иван".encode("cp1251"), "ISO_IR 100", "Иванов flair", "flair"),
        ("Иванов^Иван".encode("cp1251"), None, "ИВАНОВ ИВАН flair", "flair"),
        ("山田^太郎".encode("shift-jis"), None, "山田太郎 flair", "flair"),
        ("山田^太郎".encode("iso2022-jp"), None, "山田 太郎 flair", "flair"),
        ("李^娜".encode("gbk"), "ISO_IR 100", "李娜 flair", "flair"),
        ("홍^길동".encode("euc-kr"), None, "홍길동 flair", "flair"),
        ("Παπάς^Γιώργος".encode("iso8859-7"), None, "Παπάς flair", "flair"),
        ("Müller^Jörg".encode("latin-1"), None, "Kopf flair", "Kopf flair"),
    ],
)
def test_a_name_in_a_character_set_that_its_file_does_not_state_is_taken_out(
    said: bytes, stated: str | None, name: str, left: str
) -> None:
    """Scanners and discs often write another set than they say, or say none."""
    place = "X" * (len(said) + len(said) % 2)
    file = dicom_files.series(VOXELS, AFFINE, PatientName=place, SpecificCharacterSet=stated)[0]
    file = file.replace(place.encode(), said.ljust(len(place)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert without_people(["other", name], pydicom.dcmread(io.BytesIO(file))) == ["other", left]


def test_a_folder_that_macos_sends_keeps_its_other_words(app: Flask) -> None:
    """It writes letters and their accents apart, also in the words that stay."""
    folder = unicodedata.normalize("NFD", "Müller Schädel")
    files = dicom_files.series(VOXELS, AFFINE, PatientName="Müller^Jörg")
    scan = result(app, *[(f"{folder}/{k}.dcm", data) for k, data in enumerate(files)])
    assert scan["filename"] == "Schädel"
