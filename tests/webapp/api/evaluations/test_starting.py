"""What may be started and what may not: folders, options, bodies, keys, and the command line."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.evaluations import queued_chunks, write_data_set
from tests.support.jobs import run_chunk
from tests.webapp.clients import resources_of
from tests.webapp.evaluation_calls import PATH, left_over, started
from webapp.domain.jobs.models import WorkerPresence
from webapp.domain.resources import Resources
from worker.process.runtime import Runtime


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
def test_bad_options_are_422_and_make_nothing(
    client: FlaskClient, resources: Resources, data: Path, body: dict
) -> None:
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
    assert "No worker of evaluations is running" in done.output and "Patient Dice 0." in done.output


@pytest.mark.parametrize(("jobs", "is_warned"), [("interactive", True), ("batch", False), ("all", False)])
def test_the_command_line_says_whether_a_worker_of_evaluations_lives(
    app: Flask, data: Path, monkeypatch: pytest.MonkeyPatch, jobs: str, is_warned: bool
) -> None:
    import webapp.commands.evaluations as commands

    with resources_of(app).database.write() as session:
        session.add(WorkerPresence(id="w", engine="e", model="m", jobs=jobs))

    def press_control_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands.time, "sleep", press_control_c)
    begun = app.test_cli_runner().invoke(args=["evaluations", "run", str(data)])
    assert begun.exit_code == 130
    assert ("No worker of evaluations is running" in begun.output) is is_warned
