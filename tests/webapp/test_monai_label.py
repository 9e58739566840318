"""/monai: MONAI Label's own client, as 3D Slicer's plug-in uses it, against a running portal with its worker."""

import io
import json
import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from tests.ml.scans.readers.test_nrrd import header
from tests.support import dicom_files, volume_files
from tests.support.portal_process import RunningPortal, running_portal
from tests.webapp.accounts import PASSWORD, add_token, add_user, log_in, post_form
from tests.webapp.api.test_exports import add_series, judged
from tests.webapp.clients import SCANS, resources_of
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import AuditEntry, Role
from webapp.domain.database import ownership
from webapp.domain.scans.models import Scan, Verdict, ViewerImage

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
    with running_portal(tmp_path_factory.mktemp("monai"), GLIOSCOPE_MONAI_LABEL="on", GLIOSCOPE_MODEL=MODEL) as portal:
        yield portal


@pytest.fixture
def viewer(portal: RunningPortal, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(f"{portal.url}/monai", str(tmp_path))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "head.nii.gz"
    path.write_bytes(volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE))
    return path


@pytest.fixture(autouse=True)
def _nobody_asks_any_more() -> Iterator[None]:
    yield
    ownership.act_as(None)


@pytest.fixture
def served(make_app: Callable[..., Flask]) -> Flask:
    """A portal that serves viewers, without a worker."""
    return make_app(GLIOSCOPE_MONAI_LABEL="on")


@cache
def head(shift: int = 0) -> bytes:
    """A head; with another shift another one, on the same voxels. Made once: gzip writes the time into it."""
    return volume_files.nifti(volume_files.head(AFFINE, SHAPE) + shift, AFFINE)


def label(shift: int = 0, affine: Any = AFFINE) -> bytes:
    """A label as 3D Slicer writes it; moved by some voxels."""
    return volume_files.nifti(np.roll(volume_files.tumor(AFFINE, SHAPE), shift, 0).astype(np.uint8), affine)


def store_image(client: FlaskClient, name: str, data: bytes, **options: Any) -> str:
    """What `upload_image` of the client does; the scan's id."""
    address = f"/monai/datastore/?image={name}"
    answer = client.put(address, data={"params": "{}", "file": (io.BytesIO(data), "tmp1.nii.gz")}, **options)
    assert (answer.status_code, answer.json.get("image")) == (200, name), answer.text
    found: str = answer.json["scan"]
    return found


def store_label(client: FlaskClient, name: str, data: bytes, user: str = "user-xyz", **options: Any) -> TestResponse:
    """What `save_label` of the client does."""
    params = json.dumps({"label_info": [{"name": "tumor", "idx": 1}], "client_id": user})
    form = {"params": params, "label": (io.BytesIO(data), "tmp2.nii.gz")}
    return client.put(f"/monai/datastore/label?image={name}", data=form, **options)


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


def test_automatic_segmentation_as_the_plug_in_calls_it(
    portal: RunningPortal, viewer: MONAILabelClient, volume: Path, tmp_path: Path
) -> None:
    """`onUploadImage`, `getSessionId`, `onClickSegmentation` and `updateSegmentationMask` of MONAILabel.py (0.8.5)."""
    assert viewer.auth_enabled() is False
    info = viewer.info()
    # What the panel reads, with the defaults that it would take where a field lacks.
    assert (info["name"], info["labels"], info["models"][MODEL]["labels"]) == ("Glioscope", ["tumor"], {"tumor": 1})
    assert info["models"][MODEL]["type"] == "segmentation" and info["models"][MODEL]["dimension"] == 3
    assert all(info[name] == {} for name in ("trainers", "strategies", "scoring", "train_stats", "datastore"))
    sample = {"id": "4: Ax FLAIR", "session_id": viewer.create_session(str(volume))["session_id"]}
    assert viewer.get_session(sample["session_id"])

    params = {**info["models"][MODEL]["config"], "result_extension": ".nrrd", "result_dtype": "uint8"}
    file, answered = viewer.infer(MODEL, sample["id"], params, None, None, sample["session_id"])

    assert file.endswith(".nrrd")
    image = SimpleITK.ReadImage(file)
    assert image.GetPixelIDValue() == SimpleITK.sitkUInt8
    _, stored = portal.call(
        "GET", f"/api/v1/scans/{answered['scan']}/mask.nii.gz?segmentation={answered['segmentation']}"
    )
    (tmp_path / "stored.nii.gz").write_bytes(stored)
    wanted = SimpleITK.ReadImage(str(tmp_path / "stored.nii.gz"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), SimpleITK.GetArrayFromImage(wanted))
    for index in ((0, 0, 0), (63, 5, 7)):
        np.testing.assert_allclose(
            image.TransformIndexToPhysicalPoint(index), wanted.TransformIndexToPhysicalPoint(index), atol=1e-4
        )
    labels = [name for name, _ in sorted(answered["label_names"].items(), key=lambda item: item[1])]
    assert labels == ["tumor"]
    # OHIF's extension: the same without gzip, and the file alone.
    asked = json.dumps({"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False})
    body = f'--b\r\nContent-Disposition: form-data; name="params"\r\n\r\n{asked}\r\n--b--\r\n'.encode()
    address = f"/monai/infer/{MODEL}?image={sample['session_id']}&output=image"
    status, raw = portal.call("POST", address, body, **{"Content-Type": "multipart/form-data; boundary=b"})
    assert status == 200 and raw.startswith(b"NRRD") and b"encoding: raw" in raw
    assert raw.endswith(SimpleITK.GetArrayFromImage(wanted).tobytes())


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


def test_it_is_off_unless_a_setting_turns_it_on(client: FlaskClient) -> None:
    response = client.get("/monai/info/")
    assert (response.status_code, response.json["code"]) == (404, "not_found")


def test_submit_label_of_the_plug_in_stores_the_corrected_mask_on_the_scans_own_voxels(
    portal: RunningPortal, viewer: MONAILabelClient, tmp_path: Path
) -> None:
    """The calls of MONAILabel.py (0.8.5) `onSaveLabel`: the volume under its name, then the label for this name."""
    volume, corrected = tmp_path / "tmp1.nii.gz", tmp_path / "tmp2.nii.gz"
    volume.write_bytes(head(3))
    session = viewer.create_session(str(volume))["session_id"]
    _, mask = viewer.infer(MODEL, "6: FLAIR", {}, session_id=session)

    assert viewer.upload_image(str(volume), "6: FLAIR") == {"image": "6: FLAIR", "scan": session}
    for shift in (0, 2):  # corrected, and corrected once more
        corrected.write_bytes(label(shift))
        said = viewer.save_label("6: FLAIR", str(corrected), params={"label_info": [{"name": "tumor", "idx": 1}]})
        assert said["scan"] == session
    pictures = [portal.call("GET", f"/api/v1/scans/{session}/truth.png?slice={k}")[1] for k in range(SHAPE[2])]
    # Segmented again, it is asked for by its name.
    assert viewer.infer(MODEL, "6: FLAIR", {})[1]["segmentation"] == mask["segmentation"]

    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="m.nii.gz"\r\n\r\n%s\r\n--b--\r\n' % label(2)
    assert portal.call("PUT", f"/api/v1/scans/{session}/truth", body, **boundary)[0] == 200
    assert pictures == [portal.call("GET", f"/api/v1/scans/{session}/truth.png?slice={k}")[1] for k in range(SHAPE[2])]
    assert len(set(pictures)) > 1


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


@pytest.fixture
def with_users(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(GLIOSCOPE_MONAI_LABEL="on", GLIOSCOPE_AUTH="password")
    for name, role in {"root": Role.ADMIN, "ruth": Role.RESEARCHER, "otto": Role.RESEARCHER}.items():
        add_user(app, name, role)
    return app


def viewer_login(app: Flask, name: str, password: str = PASSWORD) -> TestResponse:
    """What `auth_token` of the client does."""
    form = {"username": name, "password": password, "grant_type": "password"}
    return app.test_client().post("/monai/auth/token", data=form)


def bearer(answer: TestResponse) -> dict[str, str]:
    return {"Authorization": f"{answer.json['token_type']} {answer.json['access_token']}"}


def test_the_plug_in_logs_in_with_a_password(with_users: Flask, caplog: pytest.LogCaptureFixture) -> None:
    client = with_users.test_client()
    assert client.get("/monai/auth/").json["enabled"] is True
    assert client.get("/monai/info/").status_code == client.get("/monai/auth/token/valid").status_code == 401
    answers = [viewer_login(with_users, "ruth", word) for word in ("wrong", "")] + [viewer_login(with_users, "nobody")]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert {answer.json["code"] for answer in answers} == {"unauthorized"}

    answer = viewer_login(with_users, "Ruth")
    ruth, otto = bearer(answer), bearer(viewer_login(with_users, "otto"))
    assert client.get("/monai/auth/token/valid", headers=ruth).json["username"] == "ruth"
    scan_id = store_image(client, "FLAIR", head(), headers=ruth)
    assert store_label(client, "FLAIR", label(), headers=ruth).status_code == 200
    # Another's name and id are as ones that nobody has.
    assert [store_label(client, image, label(), headers=otto).status_code for image in ("FLAIR", scan_id)] == [404] * 2
    # It opens the viewers' routes alone, in a header alone.
    assert [client.get(path, headers=ruth).status_code for path in (SCANS, "/api/v1/models", "/metrics")] == [401] * 3
    assert client.get("/scans", headers=ruth).status_code == 303
    assert answer.json["access_token"] not in caplog.text and PASSWORD not in caplog.text
    audit = list(log_of(with_users))
    assert [line.details for line in audit if line.action == "login"][-1] == {"by": "viewer"}
    assert answer.json["access_token"] not in str([vars(line) for line in audit])


def test_a_viewers_login_ends_with_another_password_and_an_api_token_stands_in_its_place(with_users: Flask) -> None:
    client, browser = with_users.test_client(), log_in(with_users, "ruth")
    ruth = bearer(viewer_login(with_users, "ruth"))
    fields = {"old": PASSWORD, "new": "another battery staple", "again": "another battery staple"}
    assert post_form(browser, "/account/password", **fields).status_code == 303
    assert client.get("/monai/info/", headers=ruth).status_code == 401

    token = add_token(with_users, "ruth", [Scope.READ, Scope.WRITE])["Authorization"].split()[1]
    assert viewer_login(with_users, "otto", token).status_code == 401
    answer = viewer_login(with_users, "ruth", token)
    assert answer.json["access_token"] == token
    assert client.get("/monai/info/", headers=bearer(answer)).status_code == 200


def test_guesses_of_passwords_by_a_viewer_are_counted(with_users: Flask) -> None:
    tries = [viewer_login(with_users, "ruth", "wrong") for _ in range(21)]
    assert [answer.status_code for answer in tries] == [401] * 20 + [429]
    assert int(tries[-1].headers["Retry-After"]) == 900 and tries[-1].json["code"] == "too_many_requests"


def test_where_there_are_no_users_nobody_signs_in(served: Flask) -> None:
    client = served.test_client()
    assert client.get("/monai/auth/").json["enabled"] is False
    assert viewer_login(served, "x", "y").json == {"access_token": None, "token_type": None}
    assert client.get("/monai/auth/token/valid").status_code == 200


def log_of(app: Flask) -> list[AuditEntry]:
    with resources_of(app).database.read() as rows:
        return list(rows.scalars(select(AuditEntry).order_by(AuditEntry.number)))
