"""Series with files that are missing, damaged or hostile: what is left is read, and the rest is named."""

import io
import random
import zipfile
import zlib
from typing import Any

import numpy as np
import pydicom
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
)

from tests.support import dicom_files
from tests.support.deflate_bombs import deflated
from tests.webapp.api.series.drawn_head import AFFINE, VOXELS, codes, named, result, sagittal_series, sentence
from tests.webapp.clients import NOTHING, finish, resources_of, send, traces


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
    small = dicom_files.image(
        np.zeros((20, 20), np.uint16),
        AFFINE,
        0,
        "1.2.3",
        DeflatedExplicitVRLittleEndian,
        EncapsulatedDocument=b"zeros!",
    )
    # Behind the file's preamble and its meta group, whose first element says how long the others are (part 10, 7.1).
    start = 144 + int.from_bytes(small[140:144], "little")
    dataset = zlib.decompress(small[start:], -zlib.MAX_WBITS)
    length, value, rest = dataset.partition(b"zeros!")
    assert length.endswith((6).to_bytes(4, "little")) and value
    bomb = small[:start] + deflated(length[:-4] + (2**30).to_bytes(4, "little"), 1024, rest)
    assert len(bomb) < 3_000_000
    response = send(client, ("bomb.dcm", bomb))
    assert response.status_code == 422
    assert traces(app) == NOTHING
