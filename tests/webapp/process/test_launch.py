"""`make run`'s launcher: what is in its way is said in one sentence, before anything is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.portal_process import running_portal
from tests.support.resources import MODEL
from tests.support.small_model import write_small_model
from webapp.domain.settings import PROJECT_ROOT


def launch(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLIOSCOPE_")}
    return subprocess.run(
        [sys.executable, "-m", "webapp.process.launch"],
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
        ("127.0.0.1:x", "must be a host and a port"),
    ],
)
def test_an_address_that_others_reach_is_refused(tmp_path: Path, bind: str, sentence: str) -> None:
    refused = launch(tmp_path, GLIOSCOPE_BIND=bind)
    assert refused.returncode == 1
    assert sentence in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.long
def test_one_instance_runs_once(tmp_path: Path) -> None:
    models = write_small_model(tmp_path / "models")
    small = {"GLIOSCOPE_MODELS": str(models), "GLIOSCOPE_MODEL": MODEL}  # it loads sooner
    with running_portal(tmp_path, **small) as portal:
        second = launch(tmp_path, GLIOSCOPE_BIND="127.0.0.1:0")
        assert second.returncode == 1
        assert "runs on this instance already" in second.stderr
        busy = launch(tmp_path / "other", GLIOSCOPE_BIND=f"127.0.0.1:{portal.port}")
        assert busy.returncode == 1
        assert "is not free" in busy.stderr
        portal.wait_until_ready(10)
    with running_portal(tmp_path, **small):
        pass  # the lock went with the first one
