"""The sandbox: whatever happens to a child or to the server, the caller gets a scan or a ScanError, and soon."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.sandbox import launcher, progress
from ml.sandbox.decoder import Decoder
from ml.sandbox.launcher import SandboxError
from ml.sandbox.server_process import ServerProcess
from ml.scans import ScanError
from tests.ml.sandbox.faults import SIGNALS
from tests.support import scan_files

FAULTS = "tests.ml.sandbox.faults:read"
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def faulty() -> Iterator[Decoder]:
    decoder = Decoder(timeout_s=1, wall_s=2, reader=FAULTS)
    yield decoder
    decoder.close()


@pytest.fixture(scope="module")
def patient_faulty() -> Iterator[Decoder]:
    """Its children end by their processor time, however busy the machine is."""
    decoder = Decoder(timeout_s=0.5, wall_s=300, reader=FAULTS)
    yield decoder
    decoder.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(scan_files.picture(scan_files.noise(3), "png"))
    return path


def _write(folder: Path, words: str) -> Path:
    path = folder / "fault"
    path.write_bytes(words.encode())
    return path


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_stack_file_holds_the_pixels(decoder, image, tmp_path):
    decoded = decoder.decode(image, tmp_path / "stack.npy")
    stack = np.load(tmp_path / "stack.npy", allow_pickle=False)
    assert np.array_equal(stack[0], scan_files.noise(3))
    assert (decoded.format, decoded.width, decoded.height) == ("png", scan_files.WIDTH, scan_files.HEIGHT)
    assert (decoded.slice_count, decoded.spacing_mm, decoded.warnings) == (1, None, ())


def test_spacing_and_warnings_come_through(decoder, tmp_path):
    source = tmp_path / "scan"
    stack = np.stack([scan_files.noise(dtype="uint16")] * 3)
    metadata = {"unit": "mm", "spacing": 3.0, "axes": "ZYX"}
    source.write_bytes(scan_files.tiff(stack, imagej=True, resolution=(2.0, 2.0), metadata=metadata))
    decoded = decoder.decode(source, tmp_path / "stack.npy")
    assert decoded.spacing_mm == (3.0, 0.5, 0.5)
    assert decoded.warnings == ("intensity_scaled", "gray_repeated")


def test_spacing_of_one_slice_has_no_distance_of_slices(decoder, tmp_path):
    source = tmp_path / "scan"
    source.write_bytes(scan_files.tiff(scan_files.noise(), imagej=True, resolution=(2, 4), metadata={"unit": "mm"}))
    assert decoder.decode(source, tmp_path / "stack.npy").spacing_mm == (0.0, 0.25, 0.5)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("eat", "limit"),
        ("huge", "limit"),
        ("sleep", "limit"),
        ("spin", "limit"),
        ("recurse", "unreadable"),
        ("leave", "unreadable"),
        ("raise", "unreadable"),
        ("exit", "unreadable"),
        ("files", "unreadable"),
        *((f"signal {number:d}", "limit" if number == signal.SIGKILL else "unreadable") for number in SIGNALS),
    ],
)
def test_a_fault_of_the_child_is_a_scan_error(faulty, image, tmp_path, words, code):
    stack = tmp_path / "stack.npy"
    started = time.monotonic()
    with pytest.raises(ScanError) as caught:
        faulty.decode(_write(tmp_path, words), stack)
    assert caught.value.code == code
    assert time.monotonic() - started < 60, "and not for ever, as it would"
    assert not stack.exists()
    server = faulty.server_pid
    assert faulty.decode(image, stack).format == "png"
    assert faulty.server_pid == server, "the server outlives its children"
    assert _children_of(server) == [], "no zombies"


def test_a_file_that_waits_for_the_processor_is_not_refused(image, tmp_path):
    with closing(Decoder(timeout_s=0.5, reader=FAULTS)) as starved:
        source = tmp_path / "starved"
        source.write_bytes(b"starve 1.5")
        assert starved.decode(source, tmp_path / "stack.npy").format == "png", "three times as late as it may compute"


def test_a_child_that_only_waits_ends_by_the_clock(faulty, tmp_path):
    with pytest.raises(ScanError) as caught:
        faulty.decode(_write(tmp_path, "sleep"), tmp_path / "stack.npy")
    assert "has not ended within the limit of 2 s; try again when the machine is less busy" in caught.value.message


def test_a_child_that_computes_ends_by_its_processor_time(patient_faulty, image, tmp_path):
    patient_faulty.decode(image, tmp_path / "stack.npy")
    before = _seconds_of_children(patient_faulty.server_pid)
    with pytest.raises(ScanError) as caught:
        patient_faulty.decode(_write(tmp_path, "spin"), tmp_path / "stack.npy")
    assert "takes longer than the limit of 0.5 s of processor time; make it smaller" in caught.value.message
    assert 0.4 <= _seconds_of_children(patient_faulty.server_pid) - before <= 1.1


def _seconds_of_children(pid: int) -> float:
    """Processor time of the children that a process has waited for: fields 16 and 17 of proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def test_the_child_sees_no_secrets(faulty, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIOSCOPE_SECRET_KEY", "canary")
    faulty.close()
    faulty.decode(_write(tmp_path, "environment"), tmp_path / "stack.npy")
    names = bytes(np.load(tmp_path / "stack.npy")[0, 0, :, 0]).decode().split(",")
    assert "GLIOSCOPE_SECRET_KEY" not in names
    assert not [name for name in names if name.startswith(("GLIOSCOPE", "DATABASE", "REDIS", "AWS"))]


def test_one_slow_file_does_not_hold_up_the_others(faulty, image, tmp_path):
    def sleep() -> None:
        with pytest.raises(ScanError):
            faulty.decode(_write(tmp_path, "sleep"), tmp_path / "slow.npy")

    faulty.decode(image, tmp_path / "stack.npy")
    slow = threading.Thread(target=sleep)
    slow.start()
    time.sleep(0.2)
    started = time.monotonic()
    faulty.decode(image, tmp_path / "stack.npy")
    assert time.monotonic() - started < 1
    slow.join()


def test_a_killed_server_is_started_again(decoder, image, tmp_path):
    decoder.decode(image, tmp_path / "stack.npy")
    first = decoder.server_pid
    os.kill(first, signal.SIGKILL)
    assert decoder.decode(image, tmp_path / "stack.npy").format == "png"
    assert decoder.server_pid not in (None, first)


def test_a_server_killed_during_a_decode_costs_one_more_try(faulty, tmp_path):
    faulty.warm_up()
    killer = threading.Timer(0.5, lambda: os.kill(faulty.server_pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(ScanError) as caught:
        faulty.decode(_write(tmp_path, "sleep"), tmp_path / "stack.npy")
    killer.join()
    assert caught.value.code == "limit"


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "dead"])
def test_a_frozen_or_dead_server_costs_no_good_file(image, tmp_path, monkeypatch, number):
    monkeypatch.setattr(launcher, "_GRACE_S", 0.5)
    decoder = Decoder(timeout_s=2, wall_s=2)
    decoder.decode(image, tmp_path / "stack.npy")
    os.kill(decoder.server_pid, number)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda index: decoder.decode(image, tmp_path / f"{index}.npy"), range(6)))
    decoder.close()
    assert [decoded.format for decoded in found] == ["png"] * 6


def test_a_frozen_server_is_noticed_long_before_the_limit_of_its_children(image, tmp_path, monkeypatch):
    """They may take ten minutes by the clock, and nothing moves in the server."""
    for module in (launcher, progress):
        monkeypatch.setattr(module, "LOOK_S", 0.2)
    decoder = Decoder(timeout_s=600)
    decoder.decode(image, tmp_path / "stack.npy")
    first = decoder.server_pid
    os.kill(first, signal.SIGSTOP)
    assert decoder.decode(image, tmp_path / "again.npy").format == "png"
    assert decoder.server_pid not in (None, first)
    decoder.close()


def test_a_server_that_stays_silent_is_the_machines_fault(image, tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "_GRACE_S", 0)
    monkeypatch.setattr(launcher, "_START_S", 0)
    kept = []

    def nobody(_server: ServerProcess, timeout_s: float, _times: int) -> socket.socket:
        ours, theirs = socket.socketpair()
        kept.append(theirs)
        ours.settimeout(timeout_s)
        return ours

    monkeypatch.setattr(ServerProcess, "open_connection", nobody)
    decoder = Decoder(timeout_s=0.1)
    with pytest.raises(SandboxError):
        decoder.decode(image, tmp_path / "stack.npy")
    decoder.close()
    for end in kept:
        end.close()
    assert len(kept) == 2 and not (tmp_path / "stack.npy").exists()


def test_many_threads_at_once_get_their_own_pixels(tmp_path):
    decoder = Decoder(children=8)

    def decode(index: int) -> bool:
        source = tmp_path / f"{index}"
        pixels = np.full((20, 20 + index % 5, 3), index, np.uint8)
        pixels[0] = 255 - index
        source.write_bytes(scan_files.tiff(pixels, photometric="rgb"))
        decoder.decode(source, tmp_path / f"{index}.npy")
        return np.array_equal(np.load(tmp_path / f"{index}.npy")[0], pixels)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(decode, range(100)))
    assert _children_of(decoder.server_pid) == []
    decoder.close()


def test_a_forked_process_gets_a_server_of_its_own(image, tmp_path):
    script = """
import os, sys
from pathlib import Path
from ml.sandbox.decoder import Decoder
image, folder = Path(sys.argv[1]), Path(sys.argv[2])
decoder = Decoder()
if "early" in sys.argv:
    decoder.decode(image, folder / "parent.npy")
parent_server = decoder.server_pid
children = []
for index in range(3):
    pid = os.fork()
    if pid == 0:
        ok = decoder.server_pid is None and decoder.decode(image, folder / f"{index}.npy").format == "png"
        ok = ok and decoder.server_pid != parent_server
        decoder.close()
        os._exit(0 if ok else 1)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
assert codes == [0, 0, 0], codes
assert decoder.server_pid == parent_server
assert decoder.decode(image, folder / "parent.npy").format == "png"
"""
    for word in ("early", "late"):
        command = [sys.executable, "-W", "error", "-c", script, str(image), str(tmp_path), word]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_server_ends_when_its_owner_is_killed(image, tmp_path):
    script = """
import os, signal, sys
from pathlib import Path
from ml.sandbox.decoder import Decoder
decoder = Decoder()
decoder.decode(Path(sys.argv[1]), Path(sys.argv[2]))
print(decoder.server_pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script, str(image), str(tmp_path / "stack.npy")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    _assert_gone(int(done.stdout))


def test_close_ends_the_server_and_a_later_decode_starts_one(image, tmp_path):
    decoder = Decoder()
    decoder.decode(image, tmp_path / "stack.npy")
    first = decoder.server_pid
    decoder.close()
    _assert_gone(first)
    assert decoder.server_pid is None
    decoder.decode(image, tmp_path / "stack.npy")
    decoder.close()
    decoder.close()


def test_few_wait_for_their_turn_and_the_others_are_told(image, tmp_path):
    with closing(Decoder(children=1)) as decoder:
        taken = decoder._sandbox._places
        for _ in range(1 + 24):
            assert taken.acquire(blocking=False)
        with pytest.raises(SandboxError, match="Too many"):
            decoder.decode(image, tmp_path / "stack.npy")
        taken.release()
        for _ in range(3):
            assert decoder.decode(image, tmp_path / "stack.npy").format == "png"


def test_a_place_that_cannot_be_written_is_not_the_files_fault(decoder, image, tmp_path):
    with pytest.raises(FileNotFoundError):
        decoder.decode(image, tmp_path / "missing" / "stack.npy")


def test_logs_hold_neither_names_nor_messages(faulty, tmp_path, caplog):
    source = tmp_path / "canary-name.png"
    source.write_bytes(b"\x89PNG\r\n\x1a\n" + b"canary" * 10)
    with caplog.at_level(logging.DEBUG), pytest.raises(ScanError):
        faulty.decode(source, tmp_path / "stack.npy")
    assert caplog.text
    assert "canary" not in caplog.text


def test_importing_the_sandbox_loads_no_reader():
    script = (
        "import sys, ml.sandbox.decoder; assert not {'numpy', 'PIL', 'tifffile', 'torch', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True, timeout=60)


def _assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the server lives on"
        time.sleep(0.02)


@pytest.mark.parametrize("is_gray", [True, False])
def test_a_gray_scan_says_that_one_channel_stands_for_three(decoder, tmp_path, is_gray):
    source = tmp_path / "scan"
    pixels = np.repeat(scan_files.noise()[..., None], 3, axis=2)
    if not is_gray:
        pixels[5, 5, 1] ^= 1
    Image.fromarray(pixels).save(source, "PNG")
    assert decoder.decode(source, tmp_path / "stack.npy").warnings == (("gray_repeated",) if is_gray else ())
