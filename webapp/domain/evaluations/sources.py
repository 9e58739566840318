"""Which folders an evaluation may read: those below the allowed roots, by their real paths, links resolved.

Asked when somebody browses, when an evaluation is made, and again before each file is read: a folder may have become a
link in between.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from ml.datasets.file_names import is_text, may_be_data, natural_key
from webapp.domain.errors import FolderRefused
from webapp.domain.evaluations.models import Evaluation, SourceKind
from webapp.domain.resources import Resources
from webapp.domain.settings import Settings

# Sub-folders that a browse shows; a data set has a folder a patient, and nobody reads thousands of lines.
MOST_FOLDERS = 500
LONGEST_PATH = 4096

REFUSED = (
    "There is no such folder below the allowed roots; choose one of them, or let an administrator set"
    " GLIOSCOPE_EVALUATION_ROOTS."
)


@dataclass(frozen=True)
class Folder:
    """One sub-folder: its name and its whole path."""

    name: str
    path: str


@dataclass(frozen=True)
class Listing:
    """A folder below a root and its sub-folders; `path` is None for the list of the roots themselves.

    parent: the folder above, "" for the list of roots. has_more: more sub-folders than are shown. files: files beside
    them.
    """

    path: str | None
    parent: str | None
    folders: tuple[Folder, ...]
    files: int
    has_more: bool


def roots(settings: Settings) -> tuple[Path, ...]:
    """The real paths of the roots that exist."""
    return tuple(path.resolve() for path in settings.evaluation_roots if _is_folder(path))


def resolve(settings: Settings, text: str) -> Path:
    """The real path of a folder that may be read. Raises FolderRefused, in the same words whatever is there."""
    if not text or len(text) > LONGEST_PATH or "\0" in text or not is_text(text) or not Path(text).is_absolute():
        raise FolderRefused(REFUSED)
    try:
        path = Path(text).resolve()
        is_allowed = any(path.is_relative_to(root) for root in roots(settings)) and path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name that is too long
        raise FolderRefused(REFUSED) from error
    if not is_allowed:
        raise FolderRefused(REFUSED)
    return path


def browse(settings: Settings, text: str | None) -> Listing:
    """The sub-folders of a folder below a root, or the roots. Raises FolderRefused."""
    allowed = roots(settings)
    if not text:
        return Listing(None, None, tuple(Folder(str(root), str(root)) for root in allowed), 0, False)
    path = resolve(settings, text)
    folders, files = [], 0
    try:
        for entry in sorted(os.scandir(path), key=lambda entry: natural_key(entry.name)):
            if entry.name.startswith("."):
                continue
            if not entry.is_dir(follow_symlinks=True):
                files += 1
            elif is_inside(Path(entry.path), allowed) and is_text(entry.name):
                folders.append(Folder(entry.name, entry.path))
    except OSError as error:
        raise FolderRefused("The folder cannot be read by the portal; change its permissions.") from error
    parent = "" if path in allowed else str(path.parent)
    return Listing(str(path), parent, tuple(folders[:MOST_FOLDERS]), files, len(folders) > MOST_FOLDERS)


def is_inside(path: Path, allowed: tuple[Path, ...]) -> bool:
    """Whether a path, its links resolved, lies in one of the (real) folders."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        return False
    return any(real.is_relative_to(folder) for folder in allowed)


def _is_folder(path: Path) -> bool:
    """Whether it is a folder that can be looked at; below one that may not be searched, is_dir raises."""
    try:
        return path.is_dir()
    except OSError:
        return False


def source_folder(resources: Resources, evaluation: Evaluation) -> Path:
    """The folder that an evaluation reads now. Raises FolderRefused where it is gone or not allowed any more."""
    if evaluation.source is SourceKind.ARCHIVE:
        folder = resources.folders.path(evaluation.id)
        if not folder.is_dir():
            raise FolderRefused("The unpacked archive is gone; send it again.")
        return folder.resolve()
    try:
        folder = resolve(resources.settings, evaluation.location)
    except FolderRefused:
        if (moved := _moved_with_its_root(resources.settings, evaluation.location)) is None:
            raise
        return moved
    if str(folder) != evaluation.location:
        raise FolderRefused("The folder has become a link to another one; evaluate that one.")
    return folder


def _moved_with_its_root(settings: Settings, location: str) -> Path | None:
    """The folder below a root of the same name elsewhere, as where the instance was moved, whose own `datasets` is the
    default; None without one. Whoever reads an image of it compares its digest with that of the evaluated one."""
    parts = Path(location).parts
    for root in roots(settings):
        for place in (place for place in range(len(parts) - 1, 0, -1) if parts[place] == root.name):
            wanted = root.joinpath(*parts[place + 1 :])
            with contextlib.suppress(FolderRefused):
                if resolve(settings, str(wanted)) == wanted:
                    return wanted
    return None


def wrapper_in(folder: Path) -> str | None:
    """The name of the folder around a data set in an unpacked archive, as the page packs a chosen folder; else None.

    What people lay beside it and no check has a word for (`README.txt`, a table) makes no difference.
    """
    entries = [path for path in folder.iterdir() if path.is_dir() or may_be_data(path.name)]
    return entries[0].name if len(entries) == 1 and entries[0].is_dir() else None


def boundaries(resources: Resources, evaluation: Evaluation) -> tuple[Path, ...]:
    """The real folders that no file of an evaluation may lie outside of."""
    if evaluation.source is SourceKind.ARCHIVE:
        return (resources.folders.path(evaluation.id).resolve(),)
    return roots(resources.settings)
