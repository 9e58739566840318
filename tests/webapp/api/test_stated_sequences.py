"""What a volume's file says of its sequence is kept with the scan."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support import dicom_files, volume_files
from tests.webapp.clients import finish, resources_of, send
from webapp.schemas.labels import SEQUENCES

SHAPE = (28, 32, 24)
AFFINE = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), SHAPE)
VOXELS = volume_files.head(AFFINE, SHAPE, "uint16")


def sent(client: FlaskClient, *files: tuple[str, bytes]) -> dict[str, Any]:
    response = send(client, *files)
    assert response.status_code == 202, response.json
    [scan] = response.json["scans"]
    found: dict[str, Any] = scan
    return found


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ({"ProtocolName": "t1_fl2d_sag", "EchoTime": "2.46"}, "t1"),
        ({"ScanningSequence": "EP", "EchoTime": "30"}, "epi"),
        ({"ProtocolName": "AX FLAIR", "EchoTime": "120"}, "flair"),
    ],
)
def test_a_series_says_it_in_its_header_and_nothing_of_the_header_is_kept(
    app: Flask, client: FlaskClient, elements: dict[str, str], kind: str
) -> None:
    files = dicom_files.series(VOXELS, AFFINE, **elements)
    scan = sent(client, *((f"a/{number}.dcm", data) for number, data in enumerate(files)))
    assert scan["sequence"] == {"kind": kind, "source": "header"}
    stored = Path(resources_of(app).settings.instance_dir).rglob("*")
    assert not [path.name for path in stored if path.is_file() and b"t1_fl2d_sag" in path.read_bytes()]
    finish(resources_of(app), scan["segmentation"]["id"])
    assert f"{SEQUENCES[kind]}, by its header" in client.get(f"/scans/{scan['id']}").text


def test_files_of_a_series_that_contradict_each_other_say_nothing(client: FlaskClient) -> None:
    names = ["T1"] * (SHAPE[2] - 1) + ["FLAIR"]
    files = dicom_files.series(VOXELS, AFFINE, ProtocolName=names)
    assert sent(client, *((f"a/{number}.dcm", data) for number, data in enumerate(files)))["sequence"] is None


@pytest.mark.parametrize(
    ("name", "fields", "sequence"),
    [
        ("t1ce.nii.gz", {}, {"kind": "t1_post", "source": "name"}),
        ("head.nii.gz", {"descrip": b"TE=34;Time=140149.418;phase=1"}, {"kind": "other", "source": "header"}),
        ("head.nii.gz", {"descrip": b"3T 3D GR\\IR TR=2300ms/TE=2.98ms MPRAGE"}, {"kind": "t1", "source": "header"}),
        ("flair.nii.gz", {"descrip": b"TE=1.1e+02;Time=224246.728"}, {"kind": "flair", "source": "name"}),
        ("flair.nii.gz", {"descrip": b"TE=1e;TR=.;TE=1.2.3"}, {"kind": "flair", "source": "name"}),
        ("flair.nii.gz", {"descrip": b"TE=17"}, None),
        ("head.nii.gz", {}, None),
    ],
)
def test_a_nifti_volume_says_it_by_name_and_description(
    client: FlaskClient, name: str, fields: dict[str, bytes], sequence: dict[str, str] | None
) -> None:
    file = volume_files.nifti(VOXELS.astype("int16"), AFFINE, **fields)
    assert sent(client, (name, file))["sequence"] == sequence
