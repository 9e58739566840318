"""A sandbox whose server ends when nobody asks it: what comes soon after is served by a child of the same one."""

import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from ml.datasets.archive import ArchiveLimits
from ml.sandbox import launcher
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import Sandbox

IDLE_S = 60.0
LIMITS = asdict(ArchiveLimits(10, 10**6, 10**6, 0))


class FakeTimer:
    """A timer that goes off when a test says so."""

    made: list["FakeTimer"]

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self.seconds, self.work, self.is_cancelled = seconds, work, False
        FakeTimer.made.append(self)

    def start(self) -> None:
        """Time does not pass."""

    def cancel(self) -> None:
        self.is_cancelled = True


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    FakeTimer.made = []
    monkeypatch.setattr(launcher.threading, "Timer", FakeTimer)
    sandbox = Sandbox("ml.sandbox.entries.unpack", ChildLimits.of_one_request(2**29, 2**20, 20.0), idle_s=IDLE_S)
    yield sandbox
    sandbox.close()


def unpacked(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a.png", b"x")
    request = {"archive": str(archive), "folder": str(folder), "limits": LIMITS, "takes_all": True}
    return sandbox.run(request, Access.to(reads=[archive], writes=[folder]))


def test_what_follows_has_the_same_server_until_nothing_follows(sandbox: Sandbox, tmp_path: Path) -> None:
    assert unpacked(sandbox, tmp_path / "one") == {"files": 1}
    pid = sandbox.server_pid
    assert pid is not None
    assert unpacked(sandbox, tmp_path / "two") == {"files": 1} and sandbox.server_pid == pid
    first, second = FakeTimer.made
    assert first.is_cancelled and not second.is_cancelled and second.seconds == IDLE_S
    server = psutil.Process(pid)
    second.work()
    psutil.wait_procs([server], timeout=10)
    assert sandbox.server_pid is None and not server.is_running()
    assert unpacked(sandbox, tmp_path / "three") == {"files": 1} and sandbox.server_pid not in (None, pid)


def test_a_timer_that_goes_off_while_somebody_asks_ends_nothing(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked(sandbox, tmp_path / "one")
    (late,) = FakeTimer.made
    real, goes_on = sandbox.ensure_server, threading.Event()

    def late_then_server() -> Any:
        goes_on.set()
        late.work()
        return real()

    monkeypatch.setattr(sandbox, "ensure_server", late_then_server)
    pid = sandbox.server_pid
    assert unpacked(sandbox, tmp_path / "two") == {"files": 1}
    assert goes_on.is_set() and sandbox.server_pid == pid
