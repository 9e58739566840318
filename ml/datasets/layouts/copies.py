"""Folders that are copies of their neighbors by name and content: `P1 (copy)`, `P1 - Copy`, `P1_copy`, `P1 (2)`."""

import filecmp
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import name_key, shown
from ml.datasets.layouts.tree import Tree

# As the desktops of Linux, Windows and macOS name a copy, and people do.
_COPY = re.compile(
    r"(?: ?\((?:copy|another copy|\d{1,2}(?:st|nd|rd|th) copy|\d{1,2})\)|(?: - |[ _-])copy(?: ?\(?\d{1,2}\)?)?)$"
)
# Of many files of equal names and sizes so many are compared byte by byte.
_MOST_COMPARED = 8


def copies_of(tree: Tree, folders: Sequence[Path]) -> dict[Path, Path]:
    """The folders that are a copy of another one by name, and hold the same files; and which."""
    by_key = {name_key(path.name): path for path in folders}
    found: dict[Path, Path] = {}
    for path in folders:
        ending = _COPY.search(name_key(path.name))
        original = by_key.get(name_key(path.name)[: ending.start()]) if ending else None
        if original is not None and holds_same_files(tree.listing(original).files, tree.listing(path).files):
            found[path] = original
    return found


def copy_problems(copies: Mapping[Path, Path], tree: Tree, folder: Path) -> Iterator[Problem]:
    """Each copy as left out; paths relative to `folder`."""
    for path, original in copies.items():
        names = tuple(file.relative_to(folder).as_posix() for file in tree.listing(path).files)
        text = f"A copy of the folder {shown(original.name)}, with the same files: it is left out; remove it."
        yield Problem("doubled_folder", names, text)


def holds_same_files(files: Sequence[Path], others: Sequence[Path]) -> bool:
    """Whether two folders' files have the same names and sizes, and, as far as some are compared, the same bytes."""
    by_name = {path.name: path for path in others}
    if {path.name for path in files} != by_name.keys():
        return False
    return have_same_bytes((path, by_name[path.name]) for path in files)


def have_same_bytes(pairs: Iterable[tuple[Path, Path]]) -> bool:
    """Whether all pairs have one size, and some of them, from first to last, the same bytes. False without pairs."""
    found = sorted(pairs)
    if not found or any(one.stat().st_size != other.stat().st_size for one, other in found):
        return False
    step = max((len(found) - 1) // _MOST_COMPARED, 1)
    return all(filecmp.cmp(one, other, shallow=False) for one, other in found[::step])
