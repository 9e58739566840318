"""Private folders on this machine's disk, for what must be read under its own names: unpacked data sets, work."""

import shutil
import time
from pathlib import Path

from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import KEY


class Folders:
    """Folders by name below a root. Web and workers share them, whatever the storage of bytes is."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def make(self, name: str) -> Path:
        """A new folder. Raises StorageFull or StorageUnavailable."""
        path = self.path(name)
        with translated_errors():
            path.mkdir(mode=0o700, parents=True)
        return path

    def path(self, name: str) -> Path:
        """Where that folder is."""
        if not KEY.fullmatch(name) or "/" in name:
            raise ValueError(f"not a folder's name: {name!r}")
        return self._root / name

    def delete(self, name: str) -> None:
        """Remove it with all that is in it. A missing one is no error. Raises StorageUnavailable."""
        path = self.path(name)
        with translated_errors():
            if path.is_dir():
                shutil.rmtree(path)

    def names(self, older_than_s: float) -> list[str]:
        """The folders that are at least that old."""
        latest = time.time() - older_than_s
        found = []
        for path in self._root.glob("*"):
            try:
                if path.stat().st_mtime <= latest and path.is_dir():
                    found.append(path.name)
            except OSError:  # gone by now, or not to be read
                continue
        return found
