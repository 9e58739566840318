"""A file beside SQLite's that only takes up room: thrown away on a full disk, so that something can be deleted there.

A DELETE writes a log before it frees anything.
"""

import contextlib
import os
import shutil
from pathlib import Path

# A deleted evaluation of some ten thousand cases rewrites as many pages as this.
BALLAST_BYTES = 16 * 1_048_576
NAME = "ballast"


class Ballast:
    """The file in the database's folder; without a folder (PostgreSQL) it does nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / NAME if folder is not None else None

    @property
    def is_loaded(self) -> bool:
        """Whether the file is there."""
        return self._path is not None and self._path.exists()

    def load(self) -> None:
        """Make the file where it is missing and there is room for several of it."""
        if self._path is None or self.is_loaded:
            return
        with contextlib.suppress(OSError):
            if shutil.disk_usage(self._path.parent).free < 4 * BALLAST_BYTES:
                return
            # Written and not only given a length: a sparse file keeps no room.
            own = self._path.with_name(f"{NAME}.{os.getpid()}")
            try:
                own.write_bytes(bytes(BALLAST_BYTES))
                own.replace(self._path)
            finally:
                own.unlink(missing_ok=True)

    def drop(self) -> bool:
        """Throw it away. False where there was none."""
        if self._path is None:
            return False
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
