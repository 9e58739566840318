"""A table (CSV, TSV) that names an image and its mask in each row, where the files' names do not tell them.

Paths are those of the table's own folder, or of another machine (`/kaggle/input/SET/kaggle_3m/P1/1.tif`): as much of
their end as leads to a file here is taken.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import IMAGE_SUFFIXES, TABLE_SUFFIXES, name_key, shown, slashed, suffix_of
from ml.datasets.layouts.assembly import assemble
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.pairing import barcode_of
from ml.datasets.layouts.roots import SUBSETS
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import UnknownLayoutError

_MOST_BYTES = 2**26
_FILE = r"(?:path|paths|file|files|filename|filenames|name)?"
_IMAGE = re.compile(rf"(?:image|images|img|imgs|scan|slice|flair|input){_FILE}")
_MASK = re.compile(rf"(?:mask|masks|label|labels|seg|segmentation|groundtruth|gt|truth|target){_FILE}")
_PATIENT = re.compile(r"(?:patient|subject|case)(?:id|name)?")


@dataclass(frozen=True)
class _Row:
    """What a row says, as it is written. number: of its line."""

    number: int
    image: str
    mask: str
    patient: str


def list_table(tree: Tree, folder: Path) -> Layout | None:
    """The pairs of the one table of a folder, or of those called `train`, `val` and `test`; None where there is none.

    Raises UnknownLayoutError where there are several others, or no image of them is there with its mask.
    """
    tables = [(path, rows) for path in _tables(tree, folder) if (rows := _read(tree, path))]
    if not tables:
        return None
    sides = [SUBSETS.get(name_key(path.stem)) for path, _ in tables]
    names = shown(", ".join(path.relative_to(folder).as_posix() for path, _ in tables[:4]))
    if len(tables) > 1 and not (all(sides) and len({*sides}) == len(sides)):
        text = f"It has several tables that name images and masks ({names}): keep one, or call them by their sides"
        raise UnknownLayoutError(folder, f"{text} (train.csv, val.csv, test.csv).")
    reader = _Reader(tree, folder)
    sided = [
        (case, side) for (path, rows), side in zip(tables, sides, strict=True) for case in reader.cases(path, rows)
    ]
    if not any(case.has_truth for case, _ in sided):
        row = tables[0][1][0]
        raise UnknownLayoutError(
            folder,
            f"{names} names images and masks, and no image of it is there with its mask (the first:"
            f" {shown(row.image)[:80]!r} and {shown(row.mask)[:80]!r}): write both paths as they are below the table's"
            " folder.",
        )
    sided += [(case, None) for case in reader.unnamed()]
    sided.sort(key=lambda item: (item[0].patient, item[0].image))
    layout = assemble("table", folder, sided, reader.problems)
    return replace(layout, annotations=tuple(path for path, _ in tables))


def _tables(tree: Tree, folder: Path) -> Iterator[Path]:
    for _, listing in tree.walk(folder):
        yield from (one for one in listing.files if suffix_of(one.name) in TABLE_SUFFIXES and not one.is_symlink())


def _read(tree: Tree, path: Path) -> list[_Row]:
    """The rows of a table with one column of images and one of masks, which are called as pictures; else none."""
    tree.check(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            return []
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
        head = lines[0] if lines else ""
        table = list(csv.reader(lines, delimiter=max(",;\t", key=head.count)))
    except (OSError, ValueError, csv.Error):
        return []
    names = [re.sub(r"[^a-z0-9]", "", name_key(cell)) for cell in (table[0] if table else ())]
    images, masks, patients = (
        [place for place, name in enumerate(names) if pattern.fullmatch(name)] for pattern in (_IMAGE, _MASK, _PATIENT)
    )
    if len(images) != 1 or len(masks) != 1:
        return []
    places = (images[0], masks[0], patients[0] if len(patients) == 1 else None)
    rows = [
        _Row(number, *("" if place is None or place >= len(cells) else cells[place].strip() for place in places))
        for number, cells in enumerate(table[1:], start=2)
        if any(cell.strip() for cell in cells)
    ]
    return rows if any(suffix_of(row.mask) in IMAGE_SUFFIXES for row in rows) else []


class _Reader:
    """Pairs of rows: each image once, with one mask that is no row's image."""

    def __init__(self, tree: Tree, folder: Path) -> None:
        self._tree, self._folder = tree, folder
        self.problems: list[Problem] = []
        self._known: set[Path] = set()

    def cases(self, table: Path, rows: Sequence[_Row]) -> list[Case]:
        found = [(row, self._find(table, row.image), self._find(table, row.mask)) for row in rows]
        images = {image for _, image, _ in found if image}
        counts: dict[Path, set[Path | None]] = {}
        for _, image, mask in found:
            if image is not None:
                counts.setdefault(image, set()).add(mask)
        self._known |= {path for _, image, mask in found for path in (image, mask) if path}
        cases: dict[Path, Case] = {}
        for row, image, mask in found:
            where = f"Line {row.number} of {shown(table.name)}"
            if image is None:
                text = f"{where} names an image that is not there: add it or remove the line."
                name = shown(slashed(row.image).lstrip("/"))[:200] or table.name
                self.problems.append(Problem("missing_image", (name,), text))
                if mask is not None and mask not in images:
                    lonely = mask.relative_to(self._folder).as_posix()
                    self.problems.append(Problem("mask_without_image", (lonely,), text))
            elif image not in cases:
                cases[image] = self._case(row, image, mask, counts[image], images, where)
        return list(cases.values())

    def _case(
        self, row: _Row, image: Path, mask: Path | None, masks: set[Path | None], images: set[Path], where: str
    ) -> Case:
        patient = row.patient or barcode_of(image.stem) or image.relative_to(self._folder).with_suffix("").as_posix()
        name = image.relative_to(self._folder).as_posix()
        fault = None
        if mask is None and masks == {None}:
            text = f"{where} names no mask that is there: add one (all black if no tumor) or remove the image."
            self.problems.append(Problem("missing_mask", (name,), text))
            return Case(patient, image, None)
        if len(masks) > 1:
            files = (name, *sorted(path.relative_to(self._folder).as_posix() for path in masks if path))
            fault = Problem("doubled_mask", files, f"{where} and others name one image with other masks: keep one.")
        elif mask in images:
            fault = Problem("doubled_mask", (name,), f"{where} names an image of the table as mask: correct it.")
        self.problems += [fault] if fault else []
        return Case(patient, image, mask or next(filter(None, masks)), fault=fault)

    def unnamed(self) -> Iterator[Case]:
        """Images beside those of the table that no row names."""
        for place in sorted({path.parent for path in self._known}):
            for path in (path for path in self._tree.images(place) if path not in self._known):
                name = path.relative_to(self._folder).as_posix()
                text = "No line of the table names the image: add one with its mask or remove the image."
                self.problems.append(Problem("missing_mask", (name,), text))
                yield Case(path.relative_to(self._folder).with_suffix("").as_posix(), path, None)

    def _find(self, table: Path, written: str) -> Path | None:
        """The file of a path: below the table's folder or the set's, without as much of its beginning as leads to none
        of them."""
        parts = [part for part in slashed(written).split("/") if part not in ("", ".", "..")]
        if not parts or suffix_of(parts[-1]) not in IMAGE_SUFFIXES or "\0" in written:
            return None
        for start in range(len(parts)):
            for folder in dict.fromkeys((table.parent, self._folder)):
                if path := self._tree.find(folder, "/".join(parts[start:])):
                    return path
        return None
