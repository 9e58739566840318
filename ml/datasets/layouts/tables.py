"""A table (CSV, TSV) that names an image and its mask in each row, where the files' names do not tell them.

Paths are those of the table's own folder, or of another machine (`/kaggle/input/SET/kaggle_3m/P1/1.tif`): as much of
their end as leads to a file here is taken.
"""

import codecs
import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import IMAGE_SUFFIXES, TABLE_SUFFIXES, name_key, shown, slashed, suffix_of
from ml.datasets.layouts.assembly import assemble
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.pairing import barcode_of
from ml.datasets.layouts.roots import SUBSETS
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import UnknownLayoutError

_MOST_BYTES, _HEAD_BYTES = 2**26, 2**16
# Marks of byte order, as Excel's "Unicode text" begins with one.
_SIGNS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WINDOWS = "cp1252"
_FILE = r"(?:path|paths|file|files|filename|filenames|name|pfad|datei)?"
_IMAGE = re.compile(rf"(?:image|images|img|imgs|scan|slice|flair|input|bild|bilder|imagen|imagem|immagine){_FILE}")
_MASK = re.compile(
    rf"(?:mask|masks|label|labels|seg|segmentation|groundtruth|gt|truth|target|maske|masken|masque|mascara|maschera){_FILE}"
)
# What Hugging Face's `metadata.csv` calls an image, with `mask_file_name` beside it.
_FILE_NAME = re.compile("file(?:name|path)s?")
# A column whose cells may be images' names, of a table that has their patients.
_NAME = re.compile(r"(?:image|img|slice|scan|file|picture)s?(?:id|name|path|file|no|number)?|name|id")
# In English, German, French, Spanish, Portuguese and Italian.
_PERSON = (
    "patient(?:e|en|in|ens)?|subject|case|participant|person|proband|fall|cas|sujet|paciente|sujeto|caso|participante"
    "|sujeito|paziente|soggetto"
)
_NUMBERED = "(?:id|uid|key|name|nom|nombre|nome|code|codigo|codice|kennung|nr|no|num|number|nummer|numero|n)"
_PATIENT = re.compile(rf"{_NUMBERED}?(?:de|del|du|do|da)?(?:{_PERSON}){_NUMBERED}?|pid|mrn")
# Each of them counts its patients from 1.
_SITE = re.compile(
    r"(?:study|studien)?(?:sites?|cent(?:er|re)s?|hospital|clinic|institut(?:e|ion|o)?|zentrum|standort|klinik|centro|hopital)"
    rf"{_NUMBERED}?"
)


@dataclass(frozen=True)
class _Row:
    """What a row says, as it is written. number: of its line."""

    number: int
    image: str
    mask: str
    patient: str


def list_table(tree: Tree, folder: Path) -> Layout | None:
    """The pairs of the one table of a folder, or of those of `train`, `val` and `test`; None where there is none.

    Raises UnknownLayoutError where there are several others, or no image of them is there with its mask.
    """
    tables = [(path, rows) for path in _tables(tree, folder) if (rows := _read(tree, path))]
    if not tables:
        return None
    sides = [_side_of(path) for path, _ in tables]
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


def _side_of(table: Path) -> str | None:
    """By its name, else by its folder's (Hugging Face's `train/metadata.csv`)."""
    return SUBSETS.get(name_key(table.stem)) or SUBSETS.get(name_key(table.parent.name))


def _tables(tree: Tree, folder: Path) -> Iterator[Path]:
    for _, listing in tree.walk(folder):
        yield from (one for one in listing.files if suffix_of(one.name) in TABLE_SUFFIXES and not one.is_symlink())


def find_patients(tree: Tree, folder: Path, cases: Sequence[Case]) -> Iterator[Problem]:
    """Where each image counts as a patient, the tables that name patients of these images: they are not read."""
    if len({case.patient for case in cases}) < len(cases) or any(case.volume is not None for case in cases):
        return
    images = {name_key(name) for case in cases for name in (case.image.name, case.image.stem)}
    for path in _tables(tree, folder):
        head = _head(tree, path)
        if head is None or not head.patients or not head.places(_NAME):
            continue
        rows = _cells(path, head)
        patient = _column_of_patients(head, rows)
        owners = {row[patient].strip() for row in rows if len(row) > patient}
        named = (sum(_last_part(row, place) in images for row in rows) for place in range(len(head.names)))
        if 2 * max(named, default=0) > len(cases) and len(owners) < len(cases):
            text = (
                f"Each of {len(cases):,} images counts as a patient, and {shown(path.relative_to(folder).as_posix())}"
                f" names {len(owners):,} in its column {shown(head.cells[patient])[:40]!r}, which is not read:"
                " give each patient a folder (PATIENT/NAME.png), or the table columns `image` and `mask` and the masks"
                " other names; else slices of one patient lie on several sides of a split, and figures of patients mean"
                " nothing."
            )
            yield Problem("unnamed_patients", (), text)


def _last_part(row: Sequence[str], place: int) -> str:
    return name_key(slashed(row[place].strip()).rpartition("/")[2]) if place < len(row) else ""


@dataclass(frozen=True)
class _Head:
    """A table's first line. cells: as they are written; names: by which columns are told; the places of columns."""

    cells: tuple[str, ...]
    encoding: str
    delimiter: str

    @property
    def names(self) -> list[str]:
        """In small letters and digits alone, without their accents."""
        return [re.sub(r"[^a-z0-9]", "", normalize("NFD", name_key(cell))) for cell in self.cells]

    def places(self, pattern: re.Pattern[str]) -> list[int]:
        return [place for place, name in enumerate(self.names) if pattern.fullmatch(name)]

    @property
    def patients(self) -> list[int]:
        return self.places(_PATIENT)


def _head(tree: Tree, path: Path) -> _Head | None:
    """The first line of a table, of which no more is read; None where it is none."""
    tree.check(path)
    try:
        with path.open("rb") as file:
            beginning = file.read(_HEAD_BYTES)
    except OSError:
        return None
    encoding = next((name for sign, name in _SIGNS if beginning.startswith(sign)), "utf-8")
    text = beginning.decode(encoding, "replace").lstrip("\ufeff")
    line, *more = text.splitlines() or [""]
    if len(beginning) == _HEAD_BYTES and not more:
        return None
    if "\ufffd" in line and encoding == "utf-8":
        line = beginning.decode(_WINDOWS, "replace").splitlines()[0]
    delimiter = max(",;\t", key=line.count)
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return None
    return _Head(tuple(cells), encoding, delimiter)


def _cells(path: Path, head: _Head) -> list[list[str]]:
    """All lines of a table but the first; none where it cannot be read. What is not UTF-8 is read as Excel writes it on
    Windows."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return []
        data = path.read_bytes()
        try:
            text = data.decode(head.encoding)
        except UnicodeDecodeError:
            text = data.decode(_WINDOWS)
        return list(csv.reader(text.lstrip("\ufeff").splitlines(), delimiter=head.delimiter))[1:]
    except (OSError, ValueError, csv.Error):
        return []


def _read(tree: Tree, path: Path) -> list[_Row]:
    """The rows of a table with one column of images and one of masks, which are called as pictures; else none."""
    head = _head(tree, path)
    if head is None or not (head.places(_IMAGE) or head.places(_FILE_NAME)) or not head.places(_MASK):
        return []
    table = _cells(path, head)
    # A column `mask` may say 0 or 1 beside `mask_path`.
    images, names, masks = (
        [place for place in head.places(one) if _has_pictures(table, place)] for one in (_IMAGE, _FILE_NAME, _MASK)
    )
    images = images or names
    if len(images) != 1 or len(masks) != 1:
        return []
    patients = _column_of_patients(head, table) if head.patients else None
    places = (images[0], masks[0], patients, next(iter(head.places(_SITE)), None))
    rows = [
        (number, [_cell(cells, place) for place in places])
        for number, cells in enumerate(table, start=2)
        if any(cell.strip() for cell in cells)
    ]
    sites: dict[str, set[str]] = defaultdict(set)
    for _, (_, _, patient, site) in rows:
        sites[patient].add(site)
    are_of_sites = any(patient and len(found) > 1 for patient, found in sites.items())
    return [
        _Row(number, image, mask, f"{site}/{patient}" if are_of_sites and site and patient else patient)
        for number, (image, mask, patient, site) in rows
    ]


def _cell(cells: Sequence[str], place: int | None) -> str:
    return "" if place is None or place >= len(cells) else cells[place].strip()


def _column_of_patients(head: _Head, table: Sequence[Sequence[str]]) -> int:
    """Of several columns (`case` beside `patient`) that which says most rows, and of these fewest patients."""

    def rank(place: int) -> tuple[int, int]:
        said = [cells[place].strip() for cells in table if place < len(cells) and cells[place].strip()]
        return -len(said), len(set(said))

    return min(head.patients, key=rank)


def _has_pictures(table: Sequence[Sequence[str]], place: int) -> bool:
    return any(suffix_of(cells[place].strip()) in IMAGE_SUFFIXES for cells in table if place < len(cells))


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
                own = path.relative_to(self._folder).with_suffix("").as_posix()
                yield Case(barcode_of(path.stem) or own, path, None)

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
