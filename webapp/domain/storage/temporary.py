"""Files that are being written: they lie on this machine's disk until a store takes them."""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from webapp.domain.errors import StorageFull, StorageUnavailable
from webapp.domain.storage.interface import RESERVE_BYTES, translated_errors

# How their names begin.
PREFIX = "tmp"


class TemporaryFiles:
    """A private folder of files that no key names yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> Path:
        """A new empty file. Raises StorageFull or StorageUnavailable."""
        with translated_errors():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=PREFIX)
            os.close(handle)
        return Path(name)

    def is_there(self) -> bool:
        """Whether the folder is; it is made with its first file, or when it is checked."""
        return self._folder.exists()

    def delete(self, older_than_s: float) -> int:
        """Remove what crashed writers left; says how many files that were."""
        latest = time.time() - older_than_s
        count = 0
        for path in self._folder.glob(f"{PREFIX}*"):
            with suppress(OSError):  # gone by now, or a folder, which is not ours
                if path.stat().st_mtime <= latest:
                    path.unlink()
                    count += 1
        return count

    def check(self, needed_bytes: int) -> None:
        """Raises StorageUnavailable or StorageFull where a write of that size would fail."""
        with translated_errors():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free
        if not os.access(self._folder, os.W_OK):
            raise StorageUnavailable("The storage cannot be written right now; try again later.")
        if free < needed_bytes + RESERVE_BYTES:
            raise StorageFull("The storage has no room left for this file; delete scans or free disk space.")
