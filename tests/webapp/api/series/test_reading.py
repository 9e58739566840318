"""POST /api/v1/scans with DICOM files: series told apart by their headers, geometry kept."""

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

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
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from ml.sandbox.decoder import Decoder
from ml.sandbox.launcher import Sandbox
from ml.scans import ScanError
from tests.support import dicom_files, volume_files
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE, VOXELS, codes, named, result
from tests.webapp.api.test_volumes import check_place, fetch
from tests.webapp.clients import SCANS, finish, resources_of, send


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
    assert response.json["rejected"] == []


def test_a_zip_of_a_series_is_the_series(app: Flask) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in named(dicom_files.series(VOXELS, AFFINE), "IM{:06d}"):
            archive.writestr(name, data)
    scan = result(app, ("patient.zip", file.getvalue()))
    assert (scan["slice_count"], scan["geometry"]["orientation"]) == (24, "LPS")


def test_a_document_and_a_localizer_among_the_images_are_named_or_apart(client: FlaskClient) -> None:
    sideways = volume_files.affine_of("PSR", (5.5, 5.5, 20.0), (32, 32, 1))
    across = volume_files.affine_of("RSA", (5.5, 5.5, 20.0), (32, 32, 1))
    localizer = [
        file
        for affine in (sideways, across)
        for file in dicom_files.series(np.full((32, 32, 1), 50, np.uint16), affine, uid="1.2.9")
    ]
    files = [*named(dicom_files.series(VOXELS, AFFINE)), ("report.dcm", dicom_files.pdf())]
    response = send(client, *files, ("sagittal.dcm", localizer[0]), ("coronal.dcm", localizer[1]))
    assert [scan["slice_count"] for scan in response.json["scans"]] == [24]
    refused = {item["filename"]: item["message"] for item in response.json["rejected"]}
    assert "Encapsulated PDF Storage" in refused["report.dcm"]
    assert set(refused) == {"report.dcm", "sagittal.dcm", "coronal.dcm"}  # one such slice makes no axial ones
    assert "A localizer, or a few slices of another plane" in refused["sagittal.dcm"]
    assert refused["coronal.dcm"] == refused["sagittal.dcm"]


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


def _capture(pixels: np.ndarray) -> bytes:
    """A gray picture of a screen, as a dose sheet is, of the patient and the modality of the images."""
    dataset = dicom_files.blank(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)
    dataset.SeriesInstanceUID, dataset.Modality, dataset.InstanceNumber = generate_uid(), "MR", 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dicom_files.written(dataset)


def test_a_screens_picture_beside_the_images_is_no_scan_and_alone_it_is(client: FlaskClient) -> None:
    capture = ("head/capture.dcm", _capture(VOXELS[:, :, 12].T.astype(np.uint16)))
    answer = send(client, *named(dicom_files.series(VOXELS, AFFINE)), capture).json
    assert [scan["slice_count"] for scan in answer["scans"]] == [SHAPE[2]]
    [refused] = answer["rejected"]
    assert (refused["filename"], refused["code"]) == ("head/capture.dcm", "unsupported")
    assert "Secondary Capture" in refused["message"]
    assert len(send(client, capture).json["scans"]) == 1


def test_many_files_have_as_much_time_as_their_number_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        Sandbox, "run", lambda _self, _request, _access, times: asked.append(times) or {"code": "limit"}
    )
    decoder = Decoder()
    for count in (1, 100, 101, 512, 100_000):
        with pytest.raises(ScanError):
            decoder.sort_series([tmp_path] * count, [""] * count)
    assert asked == [1, 1, 2, 6, 255]


def _of_lying_length() -> bytes:
    """An element says that it has 1.8 GB, in a file of 300 bytes."""
    return bytes(128) + b"DICM" + bytes.fromhex("02000000554c0400be000000") + b"junk" * 40


def _deflate_bomb() -> bytes:
    """Its dataset unpacks to more than a reader may have."""
    [data] = dicom_files.series(VOXELS[..., :1], AFFINE, DeflatedExplicitVRLittleEndian)
    length = 128 + 4 + 12 + pydicom.dcmread(io.BytesIO(data)).file_meta.FileMetaInformationGroupLength
    # (0009,0010) of 2 GiB - 16, UN, in front of everything else; raw deflate.
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(bytes.fromhex("09001000554e0000f0ffff7f"))
    packed += b"".join(packer.compress(bytes(2**24)) for _ in range(96)) + packer.flush()
    return data[:length] + packed


@pytest.mark.parametrize("made", [_of_lying_length, _deflate_bomb])
def test_a_file_that_asks_for_more_memory_than_there_is_takes_no_other_with_it(
    client: FlaskClient, made: Callable[[], bytes]
) -> None:
    response = send(client, *named(dicom_files.series(VOXELS, AFFINE)), ("head/DICOMDIR", made()))
    assert response.status_code == 202, response.json
    assert [scan["slice_count"] for scan in response.json["scans"]] == [24]
    assert [item["filename"] for item in response.json["rejected"]] == ["head/DICOMDIR"]
