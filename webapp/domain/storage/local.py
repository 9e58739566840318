"""A folder as the store of bytes."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ml.atomic_files import sync, write_text
from webapp.domain.errors import StorageUnavailable
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import KEY
from webapp.domain.storage.temporary import TemporaryFiles

# A delete may remove the empty folder between `mkdir` and `rename`; five times in a row is another fault.
PUT_TRIES = 5
GONE = "The storage folder is gone; mount or restore it, or make its folder `objects` where it shall begin anew."


class LocalStorage:
    """A folder: `objects` and `temporary` below a root.

    Writes are atomic: temporary file, fsync, rename, fsync of the folder.
    mark: a file outside of the root that says, from its first use on, that it was there, to the next process, too.
    """

    def __init__(self, root: Path, mark: Path | None = None) -> None:
        self.root = root
        self._objects = root / "objects"
        self._temporary = TemporaryFiles(root / "temporary")
        self._mark = mark
        self._was_there = self._is_marked()

    def temporary_file(self) -> Path:
        self._check_stands()
        path = self._temporary.make()
        self._note_there()
        return path

    def _is_marked(self) -> bool:
        """Whether the mark is of this root; one that was moved is another."""
        if self._mark is None:
            return False
        try:
            return self._mark.read_text(encoding="utf-8") == str(self.root)
        except (OSError, ValueError):
            return False

    def _note_there(self) -> None:
        if self._was_there:
            return
        self._was_there = True
        if self._mark is not None:
            with suppress(OSError):  # of this process it is known all the same
                write_text(self._mark, str(self.root))

    def _check_stands(self) -> None:
        """A store that was there is neither made anew nor missed for ever: where a file system is not mounted any more,
        what is written would lie below it, and what is read is not lost. Raises StorageUnavailable."""
        if self._was_there and not self._objects.exists() and not self._temporary.is_there():
            raise StorageUnavailable(GONE)

    def _check_readable(self) -> None:
        """Whoever reads names what was stored once: without its folder of objects, which no deletion takes away, all is
        away, and no single file lost, also for a process that has not seen it yet. Raises StorageUnavailable."""
        if not self._objects.exists():
            raise StorageUnavailable(GONE)

    def put(self, source: Path, key: str, *, is_last: bool = True) -> None:
        target = self._path(key)
        self._check_stands()
        with translated_errors():
            sync(source)
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
            if is_last:
                sync(target.parent)

    def open(self, key: str) -> BinaryIO:
        try:
            file = self._path(key).open("rb")
        except FileNotFoundError:
            self._check_readable()
            raise
        self._note_there()
        return file

    def exists(self, key: str) -> bool:
        if self._path(key).is_file():
            return True
        self._check_readable()
        return False

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        if not path.is_file():
            self._check_readable()
            raise FileNotFoundError(errno.ENOENT, "nothing is stored under the key", key)
        self._note_there()
        yield path  # the stored file itself

    def _path(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"not a storage key: {key!r}")
        return self._objects / key

    def delete(self, key: str) -> None:
        target = self._path(key)
        with translated_errors():
            if target.is_dir():
                shutil.rmtree(target, ignore_errors=False)
            else:
                target.unlink(missing_ok=True)
            self._prune(target.parent)

    def keys(self, older_than_s: float, below: str = "") -> Iterator[str]:
        latest = time.time() - older_than_s
        for folder, _, names in os.walk(self._objects / below):
            for name in names:
                path = Path(folder, name)
                try:
                    is_old = path.stat().st_mtime <= latest
                except OSError:  # gone by now, or not to be read
                    continue
                if is_old:
                    yield path.relative_to(self._objects).as_posix()

    def delete_temporary(self, older_than_s: float) -> int:
        return self._temporary.delete(older_than_s)

    def check(self, needed_bytes: int = 0) -> None:
        self._check_stands()
        self._temporary.check(needed_bytes)
        self._note_there()

    def close(self) -> None:
        """Nothing is."""

    def _prune(self, folder: Path) -> None:
        """Remove folders that became empty, up to the root of the objects."""
        while folder != self._objects:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent
