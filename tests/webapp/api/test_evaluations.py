"""/api/v1/evaluations: start from a folder or a zip, watch, read, compare with the rules, delete without a trace."""

import io
import json
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from ml.datasets.case_reader import CaseReader
from tests.support.evaluations import SIDE, queued_chunks, run_all, square, write_data_set, zip_of
from tests.support.jobs import run_chunk
from tests.webapp.clients import resources_of, send
from tests.worker.conftest import BrightnessEngine
from webapp.domain.resources import Resources
from webapp.schemas.cases import CaseSchema
from webapp.schemas.evaluations import EvaluationSchema
from worker.process.runtime import Runtime

PATH = "/api/v1/evaluations"


@pytest.fixture
def resources(app: Flask) -> Resources:
    return resources_of(app)


@pytest.fixture
def runtime(resources: Resources, case_reader: CaseReader, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A worker in this process with a fake engine."""
    runtime, engine = Runtime(resources), BrightnessEngine()
    monkeypatch.setattr(runtime, "engine", lambda _model: engine)
    monkeypatch.setattr(runtime, "case_reader", case_reader)
    return runtime


@pytest.fixture
def data(resources: Resources) -> Path:
    return write_data_set(resources.settings.evaluation_roots[0] / "set")


def send_zip(client: FlaskClient, data: bytes, name: str = "set.zip", **form: str) -> TestResponse:
    return send(client, (name, data), path=PATH, field="archive", form=form)


def started(client: FlaskClient, data: Path, **options: object) -> str:
    response = client.post(PATH, json={"path": str(data), **options})
    assert response.status_code == 202, response.json
    return response.json["id"]


def left_over(resources: Resources) -> list[str]:
    root = Path(resources.settings.storage)
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]


def test_a_folder_from_the_post_to_its_report(client: FlaskClient, runtime: Runtime, data: Path) -> None:
    evaluation = client.post(PATH, json={"path": str(data), "threshold": 0.4, "name": "A  first\nlook"}).json
    assert (evaluation["status"], evaluation["name"], evaluation["threshold"]) == ("queued", "A first look", 0.4)
    assert evaluation["progress"]["stage"] == "waiting"
    run_chunk(runtime, queued_chunks(runtime.resources, evaluation["id"])[0])
    middle = client.get(f"{PATH}/{evaluation['id']}").json
    assert (middle["status"], middle["progress"]["stage"], middle["progress"]["total"]) == ("running", "running", 15)
    assert middle["findings"]["is_sound"] and middle["findings"]["analysis"]["tumor_slices"] == 9
    assert client.get(f"{PATH}/{evaluation['id']}/report.json").status_code == 409
    run_all(runtime, evaluation["id"])
    done = client.get(f"{PATH}/{evaluation['id']}?wait=5").json
    assert EvaluationSchema().validate(done) == {} and set(done) == set(EvaluationSchema().fields)
    assert (done["status"], done["progress"]["done"], done["progress"]["failed"]) == ("succeeded", 15, 0)
    assert done["progress"]["outcomes"] == {"clear": 3, "false_alarm": 3, "found": 6, "missed": 3}
    assert done["headline"].startswith("Patient Dice 0.") and done["summary"]["patients"] == 3
    for name in ("metrics.csv", "patients.csv", "report.json", "report.html", "report.pdf"):
        response = client.get(done["links"][name], buffered=True)
        assert response.status_code == 200 and "attachment" in response.headers["Content-Disposition"]
    report = client.get(done["links"]["report.json"], buffered=True)
    assert json.loads(report.data)["summary"] == done["summary"]
    assert client.get(f"{PATH}/{evaluation['id']}/figures/roc.svg", buffered=True).data.startswith(b"<svg")
    assert json.loads(client.get(done["links"]["findings"], buffered=True).data)["problems"] == []
    assert client.get(PATH).json["evaluations"][0]["id"] == evaluation["id"]


def test_cases_are_ordered_filtered_and_paged(client: FlaskClient, runtime: Runtime, data: Path) -> None:
    evaluation_id = started(client, data)
    run_all(runtime, evaluation_id)
    path = f"{PATH}/{evaluation_id}/cases"

    def walk(query: str) -> list[dict]:
        found, cursor = [], ""
        while True:
            page = client.get(f"{path}?{query}&limit=4&cursor={cursor}").json
            found += page["cases"]
            if page["next_cursor"] is None:
                return found
            cursor = page["next_cursor"]

    everything = walk("")
    assert [case["position"] for case in everything] == list(range(15))
    assert CaseSchema().validate(everything[0]) == {}
    worst, best = walk("order=worst"), walk("order=best")
    assert [case["position"] for case in worst] == [case["position"] for case in best][::-1]
    assert [case["dice"] for case in worst] == sorted(case["dice"] for case in everything if case["dice"] is not None)
    assert len(worst) == 9 and worst[0]["dice"] == 0
    alarms = walk("outcome=false_alarm&order=largest")
    assert [case["predicted_pixels"] for case in alarms] == [81, 64, 49]
    assert {case["patient"] for case in walk("patient=patient_1")} == {"patient_1"}
    assert [case["image"] for case in walk("q=P2_00")] == [f"patient_2/p2_00{index}.png" for index in range(5)]
    assert client.get(f"{path}/3").json == everything[3]
    patients = client.get(f"{PATH}/{evaluation_id}/patients?order=worst").json["patients"]
    assert [row["dice"] for row in patients] == sorted(row["dice"] for row in patients) and len(patients) == 3
    for query in (
        "order=random",
        "limit=0",
        "limit=1e9",
        "cursor=abc",
        "outcome=x",
        "order=best&cursor=WyJ3b3JzdCIsMCwwXQ",
    ):
        assert client.get(f"{path}?{query}").status_code == 422, query
    assert client.get(f"{path}/99").status_code == 404


def test_pictures_of_a_case(client: FlaskClient, runtime: Runtime, data: Path) -> None:
    evaluation_id = started(client, data)
    run_all(runtime, evaluation_id)
    case = client.get(f"{PATH}/{evaluation_id}/cases/1").json

    def picture(kind: str) -> np.ndarray:
        response = client.get(case["links"][kind])
        assert response.status_code == 200 and response.mimetype == "image/png"
        assert client.get(case["links"][kind], headers={"If-None-Match": response.headers["ETag"]}).status_code == 304
        return np.asarray(Image.open(io.BytesIO(response.data)))

    assert np.array_equal(picture("scan"), np.asarray(Image.open(data / case["image"])))
    assert np.array_equal(picture("truth") == 255, square(11, 8, 14))
    assert np.array_equal(picture("mask") == 255, square(8, 8, 14))
    errors = picture("errors")
    assert errors.shape == (SIDE, SIDE, 3)
    assert tuple(errors[8, 8]) == (0x3F, 0xD6, 0x9B) and tuple(errors[24, 8]) == (0xFF, 0x4D, 0x6A)
    assert picture("heatmap").shape == (SIDE, SIDE, 3) and picture("probability").max() == 230
    (data / case["image"]).write_bytes((data / "patient_0" / "p0_004.png").read_bytes())
    runtime.resources.images.delete(evaluation_id)
    assert client.get(case["links"]["errors"]).status_code == 404
    assert client.get(case["links"]["mask"]).status_code == 200


@pytest.mark.parametrize("prefix", ["", "wrapper/", "a/b/"])
def test_a_zip_is_evaluated_like_its_folder(client: FlaskClient, runtime: Runtime, tmp_path: Path, prefix: str) -> None:
    data = write_data_set(tmp_path / "set")
    evaluation = send_zip(client, zip_of(data, prefix), "../../my set.zip", threshold="0.5").json
    assert (evaluation["source"], evaluation["filename"], evaluation["name"]) == ("archive", "my set.zip", "my set")
    done = run_all(runtime, evaluation["id"])
    assert done.headline.startswith("Patient Dice 0.") and done.case_count == 15
    assert client.get(f"{PATH}/{evaluation['id']}/cases/0/errors.png").status_code == 200


def test_other_members_of_a_zip_are_left_out(client: FlaskClient, runtime: Runtime, tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "set", patients=1)
    (data / "README.txt").write_text("words")
    (data / "patient_0" / ".DS_Store").write_bytes(b"x")
    (data / "__MACOSX").mkdir()
    (data / "__MACOSX" / "._p0_000.png").write_bytes(b"x")
    (data / "patient_0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no")
    evaluation = send_zip(client, zip_of(data)).json
    done = run_all(runtime, evaluation["id"])
    assert done.status == "succeeded" and done.findings["counts"] == {"missing_mask": 1, "unreadable_image": 1}
    folder = runtime.resources.folders.path(evaluation["id"])
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".png"}


def zip_with(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def link_member() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("p/link.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def forged_size() -> bytes:
    """A member of 200 MB whose headers say 10 bytes."""
    data = zip_with(("p/a.png", b"\0" * 200_000_000))
    real = (200_000_000).to_bytes(4, "little")
    assert data.count(real) == 2
    return data.replace(real, (10).to_bytes(4, "little"))


def encrypted() -> bytes:
    """A member whose flags say that it is encrypted."""
    data = bytearray(zip_with(("p/a.png", png())))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def many_members() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for index in range(100_000):
            file.writestr(zipfile.ZipInfo(f"p/{index}.png"), b"")
    return buffer.getvalue()


HOSTILE = {
    "parent": (lambda: zip_with(("../x.png", png())), 422, "unsafe"),
    "deep parent": (lambda: zip_with(("p/a.png", png()), ("p/../../x.png", png())), 422, "unsafe"),
    "absolute": (lambda: zip_with(("/x.png", png())), 422, "unsafe"),
    "windows": (lambda: zip_with(("C:\\x.png", png())), 422, "unsafe"),
    "backslash": (lambda: zip_with(("..\\x.png", png())), 422, "unsafe"),
    "control": (lambda: zip_with(("p/a\x1b[2J.png", png())), 422, "unsafe"),
    "link": (lambda: zip_with((link_member(), b"/etc/passwd")), 422, "unsafe"),
    "doubled": (lambda: zip_with(("p/a.png", png()), ("p/a.pnG", png()), ("p/b.png", png())), 202, None),
    "bomb": (lambda: zip_with(*((f"p/{i}.png", b"\0" * 50_000_000) for i in range(20))), 422, "limit"),
    "large member": (lambda: zip_with(("p/a.png", b"\0" * 101_000_000)), 422, "limit"),
    "forged sizes": (forged_size, 422, None),
    "encrypted": (encrypted, 422, "unreadable"),
    "nested": (lambda: zip_with(("p/a.png", png()), ("p/more.zip", zip_with(("x", b"")))), 422, "unreadable"),
    "cut": (lambda: zip_with(("p/a.png", png() * 200), method=zipfile.ZIP_STORED)[:-200], 422, "unreadable"),
    "cut short": (lambda: zip_with(("p/a.png", png()))[:40], 422, "unreadable"),
    "no zip": (lambda: b"%PDF-1.7 nothing", 415, "unsupported"),
    "nothing in it": (lambda: zip_with(("readme.txt", b"x")), 422, "empty"),
    "no bytes": (lambda: b"", 422, "empty"),
    "members": (many_members, 422, "limit"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_and_leaves_nothing(client: FlaskClient, resources: Resources, name: str) -> None:
    make, status, code = HOSTILE[name]
    response = send_zip(client, make())
    assert response.status_code == status, response.json
    if status == 202:
        return
    assert code is None or response.json["code"] == code
    assert response.json["code"] in ("unsafe", "limit", "unreadable", "unsupported", "empty")
    assert left_over(resources) == [] and client.get(PATH).json["evaluations"] == []
    assert not list(resources.settings.instance_dir.parent.rglob("x.png"))


def test_bytes_are_counted_and_not_believed(client: FlaskClient, resources: Resources) -> None:
    assert zlib.crc32(b"") == 0
    response = send_zip(client, forged_size())
    assert response.status_code == 422 and left_over(resources) == []


def test_an_archive_has_a_size_limit_of_its_own(make_app: Callable[..., Flask]) -> None:
    client = make_app(GLIOSCOPE_MAX_UPLOAD_MB="1", GLIOSCOPE_MAX_ARCHIVE_MB="6").test_client()
    padding = b"".join(np.random.default_rng(1).bytes(1_000_000) for _ in range(5))
    taken = send_zip(client, zip_with(("p/a.png", png()), ("p/notes.txt", padding[:900_000])) + b"")
    assert taken.status_code == 202, taken.json
    members = ((f"p/{i}.png", padding[i * 900_000 : (i + 1) * 900_000]) for i in range(5))
    assert send_zip(client, zip_with(*members)).status_code == 202
    assert send_zip(client, b"PK\x03\x04" + padding + padding).status_code == 413


@pytest.mark.parametrize("text", ["", "relative", "/", "/etc", "/proc/self/root", "\0", "/" + "a" * 5000, "\ud800"])
def test_a_path_outside_the_roots_is_refused_in_the_same_words(client: FlaskClient, data: Path, text: str) -> None:
    response = client.post(PATH, json={"path": text})
    assert response.status_code == 422
    if len(text) < 4096:
        assert response.json["code"] == "folder_refused"
        missing = client.post(PATH, json={"path": str(data / "missing")})
        assert missing.json["message"] == response.json["message"]


def test_links_out_of_the_roots_are_neither_listed_nor_taken(client: FlaskClient, data: Path, tmp_path: Path) -> None:
    outside = write_data_set(tmp_path / "outside")
    root = data.parent
    (root / "out").symlink_to(outside)
    (root / "in").symlink_to(data)
    listing = client.get(f"{PATH}/folders?path={root}").json
    assert [folder["name"] for folder in listing["folders"]] == ["in", "set"] and listing["parent"] == ""
    assert client.post(PATH, json={"path": str(root / "out")}).status_code == 422
    assert client.get(f"{PATH}/folders", query_string={"path": str(root / "out")}).status_code == 422
    inside = client.post(PATH, json={"path": str(root / "in")}).json
    assert inside["path"] == str(data.resolve())
    roots = client.get(f"{PATH}/folders").json
    assert [folder["path"] for folder in roots["folders"]] == [str(root.resolve())] and roots["path"] is None


@pytest.mark.parametrize(
    "body",
    [{"threshold": "NaN"}, {"threshold": 2}, {"model": "nothing"}, {"name": "x" * 201}, {"name": "\0"}, {"tta": 1}],
)
def test_a_bad_wish_is_422_and_makes_nothing(client: FlaskClient, resources: Resources, data: Path, body: dict) -> None:
    assert client.post(PATH, json={"path": str(data), **body}).status_code == 422
    assert client.get(PATH).json["evaluations"] == [] and left_over(resources) == []


def test_a_post_without_a_body_a_file_or_with_another_kind_of_body(client: FlaskClient) -> None:
    assert client.post(PATH).status_code == 422
    assert client.post(PATH, data="{", content_type="application/json").status_code == 400
    assert client.post(PATH, data="x", content_type="text/plain").status_code == 415
    response = client.post(PATH, data={"archive": "text"}, content_type="multipart/form-data")
    assert (response.status_code, response.json["code"]) == (400, "no_file")


def test_the_same_key_makes_one_evaluation(client: FlaskClient, data: Path, tmp_path: Path) -> None:
    def post(**body: object) -> tuple[int, dict]:
        response = client.post(PATH, json={"path": str(data), **body}, headers={"Idempotency-Key": "k"})
        return response.status_code, response.json

    first, again, other = post(), post(), post(threshold=0.1)
    assert first[1]["id"] == again[1]["id"] and (first[0], again[0], other[0]) == (202, 202, 422)
    assert len(client.get(PATH).json["evaluations"]) == 1


def test_the_list_is_paged(client: FlaskClient, data: Path) -> None:
    ids = [started(client, data) for _ in range(5)]
    first = client.get(f"{PATH}?limit=3").json
    second = client.get(f"{PATH}?limit=3&cursor={first['next_cursor']}").json
    assert [row["id"] for row in first["evaluations"] + second["evaluations"]] == ids[::-1]
    assert second["next_cursor"] is None and client.get(f"{PATH}?cursor=x").status_code == 422


def test_cancel_and_delete(
    client: FlaskClient, runtime: Runtime, resources: Resources, data: Path, tmp_path: Path
) -> None:
    evaluation_id = started(client, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    cancelled = client.post(f"{PATH}/{evaluation_id}/cancel")
    assert (cancelled.status_code, cancelled.json["status"]) == (200, "cancelled")
    assert client.post(f"{PATH}/{evaluation_id}/cancel").status_code == 409
    assert queued_chunks(resources, evaluation_id) == []
    assert client.delete(f"{PATH}/{evaluation_id}").status_code == 204
    zipped = send_zip(client, zip_of(data)).json["id"]
    run_all(runtime, zipped)
    assert len(left_over(resources)) > 30
    assert client.delete(f"{PATH}/{zipped}").status_code == 204
    assert left_over(resources) == []
    assert client.get(f"{PATH}/{zipped}").status_code == client.delete(f"{PATH}/{zipped}").status_code == 404
    with resources.database.engine.connect() as connection:
        for table in ("evaluations", "evaluation_chunks", "evaluation_cases", "evaluation_patients"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
    assert (data / "patient_0" / "p0_000.png").is_file(), "the folder is the operator's own"


def test_an_evaluation_on_both_databases(
    any_app: Flask, case_reader: CaseReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources, client = resources_of(any_app), any_app.test_client()
    runtime, engine = Runtime(resources), BrightnessEngine()
    monkeypatch.setattr(runtime, "engine", lambda _model: engine)
    monkeypatch.setattr(runtime, "case_reader", case_reader)
    evaluation_id = started(client, write_data_set(resources.settings.evaluation_roots[0] / "set"))
    run_all(runtime, evaluation_id)
    done = client.get(f"{PATH}/{evaluation_id}").json
    assert done["status"] == "succeeded" and done["summary"]["slice_sensitivity"] == pytest.approx(2 / 3, abs=1e-6)
    for order in ("position", "worst", "best", "largest"):
        first = client.get(f"{PATH}/{evaluation_id}/cases?order={order}&limit=2").json
        second = client.get(f"{PATH}/{evaluation_id}/cases?order={order}&limit=2&cursor={first['next_cursor']}").json
        assert not {case["position"] for case in first["cases"]} & {case["position"] for case in second["cases"]}
    assert client.delete(f"{PATH}/{evaluation_id}").status_code == 204


def test_the_command_line_shows_and_ends_evaluations(app: Flask, runtime: Runtime, data: Path) -> None:
    client, runner = app.test_client(), app.test_cli_runner()
    evaluation_id = started(client, data)
    assert f"{evaluation_id}  queued" in runner.invoke(args=["evaluations", "list"]).output
    assert runner.invoke(args=["evaluations", "cancel", evaluation_id]).exit_code == 0
    again = runner.invoke(args=["evaluations", "cancel", evaluation_id])
    assert again.exit_code == 1 and "this one is cancelled" in again.output
    assert runner.invoke(args=["evaluations", "delete", evaluation_id, "--yes"]).exit_code == 0
    refused = runner.invoke(args=["evaluations", "run", str(data.parent.parent)])
    assert refused.exit_code == 1 and "GLIOSCOPE_EVALUATION_ROOTS" in refused.output


def test_the_command_line_waits_for_the_report(
    app: Flask, runtime: Runtime, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import webapp.commands.evaluations as commands

    resources = runtime.resources

    def work_instead_of_sleeping(_seconds: float) -> None:
        (newest,) = (row["id"] for row in app.test_client().get(PATH).json["evaluations"])
        for chunk_id in queued_chunks(resources, newest)[:1]:
            run_chunk(runtime, chunk_id)

    monkeypatch.setattr(commands.time, "sleep", work_instead_of_sleeping)
    done = app.test_cli_runner().invoke(args=["evaluations", "run", str(data), "--threshold", "0.5"])
    assert done.exit_code == 0, done.output
    assert "No worker is running" in done.output and "Patient Dice 0." in done.output
