"""What every store of bytes can do, and the operating system's errors as StorageFull and StorageUnavailable."""

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from webapp.domain.errors import StorageFull, StorageUnavailable

# Room that must be free besides an upload itself: the database, its log and a few maps need some.
RESERVE_BYTES = 64 * 1_048_576
# Error numbers of a disk without room.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Storage(Protocol):
    """Bytes under keys (`storage.keys`), in a folder or an object store."""

    def temporary_file(self) -> Path:
        """A new empty local file, for writing before `put`; the caller puts or removes it."""

    def put(self, source: Path, key: str, *, is_last: bool = True) -> None:
        """Move a finished temporary file under a key, durably and in one step.

        is_last: False where another one follows beside it, with which its name becomes durable, too.
        """

    def __hash__(self) -> int:
        """A store is told apart by its identity: what was read from it may be cached."""

    def open(self, key: str) -> BinaryIO:
        """The key's bytes to read and seek in. Raises FileNotFoundError where there are none."""

    def exists(self, key: str) -> bool:
        """Whether something is stored under the key. Raises StorageUnavailable where nobody can say."""

    def local_copy(self, key: str) -> AbstractContextManager[Path]:
        """A local file with the key's bytes while the block runs, to read or to map into memory; never to change.

        Raises FileNotFoundError where there are none.
        """

    def delete(self, key: str) -> None:
        """Remove one key, or every key below it where it is a prefix. A missing key is no error."""

    def keys(self, older_than_s: float, below: str = "") -> Iterator[str]:
        """Every stored key whose file is at least that old. below: a key's first part, of those that are asked for."""

    def delete_temporary(self, older_than_s: float) -> int:
        """Remove what crashed writers left; says how many files that were."""

    def check(self, needed_bytes: int = 0) -> None:
        """Raises StorageUnavailable or StorageFull where a write of that size would fail."""

    def close(self) -> None:
        """Give back what is held open."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the operating system's errors into StorageFull and StorageUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull("The storage has no room left; delete scans or free disk space.") from error
        raise StorageUnavailable("The storage cannot be used right now; try again later.") from error
