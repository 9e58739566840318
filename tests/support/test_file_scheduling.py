"""A process of the suite that dies costs one test; the run goes on and ends."""

import subprocess
import sys
from pathlib import Path

_CONFTEST = """
import pytest
from tests.support.file_scheduling import FileScheduling

@pytest.hookimpl
def pytest_xdist_make_scheduler(config, log):
    return FileScheduling(config, log)
"""
_DEADLY = """
import os
import pytest

@pytest.mark.parametrize("index", range(6))
def test_deadly(index):
    if index == 3:
        os._exit(9)
"""
_QUIET = """
import pytest

@pytest.mark.parametrize("index", range({count}))
def test_quiet(index):
    pass
"""
PROJECT = Path(__file__).resolve().parents[2]


def test_a_process_that_dies_costs_the_test_it_died_in(tmp_path):
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    for count in (8, 7, 1, 1):  # before and after the deadly one: the longest files are dealt out first
        (tmp_path / f"test_{len(list(tmp_path.iterdir()))}.py").write_text(_QUIET.format(count=count))
    (tmp_path / "test_deadly.py").write_text(_DEADLY)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", f"--rootdir={tmp_path}", "-o", f"pythonpath={PROJECT}", str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "test_deadly.py::test_deadly[3]" in done.stdout
    assert "1 failed, 22 passed" in done.stdout
