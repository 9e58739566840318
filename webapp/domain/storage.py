"""Where bytes live: originals, decoded stacks and probability maps, under keys that we make.

A key is a relative path of safe characters. Nothing of a client's names ever stands in one.
"""

import errno
import os
import re
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from webapp.domain.errors import StorageFull, StorageUnavailable

KEY = re.compile(r"[a-z0-9]+(?:[/._-][a-z0-9]+)*")

# The operating system's words for a disk without room.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Room that must be free besides an upload itself: the database, its log and a few maps need some.
RESERVE_BYTES = 64 * 1_048_576


# Each loses its folder to a delete that prunes at the same instant; five times in a row is no accident.
PUT_TRIES = 5


class Storage(Protocol):
    """One small interface over a folder, and later over an object store."""

    def temporary_file(self) -> Path:
        """A new empty file beside the stored ones, for writing before `put`; the caller removes or puts it."""

    def put(self, source: Path, key: str) -> None:
        """Move a finished temporary file under a key, durably and in one step."""

    def path(self, key: str) -> Path:
        """A local file to read the key's bytes from; it may be mapped into memory."""

    def delete(self, key: str) -> None:
        """Remove one key, or every key below it where it is a prefix. A missing key is no error."""

    def keys(self, older_than_s: float) -> Iterator[str]:
        """Every stored key whose file is at least that old."""

    def delete_temporary(self, older_than_s: float) -> int:
        """Remove what crashed writers left; says how many files that were."""

    def make_folder(self, name: str) -> Path:
        """A new private folder on the stored files' disk, for what must keep its names: an unpacked data set."""

    def folder(self, name: str) -> Path:
        """Where that folder is."""

    def delete_folder(self, name: str) -> None:
        """Remove it with all that is in it. A missing one is no error."""

    def folders(self, older_than_s: float) -> list[str]:
        """The private folders that are at least that old."""

    def check(self, needed_bytes: int = 0) -> None:
        """Raises StorageUnavailable or StorageFull where a write of that size would fail."""


class LocalStorage:
    """A folder. Writes are atomic: temporary file, fsync, rename, fsync of the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects = root / "objects"
        self._temporary = root / "temporary"
        self._folders = root / "folders"

    def temporary_file(self) -> Path:
        with translated_errors():
            self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._temporary)
            os.close(handle)
        return Path(name)

    def put(self, source: Path, key: str) -> None:
        target = self.path(key)
        with translated_errors():
            _fsync(source)
            for tries_left in reversed(range(PUT_TRIES)):
                try:
                    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    source.rename(target)
                    break
                except (FileNotFoundError, FileExistsError):
                    # A delete beside this one has just removed the folder, which was empty: after `mkdir` had looked,
                    # or while it did.
                    if not tries_left:
                        raise
            _fsync(target.parent)

    def path(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"not a storage key: {key!r}")
        return self._objects / key

    def delete(self, key: str) -> None:
        target = self.path(key)
        with translated_errors():
            if target.is_dir():
                shutil.rmtree(target, ignore_errors=False)
            else:
                target.unlink(missing_ok=True)
            self._prune(target.parent)

    def keys(self, older_than_s: float) -> Iterator[str]:
        latest = time.time() - older_than_s
        for folder, _, names in os.walk(self._objects):
            for name in names:
                path = Path(folder, name)
                try:
                    is_old = path.stat().st_mtime <= latest
                except FileNotFoundError:
                    continue
                if is_old:
                    yield path.relative_to(self._objects).as_posix()

    def delete_temporary(self, older_than_s: float) -> int:
        latest = time.time() - older_than_s
        count = 0
        for path in self._temporary.glob("*"):
            with translated_errors():
                try:
                    if path.stat().st_mtime <= latest:
                        path.unlink()
                        count += 1
                except FileNotFoundError:
                    continue
        return count

    def make_folder(self, name: str) -> Path:
        path = self.folder(name)
        with translated_errors():
            path.mkdir(mode=0o700, parents=True)
        return path

    def folder(self, name: str) -> Path:
        if not KEY.fullmatch(name) or "/" in name:
            raise ValueError(f"not a folder's name: {name!r}")
        return self._folders / name

    def delete_folder(self, name: str) -> None:
        path = self.folder(name)
        with translated_errors():
            if path.is_dir():
                shutil.rmtree(path)

    def folders(self, older_than_s: float) -> list[str]:
        latest = time.time() - older_than_s
        found = []
        for path in self._folders.glob("*"):
            try:
                if path.stat().st_mtime <= latest:
                    found.append(path.name)
            except FileNotFoundError:
                continue
        return found

    def check(self, needed_bytes: int = 0) -> None:
        with translated_errors():
            self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
            free = shutil.disk_usage(self._temporary).free
        if not os.access(self._temporary, os.W_OK):
            raise StorageUnavailable("The storage cannot be written right now; try again later.")
        if free < needed_bytes + RESERVE_BYTES:
            raise StorageFull("The storage has no room left for this file; delete scans or free disk space.")

    def _prune(self, folder: Path) -> None:
        """Remove folders that became empty, up to the root of the objects."""
        while folder != self._objects:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent


def scan_prefix(scan_id: str) -> str:
    """The prefix of everything that is kept of one scan; two digits spread the scans over 256 folders."""
    return f"scans/{scan_id[:2]}/{scan_id}"


def original_key(scan_id: str) -> str:
    """The uploaded bytes."""
    return f"{scan_prefix(scan_id)}/original"


def stack_key(scan_id: str) -> str:
    """The decoded stack: `.npy`, uint8 (N, H, W, 3)."""
    return f"{scan_prefix(scan_id)}/stack.npy"


def map_key(scan_id: str, segmentation_id: str, attempt: int) -> str:
    """One attempt's probability map: `.npy`, uint8 (N, H, W). A stale attempt can never write over a newer one's."""
    return f"{scan_prefix(scan_id)}/{segmentation_id}.{attempt}.npy"


def evaluation_prefix(evaluation_id: str) -> str:
    """The prefix of everything that is kept of one evaluation but an unpacked archive."""
    return f"evaluations/{evaluation_id[:2]}/{evaluation_id}"


def group_key(evaluation_id: str, position: int, attempt: int) -> str:
    """Maps and truths of the cases that were written together, from the case at that position on: `.npz`."""
    return f"{evaluation_prefix(evaluation_id)}/cases/{position:07d}.{attempt}.npz"


def report_key(evaluation_id: str, attempt: int, name: str) -> str:
    """One file of the report that an attempt wrote."""
    return f"{evaluation_prefix(evaluation_id)}/report.{attempt}/{name}"


def findings_key(evaluation_id: str, attempt: int) -> str:
    """All that an attempt's check found, as JSON."""
    return f"{evaluation_prefix(evaluation_id)}/findings.{attempt}.json"


def read_array(storage: Storage, key: str) -> np.ndarray:
    """A stored `.npy`, mapped and not read, so that one slice of a large stack costs one slice.

    Raises StorageUnavailable where it is missing or damaged.
    """
    try:
        return np.load(storage.path(key), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StorageUnavailable("A stored array is missing or damaged; restore it, or delete the scan.") from error


def write_array(storage: Storage, key: str, array: np.ndarray) -> None:
    """Store an array under a key, as `.npy`. Raises StorageFull or StorageUnavailable; nothing half-written stays."""
    temporary = storage.temporary_file()
    try:
        with translated_errors(), temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        storage.put(temporary, key)
    finally:
        temporary.unlink(missing_ok=True)


def write_group(storage: Storage, key: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Store arrays by name under one key, compressed; each can be read without the others. Raises as `write_array`."""
    temporary = storage.temporary_file()
    try:
        with translated_errors(), temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        storage.put(temporary, key)
    finally:
        temporary.unlink(missing_ok=True)


def read_group(storage: Storage, key: str, names: Sequence[str]) -> list[np.ndarray | None]:
    """The named arrays of a group, None for one that is not in it. Raises StorageUnavailable where it is damaged."""
    try:
        with np.load(storage.path(key), allow_pickle=False) as group:
            return [group.get(name) for name in names]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise StorageUnavailable("A stored map is missing or damaged; restore it, or evaluate again.") from error


def write_bytes(storage: Storage, key: str, data: bytes) -> None:
    """Store bytes under a key. Raises StorageFull or StorageUnavailable; nothing half-written stays."""
    temporary = storage.temporary_file()
    try:
        with translated_errors():
            temporary.write_bytes(data)
        storage.put(temporary, key)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the operating system's errors into StorageFull and StorageUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull("The storage has no room left; delete scans or free disk space.") from error
        raise StorageUnavailable("The storage cannot be used right now; try again later.") from error


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
