"""Admission: names, the order of files and row, and that a failure at any step leaves nothing, on both databases."""

import errno
import io
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from ml.sandbox.launcher import SandboxError
from tests.support.resources import png_bytes, upload
from webapp.domain.errors import (
    DatabaseUnavailable,
    DecoderUnavailable,
    PortalError,
    StorageFull,
    StorageUnavailable,
    UploadRejected,
)
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import admission, segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.storage.local import LocalStorage
from webapp.domain.uploads import receiving


def nothing_is_left(resources: Resources) -> bool:
    with resources.database.read() as session:
        rows = sum(session.scalar(select(func.count()).select_from(table)) for table in (Scan, Segmentation))
    return rows == 0 and not [path for path in Path(resources.settings.storage).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../x.png", "x.png"),
        ("C:\\fakepath\\x.png", "x.png"),
        (" x.png ", "x.png"),
        ("x\r\ny.png", "xy.png"),
        ("\ufeffx.png", "x.png"),
        ("gnp\u202e.exe", "gnp.exe"),
        ("x\ud800.png", "x.png"),
        ("a" * 300, "a" * 254 + "…"),
        ("a" * 300 + ".tiff", "a" * 249 + "….tiff"),
    ],
)
def test_a_name_is_its_last_part_without_control_characters(given: str, shown: str) -> None:
    assert receiving.display_name(given) == shown
    assert len(shown) <= receiving.LONGEST_NAME


@pytest.mark.parametrize("given", ["", " ", "/", "a/", "\0\x07", "\u202e", "\ud800"])
def test_a_name_of_nothing_is_refused(given: str) -> None:
    with pytest.raises(UploadRejected) as caught:
        receiving.display_name(given)
    assert (caught.value.code, caught.value.status) == ("no_name", 400)


def _disk_full_at_put(resources: Resources, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    put, calls = LocalStorage.put, []

    def fail(self, source, key, **options):
        calls.append(key)
        if len(calls) == number:
            raise StorageFull("full.")
        put(self, source, key, **options)

    monkeypatch.setattr(LocalStorage, "put", fail)


def _database_locked(*_args: object, **_more: object) -> None:
    raise OperationalError("INSERT", {}, Exception("database is locked"))


def _decoder_gone(*_: object, **_more: object) -> None:
    raise SandboxError("the decode server does not stay alive")


def _stack_without_room(*_: object, **_more: object) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


FAULTS = {
    "the original finds no room": (lambda p, m: _disk_full_at_put(p, m, 1), StorageFull),
    "the stack finds no room": (lambda p, m: _disk_full_at_put(p, m, 2), StorageFull),
    "the decoded stack finds no room": (
        lambda p, m: m.setattr(p.decoder, "decode", _stack_without_room),
        StorageFull,
    ),
    "what it decodes to would take the room to spare": (
        lambda p, m: m.setattr(admission, "RESERVE_BYTES", 10**18),
        StorageFull,
    ),
    "the decoder is gone": (lambda p, m: m.setattr(p.decoder, "decode", _decoder_gone), DecoderUnavailable),
    "the row cannot be written": (lambda p, m: m.setattr(segmentations, "add", _database_locked), DatabaseUnavailable),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_any_step_leaves_nothing(resources: Resources, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    set_up, expected = FAULTS[name]
    set_up(resources, monkeypatch)
    with pytest.raises(expected):
        upload(resources)
    assert nothing_is_left(resources)


class FullDisk(io.FileIO):
    """A file on a disk without room, which a buffered writer notices only when it flushes."""

    def write(self, _data: object) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_disk_that_is_full_while_the_upload_is_copied(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(Path, "open", lambda self, mode: io.BufferedWriter(FullDisk(str(self), "w")))
    with pytest.raises(StorageFull), receiving.received(resources, io.BytesIO(bytes(size)), "x.png"):
        pass
    monkeypatch.undo()
    assert nothing_is_left(resources)


@pytest.mark.parametrize("error", [StorageFull("full."), StorageUnavailable("away.")])
def test_no_room_is_said_before_the_upload_is_copied(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, error: PortalError
) -> None:
    def check(self, needed_bytes=0):
        assert needed_bytes == len(png_bytes()), "of a small file, not of the largest that is taken"
        raise error

    monkeypatch.setattr(LocalStorage, "check", check)
    with pytest.raises(type(error)):
        upload(resources)
    assert nothing_is_left(resources)


def test_a_worker_is_woken_after_the_commit(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def publish(_queue: str) -> bool:
        with resources.database.read() as session:
            seen.append(session.scalar(select(Segmentation.status)) is Status.QUEUED)
        return True

    monkeypatch.setattr(resources.queue, "publish", publish)
    upload(resources, png_bytes())
    assert seen == [True]
