"""Files and folders that are whole or not there: written under a hidden name, synced to disk, renamed when complete."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

# Of the files that this process writes.
_numbers = count()


@contextmanager
def fresh_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file to; it replaces `path` where the block ends well, else it is removed.

    Of several threads or processes that write one file at once each has a path of its own; the last one's stays.

    Raises OSError, and FileNotFoundError where the block wrote no file.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}-{next(_numbers)}")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, whole or not at all; an older one is replaced. Raises OSError."""
    with fresh_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def fresh_folder(out: Path, *, may_replace: bool = False, is_late: bool = False) -> Iterator[Path]:
    """Yield a new folder of the name of `out` that becomes `out` where the block ends well; else it is removed.

    Raises FileExistsError where `out` exists and is not an empty folder, unless `may_replace`: older results are never
    overwritten unasked, nor mixed with new ones. Where it appeared after that was asked, at the beginning or, with
    `is_late`, by the caller before its work, the results are whole in a folder beside it, which the error names.
    """
    if not may_replace and not is_late:
        check_is_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.partial-", dir=out.parent) as staging:
        folder = Path(staging) / out.resolve().name
        folder.mkdir()
        yield folder
        for path in folder.rglob("*"):
            sync(path)
        if may_replace and out.exists():
            out.rename(Path(staging) / ".replaced")  # removed with the staging folder
        _move(folder, out)
    sync(out.parent)


def _move(folder: Path, out: Path) -> None:
    """Raises FileExistsError, once the folder has another name, where `out` is taken."""
    try:
        folder.rename(out)  # onto an empty folder, too (rename(2))
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        kept = next(
            path for number in count(2) if not os.path.lexists(path := out.with_name(f"{out.resolve().name}-{number}"))
        )
        folder.rename(kept)
        sync(out.parent)
        raise FileExistsError(
            f"{out} appeared while this ran and was left as it is; the results are whole in {kept}."
        ) from error


def check_is_free(out: Path) -> None:
    """Raises FileExistsError where `out` exists and is not an empty folder: asked before an hour of work, not after."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} exists already; give --out a folder that does not exist yet, or remove it.")


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
