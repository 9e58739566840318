"""`make run`'s launcher: what is in its way is said in one sentence, before anything is started."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from tests.support.portal_process import running_portal
from tests.support.resources import MODEL, png_bytes
from tests.support.small_model import write_small_model
from webapp.domain.settings import PROJECT_ROOT, SettingsError
from webapp.process import launch as launch_module
from webapp.process import supervised


def launch(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return run_module("webapp.process.launch", folder=folder, **environ)


def run_module(*command: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLIOSCOPE_")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=PROJECT_ROOT,
        env=environment | {"GLIOSCOPE_INSTANCE": str(folder / "instance")} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("bind", "sentence"),
    [
        ("0.0.0.0:8000", "will not listen on 0.0.0.0"),
        ("[::]:8000", "will not listen on ::"),
        ("8000", "must be a host and a port"),
        ("::1:8000", "or [::1]:8000"),
        ("http://127.0.0.1:8000", "must be a host and a port, such as 127.0.0.1:8000"),
        ("127.0.0.1:x", "must be a host and a port"),
        ("127.0.0.1:65536", "must be a host and a port"),
    ],
)
def test_an_address_that_others_reach_is_refused(tmp_path: Path, bind: str, sentence: str) -> None:
    refused = launch(tmp_path, GLIOSCOPE_BIND=bind)
    assert refused.returncode == 1
    assert sentence in refused.stderr and "Traceback" not in refused.stderr


def test_an_instance_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "locked" / "instance" / "lock").mkdir(parents=True)
    for folder in ("file", "locked"):
        refused = launch(tmp_path / folder, GLIOSCOPE_BIND="127.0.0.1:0")
        assert refused.returncode == 1
        assert "cannot be used" in refused.stderr and "GLIOSCOPE_INSTANCE" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    refused = launch(tmp_path, GLIOSCOPE_BIND="127.0.0.1:0", GLIOSCOPE_MODEL="none-such")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "There is no model package called 'none-such'" in refused.stderr and "GLIOSCOPE_MODELS" in refused.stderr


PROCESSES = {
    "web": ["gunicorn", "wsgi:app"],
    "worker": ["celery", "--app", "worker.app", "worker"],
    "sweeper": ["worker.recovery.sweeper"],
    "redis": ["webapp.process.redis_server"],
    "command": ["flask", "--app", "wsgi", "evaluations", "list"],
}


@pytest.mark.parametrize("command", PROCESSES.values(), ids=PROCESSES)
def test_a_setting_that_cannot_work_is_one_sentence_for_every_process(tmp_path: Path, command: list[str]) -> None:
    refused = run_module(*command, folder=tmp_path, GLIOSCOPE_LEASE_S="x")
    assert refused.returncode == 1
    assert refused.stderr == "GLIOSCOPE_LEASE_S is 'x'; it must be a number above 0 and below 1000000000.\n"


def test_a_database_of_a_later_schema_is_said(tmp_path: Path, empty_sqlite: Path) -> None:
    (tmp_path / "instance").mkdir()
    path = shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for command in (["webapp.process.launch"], PROCESSES["web"], ["flask", "--app", "wsgi", "migrate"]):
        refused = run_module(*command, folder=tmp_path, GLIOSCOPE_BIND="127.0.0.1:0")
        assert refused.returncode != 0
        assert "of the schema 9999, which this version does not know" in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("url", ["sqlite:////proc/none/x.sqlite3", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_database_that_cannot_be_opened_is_said(tmp_path: Path, url: str) -> None:
    refused = launch(tmp_path, GLIOSCOPE_BIND="127.0.0.1:0", DATABASE_URL=url)
    assert refused.returncode == 1
    file = url.removeprefix("sqlite:///") + " " if url.startswith("sqlite") else ""
    assert f"The database {file}cannot be opened or written" in refused.stderr and "Traceback" not in refused.stderr


def test_a_process_of_a_killed_portal_that_does_not_end_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_module, "ORPHANS_END_S", 0.1)
    with (tmp_path / supervised.HOLDERS).open("w") as orphan:
        fcntl.flock(orphan, fcntl.LOCK_SH)
        with pytest.raises(SettingsError, match=rf"still run after 0.1 s \({os.getpid()}\)"):
            launch_module.lock_instance(tmp_path)


@pytest.mark.long
def test_one_instance_runs_once_also_where_it_and_the_checkout_have_odd_names(tmp_path: Path) -> None:
    models = write_small_model(tmp_path / "models")
    small = {"GLIOSCOPE_MODELS": str(models), "GLIOSCOPE_MODEL": MODEL}  # it loads sooner
    odd = tmp_path / "o dd %20 'n\"ame ü"
    odd.mkdir()
    (odd / "venv").symlink_to(sys.prefix)
    python = str(odd / "venv" / "bin" / "python")
    with running_portal(odd, python=python, **small) as portal:
        assert portal.upload(png_bytes())["id"]
        second = launch(odd, GLIOSCOPE_BIND="127.0.0.1:0")
        assert second.returncode == 1
        assert f"(it ends by Ctrl-C in its terminal, or by `kill {portal.process.pid}`)" in second.stderr
        busy = launch(tmp_path / "other", GLIOSCOPE_BIND=f"127.0.0.1:{portal.port}")
        assert busy.returncode == 1
        assert "is not free" in busy.stderr
        portal.wait_until_ready(10)
        # Without its supervisor every process ends, and the next portal waits for that.
        portal.process.kill()
        with running_portal(odd, python=python, port=portal.port, **small) as after:
            after.wait_for_words("was killed; waiting for its processes to end")
            after.wait_for_words("Glioscope is ready")


@pytest.mark.parametrize("is_ignored", [False, True], ids=["closed", "nohup"])
def test_the_portal_ends_with_its_terminal_unless_it_was_told_not_to(
    tmp_path: Path, is_ignored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """supervisord took SIGHUP for a wish to start everything again, and went on where nobody saw it."""
    models = write_small_model(tmp_path / "models")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
    try:
        with running_portal(tmp_path, GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL=MODEL) as portal:
            children = portal.processes("gunicorn", "wsgi:app")
            portal.process.send_signal(signal.SIGHUP)
            if is_ignored:
                time.sleep(3)
                assert portal.process.poll() is None and portal.processes("gunicorn", "wsgi:app") == children
            else:
                assert portal.process.wait(60) == 0
                assert not [process for process in children if process.is_running()]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_that_cannot_start_is_said(tmp_path: Path) -> None:
    (tmp_path / "instance" / "redis.sock" / "x").mkdir(parents=True)
    with running_portal(tmp_path, is_awaited=False) as portal:
        portal.wait_for_words("WARN exited: redis (exit status 1; not expected)")


def supervise(folder: Path, command: str, output: socket.socket | IO[bytes]) -> subprocess.Popen[bytes]:
    """supervisord of one process, whose log is supervisord's own output."""
    (folder / "supervisord.conf").write_text(
        "[supervisord]\nnodaemon=true\nloglevel=warn\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
        f"pidfile={folder}/pid\n[program:web]\ncommand={command}\nstartsecs=0\nautorestart=false\n"
        "stdout_logfile=/dev/fd/1\nstdout_logfile_maxbytes=0\nredirect_stderr=true\n"
    )
    return subprocess.Popen(
        [sys.executable, "-m", "webapp.process.supervision", "-c", str(folder / "supervisord.conf")],
        cwd=PROJECT_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )


def test_output_that_cannot_be_opened_by_its_path_takes_what_processes_say(tmp_path: Path) -> None:
    """systemd's journal is a socket, and the terminal of `sudo -u` another user's: opening them anew is refused."""
    ours, journal = socket.socketpair()
    with ours, journal, ours.makefile() as said:
        ours.settimeout(20)
        supervisor = supervise(tmp_path, "/bin/echo started", journal)
        try:
            assert any(line == "started\n" for line in said)
        finally:
            supervisor.terminate()
            supervisor.wait(timeout=20)


def test_output_on_a_full_disk_ends_no_process(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with Path("/dev/full").open("wb") as full:
        supervisor = supervise(tmp_path, f"/bin/sh -c 'echo 1; sleep 1; echo 2; sleep 1; touch {done}; sleep 60'", full)
        try:
            deadline = time.monotonic() + 20
            while not done.exists() and supervisor.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            assert done.exists() and supervisor.poll() is None
        finally:
            supervisor.terminate()
            supervisor.wait(timeout=20)
