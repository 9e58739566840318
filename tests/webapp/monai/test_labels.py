"""Labels that a viewer sends: whose they replace, what they are of, what is refused; no verdict; and the setting."""

import io
import re

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from tests.ml.scans.readers.test_nrrd import header
from tests.support import volume_files
from tests.webapp.api.exports.exported import add_series, judged
from tests.webapp.clients import SCANS, resources_of
from tests.webapp.monai.calls import AFFINE, SHAPE, head, label, store_image, store_label
from webapp.domain.scans.models import Scan, Segmentation, Verdict, ViewerImage


def test_it_is_off_unless_a_setting_turns_it_on(client: FlaskClient) -> None:
    response = client.get("/monai/info/")
    assert (response.status_code, response.json["code"]) == (404, "not_found")


def test_what_has_no_verdict_is_no_tumor(served: Flask) -> None:
    client = served.test_client()
    scan, _ = add_series(served)
    judged(served, Verdict.NOT_ASSESSED, "not_flair", "plainly_not_flair")
    model = scan["segmentation"]["model"]
    address = f"/monai/infer/{model}?image={scan['id']}"
    refused = client.post(address)
    assert (refused.status_code, refused.json["code"]) == (409, "not_assessed")
    assert client.get("/monai/info/").json["models"][model]["config"] == {"unassessed": False}

    asked = client.post(f"{address}&output=json", data={"params": '{"unassessed": true}'})
    assert asked.json["label_names"] == {"not_assessed": 1} and "no finding" in asked.json["doubt"]
    assert client.post(address, data={"params": "{"}).status_code == 422


def test_what_another_package_of_the_name_did_is_done_again(served: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = served.test_client()
    scan, _ = add_series(served)
    address = f"/monai/infer/{scan['segmentation']['model']}?image={scan['id']}&output=json"
    assert client.post(address).json["segmentation"] == scan["segmentation"]["id"]
    with resources_of(served).database.write() as session:
        session.execute(update(Segmentation).values(model_version="files-0badcafe"))
    monkeypatch.setattr("webapp.monai_label.inference.LONGEST_WAIT_S", 0.0)

    asked = client.post(address)

    assert (asked.status_code, asked.json["code"]) == (409, "not_ready"), "no worker runs here"
    assert [run["status"] for run in client.get(scan["links"]["segmentations"]).json["segmentations"]] == [
        "queued", "succeeded",
    ]  # fmt: skip


def test_a_viewers_label_replaces_its_own_alone(served: Flask) -> None:
    client = served.test_client()
    scan_id = store_image(client, "FLAIR", head())
    assert store_label(client, "FLAIR", label()).status_code == 200
    assert store_label(client, "FLAIR", label(1)).status_code == 200, "a second correction"

    refused = store_label(client, "FLAIR", label(), user="somebody-else")
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    form = {"file": (io.BytesIO(label(2)), "expert.nii.gz")}
    assert client.put(f"{SCANS}/{scan_id}/truth", data=form).status_code == 200
    refused = store_label(client, "FLAIR", label(3))
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    assert client.get(f"{SCANS}/{scan_id}").json["truth"]["filename"] == "expert.nii.gz"
    assert client.delete(f"{SCANS}/{scan_id}/truth").status_code == 204
    assert store_label(client, "FLAIR", label(3)).status_code == 200


@pytest.mark.parametrize("user", ["user-xyz", ""])
def test_two_machines_whose_viewers_have_no_name_of_their_own_replace_no_label(served: Flask, user: str) -> None:
    """`user-xyz` is the plug-in's default, and says nothing."""
    client = served.test_client()
    scan_id = store_image(client, "FLAIR", head())
    one, other = ({"environ_base": {"REMOTE_ADDR": address}} for address in ("10.0.0.7", "10.0.0.8"))
    assert store_label(client, "FLAIR", label(), user, **one).status_code == 200
    assert store_label(client, "FLAIR", label(1), user, **one).status_code == 200
    stored = client.get(f"{SCANS}/{scan_id}").json["truth"]
    refused = store_label(client, "FLAIR", label(2), user, **other)
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    assert "Client/User-ID" in refused.json["message"]
    assert client.get(f"{SCANS}/{scan_id}").json["truth"] == stored
    assert client.delete(f"{SCANS}/{scan_id}/truth").status_code == 204
    for machine in (one, other):  # who has a name is known everywhere
        assert store_label(client, "FLAIR", label(), "ruth", **machine).status_code == 200


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("tmp3k_9x2ab.nii.gz", r"3D Slicer, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.nii\.gz"),
        ("tmp_flair.nii.gz", r"tmp_flair\.nii\.gz"),
    ],
)
def test_a_scan_of_the_viewers_temporary_file_has_a_readable_name(served: Flask, sent: str, shown: str) -> None:
    """The plug-in saves the volume in view into a file of Python's `tempfile`."""
    client = served.test_client()
    form = {"params": "{}", "files": (io.BytesIO(head()), sent)}
    session = client.put("/monai/session/", data=form).json["session_id"]
    assert re.fullmatch(shown, client.get(f"{SCANS}/{session}").json["filename"])


def test_a_name_of_two_images_on_the_same_voxels_takes_no_label(served: Flask) -> None:
    client = served.test_client()
    one, same, two = (store_image(client, "FLAIR", head(shift)) for shift in (0, 0, 1))
    assert one == same != two
    refused = store_label(client, "FLAIR", label())
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    assert store_label(client, one, label()).status_code == 200, "its own id is clear"
    # Gone is gone, with the name.
    assert client.delete(f"{SCANS}/{two}").status_code == 204
    assert store_label(client, "FLAIR", label(1)).json["scan"] == one
    with resources_of(served).database.read() as rows:
        assert rows.scalar(select(func.count()).select_from(ViewerImage)) == 1
        assert rows.scalar(select(func.count()).select_from(Scan)) == 1


def test_a_label_as_nrrd_is_taken(served: Flask) -> None:
    """Where the plug-in's settings have it so."""
    client = served.test_client()
    scan_id = store_image(client, "FLAIR", head())
    data = header(SHAPE, AFFINE) + volume_files.tumor(AFFINE, SHAPE).tobytes("F")
    form = {"params": "{}", "label": (io.BytesIO(data), "tmp2.nrrd")}
    taken = client.put("/monai/datastore/label?image=FLAIR", data=form)
    assert (taken.status_code, taken.json["scan"]) == (200, scan_id), taken.text


@pytest.mark.parametrize(
    ("data", "params", "status", "code"),
    [
        (label(affine=AFFINE + np.eye(4, k=3)), "{}", 422, "unequal_size"),
        (label(affine=AFFINE + 900 * np.eye(4, k=3)), "{}", 422, "unreadable"),
        (b"", "{}", 422, "empty"),
        (b"<html>no mask" * 9, "{}", 415, "unsupported"),
        (label(), '{"label_info": [{"name": "tumor"}, {"name": "edema"}]}', 422, "invalid"),
        (label(), "{", 422, "invalid"),
    ],
    ids=["a millimeter beside", "elsewhere", "empty", "no mask", "two segments", "no JSON"],
)
def test_a_label_is_refused_as_an_experts_mask_is(
    served: Flask, data: bytes, params: str, status: int, code: str
) -> None:
    client = served.test_client()
    scan_id = store_image(client, "FLAIR", head())
    form = {"params": params, "label": (io.BytesIO(data), "tmp2.nii.gz")}
    refused = client.put("/monai/datastore/label?image=FLAIR", data=form)
    assert (refused.status_code, refused.json["code"]) == (status, code), refused.json
    assert client.get(f"{SCANS}/{scan_id}").json["truth"] is None
    assert client.put("/monai/datastore/label?image=FLAIR").json["code"] == "no_file"
    assert store_label(client, "unknown", label()).status_code == 404
