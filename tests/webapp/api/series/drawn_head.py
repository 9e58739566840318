"""A drawn head as a DICOM series, its upload, and what the portal says of it."""

import random
from typing import Any

from flask import Flask

from tests.support import dicom_files, volume_files
from tests.webapp.clients import SCANS, finish, resources_of, send

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


def sagittal_series() -> list[bytes]:
    affine = volume_files.affine_of("PSR", (5.0, 5.0, 6.0), SHAPE)
    return dicom_files.series(volume_files.head(affine, SHAPE, "uint16"), affine, uid="1.2.5")


def sentence(scan: dict[str, Any], code: str) -> str:
    [message] = [item["message"] for item in scan["segmentation"]["warnings"] if item["code"] == code]
    return str(message)
