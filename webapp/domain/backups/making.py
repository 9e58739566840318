"""Making a backup of a portal that goes on working: the database first, then the files that its rows name.

A stored file never changes under its key. So what is written meanwhile is a file that no row of the copy names, which
the sweeper removes after a restore; what is deleted meanwhile is remembered, and deleted again after a restore.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import select

from ml.atomic_files import fresh_folder
from ml.version import VERSION
from webapp.domain.backups import databases
from webapp.domain.backups.contents import (
    FILE_LIST,
    FILES,
    FOLDERS,
    FORMAT,
    KEY_FILE,
    OBJECTS,
    BackupError,
    Manifest,
    StoredFile,
    digests_of,
    read_files,
    read_manifest,
    write_line,
    write_manifest,
)
from webapp.domain.database.tombstones import Tombstone
from webapp.domain.resources import Resources

_PIECE = 1_048_576


def make(resources: Resources, out: Path, base: Path | None = None) -> Manifest:
    """Write a backup into the new folder `out`, whole or not at all.

    base: an older backup of the same portal; files that it has are linked to and not copied again.
    Raises BackupError, StorageUnavailable, DatabaseUnavailable and OSError.
    """
    known = _known(base)
    with resources.database.read() as session:
        before = set(session.scalars(select(Tombstone.id)))
    try:
        with fresh_folder(out) as folder:
            folder.chmod(0o700)
            database = databases.copy_out(resources.settings.database_url, folder)
            count = size = 0
            with (folder / FILE_LIST).open("w", encoding="utf-8") as lines:
                for file in _copied(resources, folder, base, known):
                    lines.write(write_line(file))
                    count, size = count + 1, size + file.bytes
            stored = resources.settings.instance_dir / KEY_FILE
            if stored.is_file():
                shutil.copy(stored, folder / KEY_FILE)
            with resources.database.read() as session:
                deleted = sorted(set(session.scalars(select(Tombstone.id))) - before)
            made_at = datetime.now(UTC).isoformat(timespec="seconds")
            digests = digests_of(folder, database)
            manifest = Manifest(FORMAT, VERSION, made_at, database, count, size, tuple(deleted), digests)
            write_manifest(folder, manifest)
    except FileExistsError as error:
        raise BackupError(f"{out} exists already; name a folder that does not.") from error
    return manifest


def _known(base: Path | None) -> dict[str, StoredFile]:
    if base is None:
        return {}
    read_manifest(base)
    return {file.path: file for file in read_files(base)}


def _copied(
    resources: Resources, folder: Path, base: Path | None, known: dict[str, StoredFile]
) -> Iterator[StoredFile]:
    for path, opened in _stored(resources):
        if (linked := _linked(folder, base, known.get(path))) is not None:
            yield linked
            continue
        try:
            with opened() as source:
                yield _copy(source, folder, path)
        except FileNotFoundError:  # deleted since it was listed
            continue


def _stored(resources: Resources) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    """Every stored file: its path in a backup, and what opens it."""
    for key in resources.storage.keys(older_than_s=0):
        yield f"{OBJECTS}/{key}", partial(resources.storage.open, key)
    for name in resources.folders.names(older_than_s=0):
        root = resources.folders.path(name)
        for found in sorted(root.rglob("*")):
            if found.is_file() and not found.is_symlink():
                yield f"{FOLDERS}/{name}/{found.relative_to(root).as_posix()}", partial(_open, found)


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _linked(folder: Path, base: Path | None, file: StoredFile | None) -> StoredFile | None:
    """A second name for the older backup's file; None where it has none, or cannot be linked to from here."""
    if base is None or file is None:
        return None
    target = folder / FILES / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(base / FILES / file.path, target)
    except OSError:
        return None
    return file


def _copy(source: BinaryIO, folder: Path, path: str) -> StoredFile:
    target = folder / FILES / path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as copy:
        while piece := source.read(_PIECE):
            copy.write(piece)
            digest.update(piece)
            size += len(piece)
    return StoredFile(path, size, digest.hexdigest())
