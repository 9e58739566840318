"""Which files of one upload are the slices of one scan: by the numbers at the end of their names.

`static/js/scans/grouping.js` draws the cards by the same rule, before anything is sent; a test holds the two equal.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ml.datasets.file_names import natural_key, slashed

# Numbers this far apart on average are no slices that lie on each other, but patients, dates, visits.
SPARSEST = 2
# Folders of one patient as of any other, in small letters.
EVERYBODYS_FOLDERS = frozenset(
    {"images", "image", "imgs", "img", "slices", "scans", "png", "tif", "tiff", "jpg", "dicom", "dcm"}
    | {"flair", "t1", "t1c", "t1ce", "t1gd", "t1post", "t2"}
)


class Grouping(StrEnum):
    """How the files of one upload become scans."""

    NONE = "none"
    """Each file is a scan."""
    STACK = "stack"
    """All files are one scan."""
    AUTO = "auto"
    """Numbered files of one name and kind in one folder are one scan."""


@dataclass(frozen=True)
class FileGroup:
    """Files that are one scan.

    name: what the scan is called. places: of its files in the upload, from the first slice to the last.
    """

    name: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class _Numbered:
    """A path as the rule reads it: its folder, the name before its number and the ending, each in one spelling."""

    key: tuple[str, str, str]
    title: str
    number: int


def group_files(paths: Sequence[str], grouping: Grouping) -> list[FileGroup]:
    """The scans that files make, in the order of their first files.

    paths: as the client names them, with folders where it sends them ("patient 7/slice_12.png"). A file of no group is
    a group of its own, called by its whole name, after a folder's where two are called alike. Masks are for the caller
    to leave out.
    """
    if grouping is Grouping.STACK and len(paths) > 1:
        places = sorted(range(len(paths)), key=lambda place: natural_key(paths[place]))
        return [FileGroup(_shared_name([paths[place] for place in places]), tuple(places))]
    stacks = _numbered_stacks(paths) if grouping is Grouping.AUTO else []
    stacked = {place for stack in stacks for place in stack.places}
    alone = {place: _file_name(path) for place, path in enumerate(paths) if place not in stacked}
    names = Counter(alone.values())
    for place, name in alone.items():
        if grouping is not Grouping.NONE or names[name] > 1:
            alone[place] = _called(paths[place], name, is_shared=names[name] > 1)
    single = [FileGroup(name, (place,)) for place, name in alone.items()]
    return sorted([*stacks, *single], key=lambda group: min(group.places))


def missing_numbers(names: Iterable[str]) -> list[int]:
    """The numbers that lack between the first and the last of a stack's file names; none where they have no numbers."""
    found = [_numbered(name) for name in names]
    numbers = {item.number for item in found if item is not None}
    if not numbers or None in found or len({item.key for item in found if item is not None}) > 1:
        return []
    if max(numbers) - min(numbers) >= SPARSEST * len(numbers):
        return []  # of a stack that was asked for: its numbers do not count slices
    return sorted(set(range(min(numbers), max(numbers) + 1)) - numbers)


def _numbered_stacks(paths: Sequence[str]) -> list[FileGroup]:
    groups: dict[tuple[str, str, str], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    titles: dict[tuple[str, str, str], str] = {}
    for place, path in enumerate(paths):
        found = _numbered(path)
        if found is not None:
            groups[found.key][found.number].append(place)
            titles.setdefault(found.key, found.title)
    stacks = []
    for key, numbers in groups.items():
        # Two files of one number: nobody can say which of them is the slice, so none of the name is grouped.
        is_clear = all(len(places) == 1 for places in numbers.values())
        if is_clear and len(numbers) > 1 and max(numbers) - min(numbers) < SPARSEST * len(numbers):
            stacks.append(FileGroup(titles[key], tuple(numbers[number][0] for number in sorted(numbers))))
    return stacks


def _numbered(path: str) -> _Numbered | None:
    """The parts of a name that ends with a number; None for another one."""
    found = re.fullmatch(r"(.*?)([0-9]{1,9})([)\]]?)", _stem(path), flags=re.DOTALL)
    if found is None:
        return None
    folder = _folder(path)
    # Of a longer run of digits the last nine are the number: the others are no part of the title either.
    title = _called(path, re.sub(r"[0-9]+$", "", found[1]).rstrip(" _-.([#") or folder.rpartition("/")[2] or "Stack")
    ending = _file_name(path)[len(_stem(path)) :]
    # P1 and p1 are two folders, and may be two heads.
    key = (unicodedata.normalize("NFC", folder), _folded(found[1]), _folded(found[3] + ending))
    return _Numbered(key, title, int(found[2]))


def _called(path: str, name: str, is_shared: bool = False) -> str:
    """A scan's name, after that of a folder where it says nothing of whose scan it is: "P7 flair", "P8 flair".

    Whoever numbers patients or days uses two digits or more: a name with fewer is told apart by the nearest folder
    with whose name it does not begin, and where that is of a kind that every patient has by the next one, too.
    is_shared: another file of the upload has the name, whose digits then tell nothing either ("slice_090.png").
    """
    if len(re.findall(r"[0-9]", name)) > 1 and not is_shared:
        return name
    words = _folded(name)
    folders = [folder for folder in reversed(_folder(path).split("/")) if folder]
    around = [folder for folder in folders if not words.startswith(_folded(folder))]
    first = next((place for place, folder in enumerate(around) if _folded(folder) not in EVERYBODYS_FOLDERS), 0)
    return " ".join([*reversed(around[: first + 1]), name])


def title_of(path: str) -> str:
    """A file's name without its number and ending, which the slices of one head share."""
    found = _numbered(path)
    return found.title if found else _stem(path)


def number_of(path: str) -> int | None:
    """The number at the end of a file's name; None without one."""
    found = _numbered(path)
    return found.number if found else None


def _shared_name(paths: Sequence[str]) -> str:
    """What a stack is called: by its numbered name, else by its folder, else by its first file."""
    numbered = [_numbered(path) for path in paths]
    keys = {item.key if item else None for item in numbered}
    if numbered[0] is not None and len(keys) == 1:
        return numbered[0].title
    folders = {_folder(path) for path in paths}
    name = folders.pop().rpartition("/")[2] if len(folders) == 1 else ""
    return _called(paths[0], name or _stem(paths[0]))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _path(path: str) -> str:
    return slashed(path).strip("/")


def _file_name(path: str) -> str:
    return _path(path).rpartition("/")[2]


def _folder(path: str) -> str:
    return _path(path).rpartition("/")[0]


def _stem(path: str) -> str:
    name = _file_name(path)
    return name.rpartition(".")[0] or name
