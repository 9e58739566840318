"""/api/v1/evaluations: start, watch, read, compare with the rules, delete without a trace."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import update

from ml.datasets.case_reader import CaseReader
from tests.support.evaluations import SIDE, queued_chunks, run_all, square, write_data_set, zip_of
from tests.support.jobs import run_chunk
from tests.webapp.clients import resources_of
from tests.webapp.evaluation_calls import PATH, left_over, send_zip, started
from tests.worker.conftest import BrightnessEngine
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.resources import Resources
from webapp.schemas.cases import CaseSchema
from webapp.schemas.evaluations import EvaluationSchema
from worker.process.runtime import Runtime


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
        assert response.headers["Content-Type"].count("charset") <= 1
    report = client.get(done["links"]["report.json"], buffered=True)
    assert json.loads(report.data)["summary"] == done["summary"]
    assert client.get(f"{PATH}/{evaluation['id']}/figures/roc.svg", buffered=True).data.startswith(b"<svg")
    assert json.loads(client.get(done["links"]["findings"], buffered=True).data)["problems"] == []
    assert client.get(PATH).json["evaluations"][0]["id"] == evaluation["id"]


def test_a_file_that_the_storage_has_lost_is_said_to_be_missing(
    client: FlaskClient, runtime: Runtime, data: Path
) -> None:
    evaluation_id = started(client, data)
    run_all(runtime, evaluation_id)
    for path in Path(runtime.resources.settings.storage, "objects").rglob("findings*"):
        path.unlink()
    lost = client.get(f"{PATH}/{evaluation_id}/findings.json")
    assert (lost.status_code, lost.json["code"]) == (503, "storage_unavailable")
    assert "missing in the storage; restore it" in lost.json["message"]


def test_a_report_is_not_said_to_be_none_while_the_storage_is_away(
    client: FlaskClient, runtime: Runtime, data: Path
) -> None:
    """It was 404: slices without expert masks had no figures."""
    evaluation_id = started(client, data)
    run_all(runtime, evaluation_id)
    objects = Path(runtime.resources.settings.storage, "objects")
    names = ("metrics.csv", "report.pdf", "figures/roc.svg", "cases/0/truth.png")
    objects.rename(objects.with_name("away"))
    for name in names:
        away = client.get(f"{PATH}/{evaluation_id}/{name}")
        assert (away.status_code, away.json["code"]) == (503, "storage_unavailable"), name
        assert "mount or restore" in away.json["message"], name
    objects.with_name("away").rename(objects)
    for path in objects.rglob("metrics.csv"):
        path.unlink()
    assert "missing in the storage" in client.get(f"{PATH}/{evaluation_id}/metrics.csv").json["message"]


def test_slices_are_shown_after_the_instance_was_moved_with_its_data_sets(
    client: FlaskClient, runtime: Runtime, data: Path
) -> None:
    """Its own folder of data sets is the default root, and moves with it: every slice was said to be gone."""
    evaluation_id = started(client, data)
    run_all(runtime, evaluation_id)
    root = runtime.resources.settings.evaluation_roots[0].name

    def shown(position: int, location: str) -> int:
        """Each slice is asked for once: what was drawn is kept."""
        with runtime.resources.database.write() as session:
            session.execute(update(Evaluation).values(location=location))
        return client.get(f"{PATH}/{evaluation_id}/cases/{position}/scan.png").status_code

    assert shown(0, f"/old/{root}/set") == 200
    assert shown(1, f"/old/{root}/more/{root}/set") == 200
    assert shown(2, "/old/elsewhere/set") == 404
    assert shown(2, f"/old/{root}/no") == 404
    for path in data.rglob("*.png"):
        path.write_bytes(b"another")
    assert shown(2, f"/old/{root}/set") == 404, "not the image that was evaluated"


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
    assert client.get(f"{path}/3").json == {**everything[3], "mask_findings": []}
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
