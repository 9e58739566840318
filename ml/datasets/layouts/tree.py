"""The folders of a data set, each listed once.

Hidden files (`._NAME.tif` of macOS) and those of systems (`@eaDir`, recycle bins) are no part of it, but for
what iCloud keeps in place of a file (`.NAME.tif.icloud`).
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ml.datasets.case import DatasetError
from ml.datasets.file_names import IMAGE_SUFFIXES, is_of_system, name_key, suffix_of

# Entries and depth that a walk over everything goes through.
MOST_ENTRIES = 1_000_000
DEEPEST = 12


class LinkOutError(DatasetError):
    """A folder or the annotations are a link to where nothing may be read."""


@dataclass(frozen=True)
class Listing:
    """What lies directly in a folder, sorted. dead_links: links to nothing; special: pipes, sockets and devices."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    dead_links: tuple[Path, ...] = ()
    special: tuple[Path, ...] = ()


class Tree:
    """Listings by folder. is_allowed: whether a path may be opened, its links resolved; by default all may.

    unreadable: folders that a walk could not list. mask_endings: of two files of one name, by their endings, which one
    is the other's mask by its pixels (`pairing.told_by_pixels`); None where these do not tell.
    """

    def __init__(self, is_allowed: Callable[[Path], bool] = lambda path: True) -> None:
        self._is_allowed = is_allowed
        self._listings: dict[Path, Listing] = {}
        self.unreadable: set[Path] = set()
        self.mask_endings: dict[tuple[str, str], int | None] = {}

    def listing(self, folder: Path) -> Listing:
        """Raises LinkOutError, and OSError where the folder cannot be read."""
        if folder not in self._listings:
            self.check(folder)
            self._listings[folder] = _list(folder)
        return self._listings[folder]

    def check(self, path: Path) -> None:
        """Raises LinkOutError where the path must not be opened."""
        if not self._is_allowed(path):
            raise LinkOutError(f"{path} is a link that leads out of the data; copy what it leads to.")

    def images(self, folder: Path) -> list[Path]:
        """Images and masks, by their suffix."""
        return [path for path in self.listing(folder).files if path.suffix.lower() in IMAGE_SUFFIXES]

    def folder(self, parent: Path, names: Iterable[str]) -> Path | None:
        """The folder of one of these names, in any case; the first name counts most."""
        return next(iter(self.folders(parent, names)), None)

    def folders(self, parent: Path, names: Iterable[str]) -> list[Path]:
        """All folders of these names, in any case, in the order of the names."""
        found = self.listing(parent).folders
        return [path for name in names for path in found if name_key(path.name) == name]

    def walk(self, folder: Path, skipped: frozenset[Path] = frozenset()) -> Iterator[tuple[Path, Listing]]:
        """Every folder below, links to folders not followed, as far as the limits go."""
        left = MOST_ENTRIES
        waiting = [(folder, 0)]
        while waiting and left > 0:
            here, depth = waiting.pop(0)
            try:
                listing = self.listing(here)
            except OSError:
                self.unreadable.add(here)
                continue
            left -= len(listing.files) + len(listing.folders)
            yield here, listing
            if depth < DEEPEST:
                inner = (path for path in listing.folders if path not in skipped and not path.is_symlink())
                waiting.extend((path, depth + 1) for path in inner)

    def find(self, folder: Path, name: str) -> Path | None:
        """The file of a path below the folder, each part as it is or else by `name_key`; None where there is none."""
        *parents, last = name.split("/")
        for part in parents:
            inner = _named(self.listing(folder).folders, part)
            if inner is None:
                return None
            folder = inner
        return _named(self.listing(folder).files, last)


def _named(paths: Iterable[Path], name: str) -> Path | None:
    alike = [path for path in paths if name_key(path.name) == name_key(name)]
    return next((path for path in alike if path.name == name), alike[0] if len(alike) == 1 else None)


def _list(folder: Path) -> Listing:
    found: dict[str, list[Path]] = {"files": [], "folders": [], "dead_links": [], "special": []}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_of_system(entry.name):
                found[_kind_of(entry)].append(folder / entry.name)
    return Listing(**{kind: tuple(sorted(paths)) for kind, paths in found.items()})


def _kind_of(entry: "os.DirEntry[str]") -> str:
    """The list that an entry belongs to, its links followed."""
    try:
        if entry.is_dir():
            return "folders"
        if entry.is_file():
            return "files"
        entry.stat()  # which says of a link to nothing that there is nothing
    except OSError:  # also a link that leads to itself
        return "dead_links" if entry.is_symlink() else "special"
    return "special"


def count_suffixes(files: Iterable[Path]) -> dict[str, int]:
    """How many files of each ending, the most first."""
    counts: dict[str, int] = {}
    for path in files:
        suffix = suffix_of(path.name)
        counts[suffix] = counts.get(suffix, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
