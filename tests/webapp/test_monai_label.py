"""/monai: MONAI Label's own client, as 3D Slicer's plug-in uses it, against a running portal with its worker."""

import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support import dicom_files, volume_files
from tests.support.portal_process import RunningPortal, running_portal
from tests.webapp.api.test_exports import add_series, judged
from tests.webapp.clients import resources_of
from webapp import monai_label
from webapp.domain.scans.models import Verdict

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the client imports cgi
    from tests.support.vendored.monailabel_client import MONAILabelClient, MONAILabelClientException

SHAPE = (64, 64, 8)
AFFINE = volume_files.affine_of("LPS", (3.0, 3.0, 6.0), SHAPE)
MODEL = "unet-vgg16-lgg"
# The client leaves its sockets and files to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    with running_portal(tmp_path_factory.mktemp("monai"), GLIOSCOPE_MONAI_LABEL="on") as portal:
        yield portal


@pytest.fixture
def viewer(portal: RunningPortal, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(f"{portal.url}/monai", str(tmp_path))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "head.nii.gz"
    path.write_bytes(volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE))
    return path


def test_info_session_infer_and_label(
    portal: RunningPortal, viewer: MONAILabelClient, volume: Path, tmp_path: Path
) -> None:
    info = viewer.info()
    assert info["labels"] == ["tumor"]
    assert info["models"][MODEL]["type"] == "segmentation"

    session = viewer.create_session(str(volume))["session_id"]
    assert viewer.get_session(session)["image"] == session
    file, params = viewer.infer(MODEL, "", {}, session_id=session)

    mask = nibabel.load(file)
    assert mask.shape == SHAPE
    np.testing.assert_allclose(mask.affine, AFFINE, atol=1e-4)
    assert (params["label_names"], params["model"], params["scan"]) == ({"tumor": 1}, MODEL, session)
    _, stored = portal.call("GET", f"/api/v1/scans/{session}/mask.nii.gz?segmentation={params['segmentation']}")
    assert Path(file).read_bytes() == stored

    label = tmp_path / "label.nii.gz"
    truth = volume_files.tumor(AFFINE, SHAPE).astype(np.uint8)
    label.write_bytes(volume_files.nifti(truth, AFFINE))
    assert viewer.save_label(session, str(label))["image"] == session
    _, scan = portal.json("GET", f"/api/v1/scans/{session}")
    assert scan["truth"] is not None

    again, same = viewer.infer(MODEL, session, {})
    assert same["segmentation"] == params["segmentation"], "what is there is not done again"
    assert Path(again).read_bytes() == stored


def test_an_image_may_come_with_the_request(viewer: MONAILabelClient, volume: Path) -> None:
    file, params = viewer.infer(MODEL, "", {}, file=str(volume))
    assert nibabel.load(file).shape == SHAPE
    assert params["model"] == MODEL


@pytest.mark.parametrize("output", ["image", "json"])
def test_an_answer_may_be_the_mask_or_the_words_alone(
    portal: RunningPortal, viewer: MONAILabelClient, volume: Path, output: str
) -> None:
    session = viewer.create_session(str(volume))["session_id"]
    status, data = portal.call("POST", f"/monai/infer/{MODEL}?image={session}&output={output}", b"")
    assert status == 200
    assert data.startswith(b"\x1f\x8b" if output == "image" else b"{")


@pytest.mark.parametrize(
    ("model", "image", "said"),
    [("none-such", "0" * 32, "There is no model"), (MODEL, "0" * 32, "no such"), (MODEL, "name", "no such image")],
)
def test_what_there_is_not_is_named(viewer: MONAILabelClient, model: str, image: str, said: str) -> None:
    with pytest.raises(MONAILabelClientException, match="404") as raised:
        viewer.infer(model, image, {})
    assert said in str(raised.value.msg)


def test_two_series_are_no_session(portal: RunningPortal, viewer: MONAILabelClient, tmp_path: Path) -> None:
    voxels = volume_files.head(AFFINE, SHAPE, "uint16")
    files: list[Any] = []
    for series in range(2):
        for k, data in enumerate(dicom_files.series(voxels + series, AFFINE)):
            files.append((f"{series}{k}.dcm", data))
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n' % (name.encode(), data)
        for name, data in files
    )
    status, answer = portal.call(
        "PUT", "/monai/session/", body + b"--b--\r\n", **{"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert status == 422 and b"2 images" in answer


def test_what_has_no_verdict_is_no_tumor(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = add_series(app)
    judged(app, Verdict.NOT_ASSESSED, "not_flair", "plainly_not_flair")
    services = resources_of(app)
    switched = dataclasses.replace(services, settings=dataclasses.replace(services.settings, monai_label="on"))
    monkeypatch.setattr(monai_label, "resources", lambda: switched)
    model = scan["segmentation"]["model"]
    address = f"/monai/infer/{model}?image={scan['id']}"
    refused = client.post(address)
    assert (refused.status_code, refused.json["code"]) == (409, "not_assessed")
    assert client.get("/monai/info/").json["models"][model]["config"] == {"unassessed": False}

    asked = client.post(f"{address}&output=json", data={"params": '{"unassessed": true}'})
    assert asked.json["label_names"] == {"not_assessed": 1} and "no finding" in asked.json["doubt"]
    assert client.post(address, data={"params": "{"}).status_code == 422


def test_it_is_off_unless_a_setting_turns_it_on(client: FlaskClient) -> None:
    response = client.get("/monai/info/")
    assert (response.status_code, response.json["code"]) == (404, "not_found")
