"""A process of the suite that dies costs one test, and the run ends. Files that share a portal stay together."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

from xdist.remote import Producer

from tests.support.file_scheduling import FileScheduling

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


class Process:
    """A process of the suite as the scheduling knows one; it does what it was sent in its order."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.sent: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def processes_by_file(files: list[str]) -> dict[str, set[str]]:
    """Three processes do the tests of these files, three each, in turn; who did a file."""
    option = SimpleNamespace(loadscopereorder=False)
    config = SimpleNamespace(option=option, getvalue=lambda _name: ["popen"] * 3, rootpath=PROJECT)
    scheduling = FileScheduling(config, Producer("", enabled=False))
    tests = [f"{file}::test_{number}" for file in files for number in range(3)]
    processes = [Process(f"gw{number}") for number in range(3)]
    for process in processes:
        scheduling.add_node(process)
        scheduling.add_node_collection(process, tests)
    scheduling.schedule()
    found, done = defaultdict(set), []
    while any(process.sent for process in processes):
        for process in processes:
            if process.sent:
                index = process.sent.pop(0)
                done.append(index)
                found[tests[index].partition("::")[0]].add(process.gateway.id)
                scheduling.mark_test_complete(process, index)
    assert sorted(done) == list(range(len(tests)))
    return found


def test_files_of_a_room_have_one_process_while_others_have_other_work():
    rooms = [f"tests/{room}/test_{number}.py" for number in range(3) for room in ("faults", "browser")]
    found = processes_by_file([*rooms, *(f"tests/ml/test_{number}.py" for number in range(8))])
    for room in ("faults", "browser"):
        assert len(set.union(*(found[file] for file in rooms if room in file))) == 1, room


def test_where_nothing_else_is_left_all_help_in_a_room():
    rooms = [f"tests/faults/test_{number}.py" for number in range(6)]
    found = processes_by_file(["tests/ml/test_0.py", *rooms])
    assert set.union(*found.values()) == {"gw0", "gw1", "gw2"}
