"""POST /api/v1/scans with DICOM files: series told apart by their headers, geometry kept, patients' names not."""

import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from ml.sandbox.decoder import Decoder
from ml.sandbox.launcher import Sandbox
from ml.scans import ScanError
from tests.support import dicom_files, volume_files
from tests.webapp.api.test_volumes import check_place, fetch
from tests.webapp.clients import NOTHING, SCANS, finish, resources_of, send, traces

SHAPE = (28, 32, 24)
AFFINE = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), SHAPE)
VOXELS = volume_files.head(AFFINE, SHAPE, "uint16")
HALFWAY = {"threshold": str((19 + 169) / 2 / 255)}


def named(files: list[bytes], name: str = "head/{}.dcm") -> list[tuple[str, bytes]]:
    """Under numbers in no spatial order."""
    mixed = list(files)
    random.Random(3).shuffle(mixed)
    return [(name.format(number), data) for number, data in enumerate(mixed)]


def result(app: Flask, *files: tuple[str, bytes]) -> dict[str, Any]:
    client = app.test_client()
    response = send(client, *files, form=HALFWAY)
    assert response.status_code == 202, response.json
    [scan] = response.json["scans"]
    finish(resources_of(app), scan["segmentation"]["id"])
    found: dict[str, Any] = client.get(f"{SCANS}/{scan['id']}").json
    return found


def codes(scan: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in scan["segmentation"]["warnings"]]


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSR", "LIP", "AIL"])
def test_a_series_is_a_volume_whose_mask_comes_back(
    app: Flask, client: FlaskClient, tmp_path: Path, orientation: str
) -> None:
    affine = volume_files.affine_of(orientation, (5.5, 5.5, 6.0), SHAPE)
    if np.linalg.det(affine[:3, :3] * [[-1], [-1], [1]]) < 0:  # slices follow the normal of rows and columns
        affine[:3, 2] *= -1
        affine[:3, 3] -= affine[:3, 2] * (SHAPE[2] - 1)
    scan = result(app, *named(dicom_files.series(volume_files.head(affine, SHAPE, "uint16"), affine)))
    assert (scan["filename"], scan["format"], scan["geometry"]["shape"]) == ("head", "dicom", list(SHAPE))
    assert scan["geometry"]["frame_of_reference"] == "1.2.826.0.1.3680043.8.498.1"
    assert codes(scan) == ["head_scaled", "gray_repeated"]
    scan["links"] = {**scan["links"]}
    check_place(fetch(client, scan, "mask", tmp_path), affine, volume_files.tumor(affine, SHAPE))


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        *dicom_files.ENCODERS,
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_every_transfer_syntax_shows_the_same(app: Flask, syntax: pydicom.uid.UID) -> None:
    plain = result(app, *named(dicom_files.series(VOXELS, AFFINE)))["segmentation"]
    other = result(app, *named(dicom_files.series(VOXELS, AFFINE, syntax)))["segmentation"]
    assert other["slices"] == plain["slices"]
    assert other["volume_ml"] == plain["volume_ml"] == pytest.approx(int((VOXELS == 900).sum()) * 0.165)


def test_rescale_inversion_and_signs_change_no_picture(app: Flask) -> None:
    plain = result(app, *named(dicom_files.series(VOXELS, AFFINE)))["segmentation"]["slices"]
    slopes = [float(1 + k % 3) for k in range(SHAPE[2])]
    scaled = VOXELS // np.array([1 + k % 3 for k in range(SHAPE[2])])
    voxels = np.where(VOXELS % 6 == 0, scaled, VOXELS)  # 0 and 900 are divisible by 1, 2 and 3
    slopes = [slope if (VOXELS[..., k] == voxels[..., k] * slope).all() else 1.0 for k, slope in enumerate(slopes)]
    voxels = np.stack([VOXELS[..., k] // int(slopes[k]) for k in range(SHAPE[2])], axis=-1).astype(np.uint16)
    assert (
        result(app, *named(dicom_files.series(voxels, AFFINE, RescaleSlope=slopes, RescaleIntercept=0.0)))[
            "segmentation"
        ]["slices"]
        == plain
    )
    inverted = dicom_files.series((1000 - VOXELS).astype("int16"), AFFINE, PhotometricInterpretation="MONOCHROME1")
    assert result(app, *named(inverted))["segmentation"]["slices"] == plain


def test_series_of_one_upload_are_scans_of_their_own(client: FlaskClient) -> None:
    first, second = dicom_files.series(VOXELS, AFFINE), dicom_files.series(VOXELS, AFFINE)
    echoes = dicom_files.series(VOXELS, AFFINE, uid="1.2.3", EchoNumbers=1, AcquisitionNumber=1)
    echoes += dicom_files.series(VOXELS, AFFINE, uid="1.2.3", EchoNumbers=2, AcquisitionNumber=1)
    acquisitions = dicom_files.series(VOXELS, AFFINE, uid="1.2.4", AcquisitionNumber=1)
    acquisitions += dicom_files.series(VOXELS, AFFINE, uid="1.2.4", AcquisitionNumber=2)
    response = send(client, *named(first + second + echoes + acquisitions))
    assert [scan["slice_count"] for scan in response.json["scans"]] == [24] * 6
    assert "rejected" not in response.json


def test_a_zip_of_a_series_is_the_series(app: Flask) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in named(dicom_files.series(VOXELS, AFFINE), "IM{:06d}"):
            archive.writestr(name, data)
    scan = result(app, ("patient.zip", file.getvalue()))
    assert (scan["slice_count"], scan["geometry"]["orientation"]) == (24, "LPS")


def test_a_document_and_a_localizer_among_the_images_are_named_or_apart(client: FlaskClient) -> None:
    sideways = volume_files.affine_of("PSR", (5.5, 5.5, 20.0), (32, 32, 1))
    localizer = dicom_files.series(np.full((32, 32, 1), 50, np.uint16), sideways)
    files = [*named(dicom_files.series(VOXELS, AFFINE)), ("report.dcm", dicom_files.pdf())]
    response = send(client, *files, ("localizer.dcm", localizer[0]))
    assert [scan["slice_count"] for scan in response.json["scans"]] == [24]
    refused = {item["filename"]: item["message"] for item in response.json["rejected"]}
    assert "Encapsulated PDF Storage" in refused["report.dcm"]
    assert set(refused) == {"report.dcm", "localizer.dcm"}  # one sagittal slice makes no axial ones


def test_a_missing_slice_is_named_and_takes_the_millimeters(app: Flask, client: FlaskClient) -> None:
    files = dicom_files.series(VOXELS, AFFINE)
    scan = result(app, *named(files[:10] + files[11:]))
    assert (scan["slice_count"], scan["geometry"], scan["spacing_mm"]) == (23, None, None)
    assert "slices_uneven" in codes(scan)
    assert scan["segmentation"]["volume_mm3"] is None
    assert "between slices 10 and 11." in sentence(scan, "slices_uneven")
    response = send(client, *named(sagittal_series()[:10] + sagittal_series()[12:]))
    assert (response.status_code, response.json["code"]) == (422, "unreadable")
    assert "missing between the files of InstanceNumber 10 and 13" in response.json["message"]


def test_a_single_sagittal_slice_that_is_missing_is_filled_and_named(app: Flask) -> None:
    files = sagittal_series()
    whole, filled = result(app, *named(files)), result(app, *named(files[:10] + files[11:]))
    assert filled["geometry"] == whole["geometry"]
    assert "Missing: between the files of InstanceNumber 10 and 12." in sentence(filled, "slices_filled")
    assert filled["segmentation"]["volume_ml"] == pytest.approx(whole["segmentation"]["volume_ml"], rel=0.15)


def sagittal_series() -> list[bytes]:
    affine = volume_files.affine_of("PSR", (5.0, 5.0, 6.0), SHAPE)
    return dicom_files.series(volume_files.head(affine, SHAPE, "uint16"), affine, uid="1.2.5")


def sentence(scan: dict[str, Any], code: str) -> str:
    [message] = [item["message"] for item in scan["segmentation"]["warnings"] if item["code"] == code]
    return str(message)


def before_pixels(file: bytes) -> bytes:
    """A file that a full disk cut in the middle of its header."""
    return file[: file.index(b"\xe0\x7f\x10\x00")]


def after_directions(file: bytes) -> bytes:
    return file[: file.index(b"\x20\x00\x37\x00") + 20]


def turned_to_nothing(file: bytes) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(file))
    dataset.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]
    return dicom_files.written(dataset)


DAMAGES = {
    "its pixels are cut": lambda file: file[:-300],
    "cut before its pixels": before_pixels,
    "cut before its picture": after_directions,
    "directions that are none": turned_to_nothing,
    "noise behind the preamble": lambda file: file[:132] + random.Random(1).randbytes(3000),
}


@pytest.mark.parametrize("name", list(DAMAGES))
@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_a_damaged_file_costs_no_other_and_is_named(app: Flask, client: FlaskClient, name: str, plane: str) -> None:
    files = dicom_files.series(VOXELS, AFFINE) if plane == "axial" else sagittal_series()
    sent = [(f"head/IM{place:03}", DAMAGES[name](data) if place == 10 else data) for place, data in enumerate(files)]
    response = send(client, *sent)
    assert response.status_code == 202, response.json
    assert [item["filename"] for item in response.json["rejected"]] == ["head/IM010"]
    assert response.json["rejected"][0]["message"].startswith("The ")
    [scan] = response.json["scans"]
    finish(resources_of(app), scan["segmentation"]["id"])
    scan = client.get(scan["links"]["self"]).json
    assert scan["slice_count"] >= 23
    assert sentence(scan, "slices_refused").endswith("Left out: IM010.")
    assert ("slices_uneven" if plane == "axial" else "slices_filled") in codes(scan)
    assert "Left out: IM010." in client.get(scan["links"]["page"]).text
    with client.get(scan["links"]["original"]) as original, zipfile.ZipFile(io.BytesIO(original.data)) as archive:
        assert len(archive.namelist()) == 23


def test_a_damaged_file_at_the_end_keeps_the_millimeters(app: Flask) -> None:
    files = dicom_files.series(VOXELS, AFFINE)
    scan = result(app, *named([*files[:-1], before_pixels(files[-1])]))
    assert (scan["slice_count"], scan["geometry"]["shape"]) == (23, [28, 32, 23])
    assert "slices_refused" in codes(scan)


def test_a_series_of_which_too_much_is_damaged_is_refused_by_names(app: Flask, client: FlaskClient) -> None:
    files = [before_pixels(data) if place % 3 == 0 else data for place, data in enumerate(sagittal_series())]
    response = send(client, *((f"IM{place:03}", data) for place, data in enumerate(files)))
    assert response.status_code == 422
    said = {item["filename"]: item["message"] for item in response.json["rejected"]}
    assert len(said) == 24
    assert "ends before its pixels" in said["IM003"]
    assert "Of the 24 files of this series 8 cannot be read" in said["IM001"]
    assert "Unreadable: IM000, IM003, IM006, IM009, IM012, IM015, IM018, IM021." in said["IM001"]
    assert traces(app) == NOTHING


def test_doubled_files_are_used_once_and_films_are_refused(app: Flask, client: FlaskClient) -> None:
    files = dicom_files.series(VOXELS, AFFINE)
    scan = result(app, *named(files + files[3:6]))
    assert scan["slice_count"] == 24
    assert "slices_doubled" in codes(scan)
    film = [data for _ in range(3) for data in dicom_files.series(VOXELS, AFFINE, uid="1.2.9", AcquisitionNumber=1)]
    response = send(client, *named(film))
    assert (response.status_code, response.json["code"]) == (422, "unreadable")
    assert "one volume is read; choose it by its number, from 1 to 3" in response.json["message"]


def test_one_of_several_volumes_of_a_series_is_chosen_by_its_number(app: Flask, client: FlaskClient) -> None:
    levels = [1, 2, 3]
    film = [
        data
        for level in levels
        for data in dicom_files.series(
            VOXELS * level, AFFINE, uid="1.2.9", AcquisitionNumber=1, TemporalPositionIdentifier=level
        )
    ]
    for place in range(len(film)):  # numbered through, as scanners do
        dataset = pydicom.dcmread(io.BytesIO(film[place]))
        dataset.InstanceNumber = place + 1
        film[place] = dicom_files.written(dataset)
    [scan] = send(client, *named(film), form={"volume": "2"}).json["scans"]
    assert (scan["filename"], scan["slice_count"]) == ("head, volume 2", 24)
    finish(resources_of(app), scan["segmentation"]["id"])
    found = client.get(scan["links"]["self"]).json
    assert "volume_chosen" in codes(found)
    assert not [name for name in found["links"] if name.endswith("_dcm")]
    for name in ("segmentation.dcm", "measurements.dcm", "rtstruct.dcm"):
        refused = client.get(f"{SCANS}/{scan['id']}/{name}")
        assert (refused.status_code, refused.json["code"]) == (409, "no_geometry")
        assert "one of several volumes of its files" in refused.json["message"]
    response = send(client, *named(film), form={"volume": "4"})
    assert "the series has 3; choose one from 1 to 3" in response.json["message"]
    plain = send(client, *named(dicom_files.series(VOXELS, AFFINE)), form={"volume": "2"}).json["scans"][0]
    assert plain["filename"] == "head"


def test_spacing_of_zero_is_taken_without_millimeters(app: Flask) -> None:
    scan = result(app, *named(dicom_files.series(VOXELS, AFFINE, PixelSpacing="0\\0")))
    assert (scan["slice_count"], scan["geometry"], scan["spacing_mm"]) == (24, None, None)
    assert "position_unknown" in codes(scan)


def one(**elements: Any) -> bytes:
    return dicom_files.image(VOXELS[:, :, 12].T, AFFINE, 12, "1.2.3", ExplicitVRLittleEndian, **elements)


def nested(depth: int) -> bytes:
    """Sequences within sequences."""
    inner = pydicom.Dataset()
    for _ in range(depth):
        outer = pydicom.Dataset()
        outer.ReferencedImageSequence = [inner]
        inner = outer
    return one(ReferencedImageSequence=[inner])


def junk() -> bytes:
    """A compressed frame whose bytes are noise."""
    whole = dicom_files.image(VOXELS[:, :, 12].T, AFFINE, 12, "1.2.3", JPEG2000Lossless)
    return whole[:-400] + random.Random(4).randbytes(400)


BAD = {
    "random behind DICM": (bytes(128) + b"DICM" + random.Random(1).randbytes(3000), 422),
    "no preamble": (one()[132:], 422),
    "cut": (one()[:-300], 422),
    "a cut header": (one()[:400], 422),
    "no pixels": (dicom_files.pdf(), 422),
    "absurd sides": (one(Rows=65535, Columns=65535), 422),
    "absurd frames": (one(NumberOfFrames=2**31 - 1), 422),
    "no frames": (one(NumberOfFrames=0), 422),
    "zero rows": (one(Rows=0), 422),
    "a CT": (one(Modality="CT"), 422),
    "a mosaic": (one(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), 422),
    "colors": (one(SamplesPerPixel=3, PhotometricInterpretation="RGB"), 422),
    "a directory": (one(SOPClassUID="1.2.840.10008.1.3.10"), 415),
    "junk in a frame": (junk(), 422),
    "random bytes": (random.Random(2).randbytes(3000), 415),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_files_are_answered_in_a_sentence(app: Flask, client: FlaskClient, name: str) -> None:
    data, status = BAD[name]
    response = send(client, ("scan.dcm", data))
    assert response.status_code == status, response.json
    assert response.json["message"].endswith(".")
    assert dicom_files.CANARY not in response.text
    assert traces(app) == NOTHING


def test_nested_sequences_do_no_harm(client: FlaskClient) -> None:
    assert send(client, ("deep.dcm", nested(60))).status_code in (202, 422)


def test_a_deflate_bomb_is_a_limit(app: Flask, client: FlaskClient) -> None:
    bomb = dicom_files.image(
        np.zeros((20, 20), np.uint16),
        AFFINE,
        0,
        "1.2.3",
        DeflatedExplicitVRLittleEndian,
        EncapsulatedDocument=bytes(2**29 * 2 - 2),
    )
    assert len(bomb) < 3_000_000
    response = send(client, ("bomb.dcm", bomb))
    assert response.status_code == 422
    assert traces(app) == NOTHING


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


def test_many_files_have_as_much_time_as_their_number_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        Sandbox, "run", lambda _self, _request, _access, times: asked.append(times) or {"code": "limit"}
    )
    decoder = Decoder()
    for count in (1, 100, 101, 512, 100_000):
        with pytest.raises(ScanError):
            decoder.sort_series([tmp_path] * count)
    assert asked == [1, 1, 2, 6, 255]
