"""`python -m worker.dicom_node`: a process that may be killed at any time, and refuses to start unsafely."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from tests.support.dicom_network import association, send_whole, store
from tests.support.portal_process import free_port
from tests.support.resources import MODEL, MODELS, make_settings
from tests.worker.dicom_node.conftest import study
from webapp.context import EXTENSION
from webapp.domain.networks import node_status
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Scan
from webapp.domain.settings import PROJECT_ROOT
from webapp.factory import create_app


@contextmanager
def running_node(folder: Path, **environ: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = folder / f"node-{time.monotonic_ns()}.log"
    environment = {
        "PATH": os.environ["PATH"], "GLIOSCOPE_INSTANCE": str(folder / "instance"), "GLIOSCOPE_MODELS": str(MODELS),
        "GLIOSCOPE_MODEL": MODEL, "GLIOSCOPE_DICOM_NODE": "on", "GLIOSCOPE_DICOM_PEERS": "SENDER@127.0.0.1:104",
        "GLIOSCOPE_DICOM_QUIET_S": "0.5", **environ,
    }  # fmt: skip
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.dicom_node"], cwd=PROJECT_ROOT, env=environment, stdout=file, stderr=file
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_for(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_a_node_that_is_killed_in_the_middle_of_a_study_takes_it_whole_or_not_at_all(
    tmp_path: Path, empty_sqlite: Path
) -> None:
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    resources = Resources.open(make_settings(tmp_path, GLIOSCOPE_DICOM_NODE="on"))
    port, files = free_port(), study()
    environ = {"GLIOSCOPE_DICOM_BIND": f"127.0.0.1:{port}"}

    def scans() -> int:
        with resources.database.read() as session:
            return session.scalar(select(func.count()).select_from(Scan)) or 0

    with running_node(tmp_path, **environ) as (process, log):
        wait_for(lambda: "listens on" in log.read_text(), log)
        with association(port) as made:
            assert [store(made, data) for data in files[:9]] == [0] * 9
            process.kill()
            process.wait()
    with running_node(tmp_path, **environ) as (_, log):
        wait_for(lambda: [item.state for item in node_status.read(resources.settings).studies] == ["interrupted"], log)
        assert scans() == 0
        send_whole(port, files[9:])
        wait_for(lambda: node_status.read(resources.settings).counts.get("studies_taken") == 1, log)
        assert scans() == 1
        check_what_others_see(resources)
        assert not any(word in log.read_text() for word in ("H-0815", "Müller", "Canary"))
    resources.close()


def check_what_others_see(resources: Resources) -> None:
    app = create_app(resources.settings)
    families = text_string_to_metric_families(app.test_client().get("/metrics").text)
    found = {(item.name, *item.labels.values()): item.value for family in families for item in family.samples}
    assert found["glioscope_dicom_up",] == 1
    # What was counted in the second before a kill may be lost, and nothing else.
    assert found["glioscope_dicom_events_total", "instances_stored"] >= 15
    assert found["glioscope_dicom_studies", "interrupted"] == 0
    told = app.test_cli_runner().invoke(args=["dicom", "status"]).output
    assert "The node runs." in told and "SENDER/" in told and "taken" in told
    app.extensions[EXTENSION].close()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"GLIOSCOPE_DICOM_NODE": "off"}, "The DICOM node is off"),
        ({"GLIOSCOPE_DICOM_PEERS": ""}, "has no peers"),
        ({"GLIOSCOPE_DICOM_PEERS": "PACS"}, "a peer is AE@host:port"),
        ({"GLIOSCOPE_DICOM_PEERS": "A@h:1,A@i:2"}, "names one title twice"),
        ({"GLIOSCOPE_DICOM_RETURN": "ELSE"}, "the title of a peer"),
        ({"GLIOSCOPE_DICOM_AE_TITLE": "much too long a title"}, "GLIOSCOPE_DICOM_AE_TITLE is"),
        ({"GLIOSCOPE_AUTH": "password"}, "GLIOSCOPE_DICOM_USER must name a user"),
    ],
)
def test_a_node_that_cannot_work_says_why_in_one_sentence(
    tmp_path: Path, empty_sqlite: Path, environ: dict[str, str], sentence: str
) -> None:
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    with running_node(tmp_path, **environ) as (process, log):
        assert process.wait(30) == 1
    assert sentence in log.read_text() and log.read_text().count("\n") == 1


def test_without_a_node_there_are_no_figures_of_one(tmp_path: Path, empty_sqlite: Path) -> None:
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    app: Flask = create_app(replace(make_settings(tmp_path)))
    assert "glioscope_dicom" not in app.test_client().get("/metrics").text
    assert "No DICOM node has run" in app.test_cli_runner().invoke(args=["dicom", "status"]).output
    app.extensions[EXTENSION].close()
