"""What a backup is: a folder with a copy of the database, the stored files, and a list of them with their digests.

```
backup.json      what it is a backup of
database.sqlite3 or database.dump (pg_dump's custom format)
files.jsonl      one stored file a line: path, bytes, sha256
files/objects/   the storage's objects by their keys        files/folders/   unpacked data sets
secret_key       of the instance, where no setting gives it
```
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ml.digests import sha256_of

FORMAT = "glioscope-backup-1"
MANIFEST = "backup.json"
FILE_LIST = "files.jsonl"
FILES = "files"
OBJECTS = "objects"
FOLDERS = "folders"
KEY_FILE = "secret_key"


class BackupError(Exception):
    """A backup that cannot be made, is damaged, or may not be restored here; the message says what to do."""


@dataclass(frozen=True)
class StoredFile:
    """path: below `files`, with `/`. sha256: in hexadecimal."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """database: the name of its file. deleted: ids of scans and evaluations that went while the copy was made.

    digests: SHA-256 of every other file of the backup, by name; of an older backup none.
    """

    format: str
    version: str
    made_at: str
    database: str
    files: int
    bytes: int
    deleted: tuple[str, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)


def digests_of(folder: Path, database: str) -> dict[str, str]:
    """Of the files that the list does not name: the database, the list itself, the instance's key where it is there."""
    return {name: sha256_of(folder / name) for name in (database, FILE_LIST, KEY_FILE) if (folder / name).is_file()}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The last file of a backup: without it a folder is none."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Raises BackupError where the folder is no backup of a form that this version knows."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(**{**values, "deleted": tuple(values.get("deleted", ()))})
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{folder} is no backup: its {MANIFEST} is missing or cannot be read.") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{folder} is a backup of the form {manifest.format!r}; this version reads {FORMAT!r}.")
    return manifest


def write_line(file: StoredFile) -> str:
    """Its line of the list."""
    return json.dumps(asdict(file)) + "\n"


def read_files(folder: Path) -> Iterator[StoredFile]:
    """The list of a backup. Raises BackupError for one that is missing or damaged, or leads out of the folder."""
    try:
        with (folder / FILE_LIST).open(encoding="utf-8") as lines:
            for line in lines:
                file = StoredFile(**json.loads(line))
                if file.path.startswith("/") or ".." in file.path.split("/"):
                    raise BackupError(f"The list {FILE_LIST} of {folder} leads out of the backup; do not use it.")
                yield file
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"The list {FILE_LIST} of {folder} is missing or damaged; take another backup.") from error


def verify(folder: Path) -> Manifest:
    """Read every byte of a backup. Raises BackupError that counts and names what is missing or changed."""
    manifest = read_manifest(folder)
    count, wrong = 0, []
    for file in read_files(folder):
        count += 1
        path = folder / FILES / file.path
        if not path.is_file() or path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
            wrong.append(file.path)
    if wrong:
        raise BackupError(f"{len(wrong)} of {count} files are missing or damaged, the first: {wrong[0]}.")
    if count != manifest.files or not (folder / manifest.database).is_file():
        raise BackupError(f"The backup is not whole: {count} of {manifest.files} files, or no database.")
    found = digests_of(folder, manifest.database)
    for name, digest in manifest.digests.items():
        if found.get(name) != digest:
            raise BackupError(f"The backup's {name} is missing or damaged; take another backup.")
    return manifest
