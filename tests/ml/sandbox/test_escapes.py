"""What a child that its file has taken over gets hold of: nothing but the files of its request."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ml.datasets import case_reader, unpacking
from ml.datasets.archive import ArchiveError, ArchiveLimits
from ml.datasets.case import Case
from ml.datasets.checking import file_checks
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access, landlock, missing, seccomp
from ml.sandbox.decoder import Decoder
from ml.sandbox.launcher import Sandbox
from ml.scans import ScanError

ENTRY = "tests.ml.sandbox.escapes"
PROJECT = Path(__file__).resolve().parents[3]
NAMES = ("secret", "database", "mode", "emptied", "removed", "renamed")
SECRET = "the portal's secret"

pytestmark = pytest.mark.skipif(
    bool(missing()), reason=f"this machine's kernel does not offer {' and '.join(missing())}"
)


@dataclass(frozen=True)
class World:
    """What there is to get hold of around a child."""

    folder: Path
    texts: tuple[str, ...]

    @property
    def secret(self) -> Path:
        return self.folder / "instance" / "secret"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    instance = tmp_path / "instance"
    instance.mkdir()
    for name in NAMES:
        (instance / name).write_text(SECRET)
    victim = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(str(tmp_path / "redis.sock"))
        name = f"glioscope-{os.getpid()}-{time.monotonic_ns()}"
        abstract.bind(f"\0{name}")
        for server in (tcp, unix, abstract):
            server.listen(64)
        port, pid = tcp.getsockname()[1], victim.pid
        paths = {name: instance / name for name in NAMES}
        lines = (
            f"read {paths['secret']}", "read /etc/passwd", f"read /proc/{pid}/environ", "read /proc/self/environ",
            f"list {instance}", "list /", f"write_beside {instance}", f"link {instance}", f"remove {paths['removed']}",
            f"rename {paths['renamed']}", f"overwrite {paths['database']}", f"truncate {paths['emptied']}",
            f"change_mode {paths['mode']}", f"connect_tcp {port}", f"send_datagram {port}",
            f"connect_unix {tmp_path / 'redis.sock'}", f"connect_unix @{name}", "socket_pair", "run_shell ", "exec ",
            "exec_from_memory ", f"outlive {instance / 'outlived'}", f"signal_owner {pid}", f"trace_owner {pid}",
            f"read_owners_memory {pid}", f"read_owners_memory_by_call {pid}", "survive_the_server ", "raise_limits ",
            "unshare ", "shared_memory ",
        )  # fmt: skip
        yield World(tmp_path, lines)
    victim.kill()  # it may have been stopped by who traced it
    victim.communicate()


def test_no_attempt_escapes_though_each_does_without_a_sandbox(world: World, figure: Callable[[str], None]) -> None:
    source = world.folder / "source"
    source.write_text("a file that the child may read")
    target = world.folder / "target"
    target.touch()
    sandbox = Sandbox(ENTRY, ChildLimits.of_one_request(2**30, 2**20, 20.0))
    try:
        access = Access.to(reads=[source], writes=[target])
        held = {text: sandbox.run({"text": text}, access)["message"] for text in world.texts}
        own = sandbox.run({"text": f"read {source}"}, access)["message"]
        written = sandbox.run({"text": f"overwrite {target}"}, access)["message"]
    finally:
        sandbox.close()
    time.sleep(0.4)  # longer than a process that outlives its parent waits
    escapes = {text: said for text, said in held.items() if not said.startswith("held")}
    figure(f"{len(held)} attempts of a child that was taken over, {len(escapes)} escaped")
    assert escapes == {}
    left = {path.name: path.read_text() for path in (world.folder / "instance").iterdir()}
    assert left == dict.fromkeys(NAMES, SECRET)
    assert own == "escaped 'a file that the child may read'"
    assert written == "escaped 'overwritten'"
    assert target.read_text() == "overwritten"

    control = subprocess.run(
        [sys.executable, "-m", ENTRY], input=json.dumps(list(world.texts)), capture_output=True, text=True, cwd=PROJECT
    )
    free = json.loads(control.stdout)
    assert {text: said for text, said in free.items() if not said.startswith("escaped")} == {}


@pytest.mark.parametrize("without", [landlock, seccomp], ids=["landlock", "seccomp"])
def test_either_means_is_at_work(world: World, without: object) -> None:
    """Files are Landlock's, calls are seccomp's: what holds without one is the other's."""
    code = (
        "import sys; from pathlib import Path; from ml.sandbox.confinement import Access, landlock, seccomp\n"
        "from tests.ml.sandbox.escapes import attempt\n"
        f"{'seccomp.restrict()' if without is landlock else 'landlock.restrict(Access())'}\n"
        f"print(attempt({f'read {world.secret}'!r}))\n"
        "print(attempt('run_shell '))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    said = [line.split()[0] for line in done.stdout.splitlines()]
    assert said == (["escaped", "held"] if without is landlock else ["held", "held"])


def test_a_reader_of_the_decoder_cannot_open_the_secret(world: World) -> None:
    source = world.folder / "scan.png"
    source.write_text(f"read {world.secret}")
    decoder = Decoder(reader=f"{ENTRY}:read")
    try:
        with pytest.raises(ScanError) as caught:
            decoder.decode(source, world.folder / "stack.npy")
    finally:
        decoder.close()
    assert caught.value.message == "held PermissionError 13"
    assert not (world.folder / "stack.npy").exists()


def test_the_check_of_a_data_set_cannot_open_the_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_checks, "ENTRY", ENTRY)
    case = _case(world)
    (found,) = file_checks.check_files([case])
    assert found.image_error == "held PermissionError 13"
    case.image.write_text(f"read {case.image.with_name('neighbor')}")
    (found,) = file_checks.check_files([case])
    assert found.image_error == "escaped 'of the data set'"


def test_the_reader_of_cases_cannot_open_the_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_reader, "_ENTRY", ENTRY)
    case = _case(world)
    reader = case_reader.CaseReader(chunk_timeout_s=20.0)
    try:
        with reader.chunk([case.image.parent]) as chunk:
            found = chunk.read(case, case_reader.Digests())
    finally:
        reader.close()
    assert isinstance(found, case_reader.UnreadCase)
    assert found.message == "held PermissionError 13"


def test_an_archive_cannot_open_the_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_ENTRY", ENTRY)
    archive, folder = world.folder / "set.zip", world.folder / "unpacked"
    archive.write_text(f"read {world.secret}")
    folder.mkdir()
    with pytest.raises(ArchiveError, match="held PermissionError 13"):
        unpacking.unpack_archive(archive, folder, ArchiveLimits(10, 10**6, 10**6, 0), 20.0)


def _case(world: World) -> Case:
    folder = world.folder / "set" / "patient"
    folder.mkdir(parents=True)
    (folder / "neighbor").write_text("of the data set")
    image = folder / "1.png"
    image.write_text(f"read {world.secret}")
    return Case(patient="patient", image=image, mask=None)
