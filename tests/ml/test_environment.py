"""`python -m ml` from a fresh clone, with a Python that has nothing installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml import environment
from webapp.domain.settings import PROJECT_ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The code of `ml` without an environment."""
    ignored = shutil.ignore_patterns("__pycache__", "weights")
    shutil.copytree(PROJECT_ROOT / "ml", tmp_path / "clone" / "ml", ignore=ignored)
    return tmp_path / "clone"


def run(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """By the Python under this one's environment, without that environment's packages."""
    python = Path(sys.base_prefix) / "bin" / "python3"
    code = "import runpy, sys; sys.path[:0] = ['.']; runpy.run_module('ml', run_name='__main__')"
    command = [python, "-I", "-c", code]
    return subprocess.run([*command, *words], cwd=clone, capture_output=True, text=True)


def test_without_an_environment_it_says_what_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(environment, "ENVIRONMENT", tmp_path / "none")
    monkeypatch.setattr(environment, "NEEDED", ("numpy", "none_such"))
    with pytest.raises(SystemExit, match="none_such is not installed: run `make install` first"):
        environment.enter()


def test_with_one_it_runs_there(clone: Path) -> None:
    (clone / ".venv").symlink_to(sys.prefix)
    found = run(clone, "check", "none-such")
    assert found.returncode == 1
    assert "DatasetError" in found.stderr and "none-such" in found.stderr and "Traceback" not in found.stderr


def test_what_training_needs_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from ml.__main__ import main

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("ml.commands.package.run", lambda _options: __import__("torch"))
    assert main(["package", "x.pth", "--out", "x"]) == 1
    assert "This command needs torch: run `make install-train` first." in capsys.readouterr().err


def test_another_environment_is_left_alone() -> None:
    environment.enter()
