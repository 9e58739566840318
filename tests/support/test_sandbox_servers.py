import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from ml.datasets.checking.file_checks import ENTRY
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import Conversation, Sandbox
from tests.support.resources import png_bytes
from tests.support.sandbox_servers import started_servers

NURSERY, SERVER = "tests.support.sandbox_nursery", "ml.sandbox.server"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox(ENTRY, ChildLimits.of_each_request(2**30, file_bytes=0, cpu_s=10.0))
    yield sandbox
    sandbox.close(is_final=True)


def program_of(sandbox: Sandbox) -> str:
    """The module whose process the server is, or was forked from."""
    sandbox.warm_up()
    assert sandbox.server_pid is not None
    process = psutil.Process(sandbox.server_pid)
    while not (line := process.cmdline()):  # a process that has just been started has none yet
        time.sleep(0.01)
    return line[line.index("-m") + 1]


def test_a_server_is_forked_has_a_session_of_its_own_and_ends_with_its_sandbox(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    assert program_of(sandbox) == NURSERY
    server = psutil.Process(sandbox.server_pid)
    image = tmp_path / "scan.png"
    image.write_bytes(png_bytes())
    request = {"image": str(image), "mask": None, "outlines": None, "grid": None, "runs": None, "volume": None}
    with closing(Conversation(sandbox, Access.to_folders_of([image]))) as conversation:
        assert conversation.ask(request)["image_size"] == [48, 64]
    assert os.getsid(server.pid) == server.pid
    sandbox.close()
    psutil.wait_procs([server], timeout=10)
    assert sandbox.server_pid is None and not server.is_running()


def test_a_server_that_is_killed_is_seen_to_be_gone(sandbox: Sandbox) -> None:
    program_of(sandbox)
    first = sandbox.ensure_server()
    assert not first.has_ended()
    os.kill(first.pid, signal.SIGKILL)
    assert first.has_ended(within_s=10)
    assert sandbox.ensure_server().pid != first.pid


def test_a_server_is_started_where_that_is_asked_for(sandbox: Sandbox) -> None:
    with started_servers():
        assert program_of(sandbox) == SERVER
