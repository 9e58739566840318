"""Arrays and bytes under storage keys: `.npy`, mapped and not read; `.npz` for groups."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webapp.domain.errors import DataLost, StorageUnavailable
from webapp.domain.storage.interface import Storage, translated_errors

# What reading a file raises that is gone, cut or damaged.
LOST = (FileNotFoundError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def read_array(storage: Storage, key: str) -> NDArray[Any]:
    """A stored `.npy`, mapped and not read, so that one slice of a large stack costs one slice.

    Raises DataLost where it is missing or damaged, StorageUnavailable where it cannot be read now.
    """
    with _reading("A stored array is missing or damaged; restore it, or delete the scan."):
        with storage.local_copy(key) as path:  # the mapping outlives the file's name
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


def read_group(storage: Storage, key: str, names: Sequence[str]) -> list[NDArray[Any] | None]:
    """The named arrays of a group, None for one that is not in it. Raises as `read_array`."""
    with (
        _reading("A stored map is missing or damaged; restore it, or evaluate again."),
        storage.open(key) as file,
        np.load(file, allow_pickle=False) as group,
    ):
        return [group.get(name) for name in names]


@contextmanager
def _reading(lost: str) -> Iterator[None]:
    """Tell what is lost for good, with the sentence `lost`, from what cannot be read right now."""
    try:
        yield
    except LOST as error:
        raise DataLost(lost) from error
    except OSError as error:
        raise StorageUnavailable("The storage cannot be read right now; try again later.") from error


def write_array(storage: Storage, key: str, array: NDArray[Any]) -> None:
    """Store an array under a key, as `.npy`. Raises StorageFull or StorageUnavailable; nothing half-written stays."""
    with fresh_object(storage, key) as path, path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_group(storage: Storage, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Store arrays by name under one key, compressed; each can be read without the others. Raises as `write_array`."""
    with fresh_object(storage, key) as path, path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def write_bytes(storage: Storage, key: str, data: bytes) -> None:
    """Store bytes under a key. Raises StorageFull or StorageUnavailable; nothing half-written stays."""
    with fresh_object(storage, key) as path:
        path.write_bytes(data)


@contextmanager
def fresh_object(storage: Storage, key: str) -> Iterator[Path]:
    """Yield a file to write to; it is stored under `key` where the block ends well, else it is removed.

    Raises StorageFull or StorageUnavailable for the operating system's errors in the block, too.
    """
    temporary = storage.temporary_file()
    try:
        with translated_errors():
            yield temporary
        storage.put(temporary, key)
    finally:
        temporary.unlink(missing_ok=True)
