"""Arrays and bytes under storage keys: `.npy`, mapped and not read; `.npz` for groups."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from webapp.domain.errors import StorageUnavailable
from webapp.domain.storage.interface import (
    Storage,
    translated_errors,
)


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
