"""COCO annotations as Roboflow, CVAT and others export them: polygons and run-length masks are the expert's masks.

An image without annotation has an empty mask. No patient is named in these files: an image is its own group, unless
its name says whose it is, or that it is one of Roboflow's copies of one picture. An image of
which one annotation cannot be read keeps its place with the reason (`Case.fault`): it is no image without tumor. So
does every image without annotation where annotations name no image that the file lists: they may be its own.
"""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml.datasets.case import LIMITS, Case, DatasetError, Outline
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import name_key, shown, slashed
from ml.datasets.layouts.annotations import Entry, Grid, UnreadableAnnotationError, read_annotation
from ml.datasets.layouts.categories import is_tumor
from ml.datasets.layouts.image_paths import Found, ImagePaths, path_of
from ml.datasets.layouts.pairing import barcode_of
from ml.datasets.layouts.tree import Tree
from ml.datasets.run_lengths import Runs
from ml.scans.scan import EMPTY

MAX_ANNOTATIONS_BYTES = 2**28
# Roboflow names every version and every augmented copy of a picture by a digest: `scan_png.rf.0123...jpg`.
_COPY = re.compile(r"\.rf\.[0-9a-zA-Z]{16,64}$")
# Outlines of so many images that all end within this share of both sides were drawn on a smaller picture, or are in
# percent: of the 88 patients of the LGG data the tumor of none does, of single slices with tumor 1 % do.
_FEWEST_IN_CORNER, _CORNER_SHARE = 3, 0.45
# How a file of annotations begins, as far as it is read to tell that.
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\s*\"(?:images|annotations|categories|info|licenses)\"\s*:")
_BEGINNING_BYTES = 512


class AnnotationsError(DatasetError):
    """A file of annotations cannot be read as COCO, or names no image that is there. finding: with the file's name."""

    def __init__(self, path: Path, finding: str) -> None:
        super().__init__(f"{shown(str(path))} {finding}")
        self.finding = f"{shown(path.name)} {finding}"


@dataclass(frozen=True)
class Category:
    """A category by its name; annotations: how many have it."""

    name: str
    annotations: int
    is_tumor: bool


@dataclass(frozen=True)
class CocoFile:
    """One file of annotations. images: the folders that its images are looked for in, the first one foremost.

    prefix: what makes its groups different from those of other files.
    """

    path: Path
    images: tuple[Path, ...]
    prefix: str


@dataclass
class _Image:
    """A file that `images` names, and what is drawn on it. grid: None where the entry does not state it."""

    path: Path
    group: str
    grid: Grid | None
    keys: list[str]
    outlines: list[Outline] = field(default_factory=list)
    runs: list[Runs] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def case(self, folder: Path) -> Case:
        """The case; its fault where one of the annotations is missing from it."""
        fault = None
        if self.faults:
            more = f" and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
            text = f"{self.path.name} has no mask that can be used: {self.faults[0]}{more}; correct or remove it."
            fault = Problem("bad_annotation", (self.path.relative_to(folder).as_posix(),), text)
        return Case(self.group, self.path, None, tuple(self.outlines), self.grid, runs=tuple(self.runs), fault=fault)


class _Reader:
    """Reads one file: its images by id, then what is drawn on each."""

    def __init__(self, folder: Path, source: CocoFile, tree: Tree) -> None:
        self._folder, self._source = folder, source
        self._paths = ImagePaths(tree, source.images)
        self._name = source.path.relative_to(folder).as_posix()
        self.problems: list[Problem] = []
        self.images: dict[Path, _Image] = {}
        self._by_key: dict[str, list[_Image]] = {}
        self._nameless: set[str | None] = set()  # ids of entries whose annotations are those of no other image
        self.absent: list[str] = []  # names of images that are not there, as they are written
        self._drawn = self._boxes = 0  # annotations, and those that are boxes

    def read_images(self, entries: Sequence[object]) -> None:
        written = {entry["file_name"] for entry in entries if isinstance(entry, dict) and _is_name(entry)}
        found = {name: self._paths.find(name) for name in sorted(written)}
        meant: dict[Path, list[str]] = defaultdict(list)
        for name, one in found.items():
            if one.path is not None:
                meant[one.path].append(name)
        by_name: list[str] = []
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                self._report("bad_annotation", f"number {place} of `images` is no object")
                continue
            key = _key(entry.get("id"))
            name = str(entry["file_name"]) if _is_name(entry) else ""
            one = found.get(name, Found(None))
            if key is None or (one.alike == 0 and path_of(name) is None):
                self._nameless.add(key)
                what = "no id"
                if path_of(name) is None and one.path is None:
                    shown_name = repr(entry.get("file_name"))[:80]
                    self.absent.append(shown_name)
                    what = f"a `file_name` that is no path within the folder, {shown_name}"
                self._report("bad_annotation", f"image entry {_short(entry)} has {what}")
            elif one.path is None or (one.is_by_name and len(meant[one.path]) > 1):
                self._miss(name, one)
                self._by_key.setdefault(key, [])
            else:
                by_name += [name] if one.is_by_name else []
                self._add(entry, key, one.path)
        self._note_names(by_name)

    def _miss(self, name: str, found: Found) -> None:
        """An entry whose image is not there, or of whose name there are several."""
        self.absent.append(repr(name)[:80])
        if not found.is_by_name:
            missing = (self._source.images[0] / str(path_of(name))).relative_to(self._folder).as_posix()
            text = f"{self._source.path.name} names an image that is not there: add it or remove its entry."
        else:
            missing = slashed(name).lstrip("/")
            why = "several images have the last part of its name"
            if found.alike == 1:
                why = "other entries end in the name of the same image"
            text = (
                f"{self._source.path.name} names an image by a path that is not there, and {why}: write the path below"
                " the folder of the annotations."
            )
        self.problems.append(Problem("missing_image", (missing,), text))

    def _note_names(self, names: Sequence[str]) -> None:
        """Images that were found by the last part of their paths alone."""
        if names:
            are = "1 image is" if len(names) == 1 else f"{len(names):,} images are"
            text = (
                f"{are} named in {self._source.path.name} by paths that are not there (the first: {names[0][:80]!r}),"
                " and found by their file names alone, which no other image has: look whether it is right, or write the"
                " paths below the folder of the annotations."
            )
            self.problems.append(Problem("found_by_name", (self._name,), text))

    def _add(self, entry: Entry, key: str, path: Path) -> None:
        stem = path.relative_to(self._root_of(path)).with_suffix("").as_posix()
        group = barcode_of(path.stem) or _COPY.sub("", f"{self._source.prefix}{stem}")
        image = self.images.setdefault(path, _Image(path, group, _grid(entry), []))
        image.keys.append(key)
        if len(image.keys) > 1:
            text = f"{path.name} has {len(image.keys)} entries, of the ids {', '.join(image.keys)[:80]}"
            self._report("doubled_image", text)
            image.faults.insert(0, text)
        if image.grid is None:
            text = f"the image entry {key} of {path.name} states no size within the limits"
            self._report("bad_annotation", text)
            image.faults.append(text)
        sharing = self._by_key.setdefault(key, [])
        if image not in sharing:
            sharing.append(image)
        if len(sharing) > 1:
            text = f"the id {key} is that of several images"
            self._report("bad_annotation", text)
            for one in sharing:
                one.faults.append(text)

    def read_annotations(self, entries: Sequence[object], not_tumor: frozenset[str]) -> None:
        strays = 0
        annotated: set[Path] = set()
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                strays += 1
                self._report("bad_annotation", f"number {place} of `annotations` is no object")
                continue
            key = _key(entry.get("image_id"))
            images = self._by_key.get(key or "")
            if images is None:
                strays += key is None or key not in self._nameless
                names = "no image" if key is None else f"the image {key[:40]}, which is not in `images`"
                self._report("bad_annotation", f"annotation {_short(entry)} names {names}")
                continue
            annotated.update(image.path for image in images)
            if len(images) == 1 and _key(entry.get("category_id")) not in not_tumor:
                self._draw(entry, images[0])
        if strays:
            are = "1 annotation names" if strays == 1 else f"{strays:,} annotations name"
            text = f"{are} no image of {self._source.path.name}, and may belong to it"
            lost = f"{are} no image of {self._source.path.name}: the mask of any image may lack them."
            self.problems.append(Problem("stray_annotations", (self._name,), lost))
            for path in self.images.keys() - annotated:
                self.images[path].faults.append(text)

    def _draw(self, entry: Entry, image: _Image) -> None:
        if image.grid is None:
            return
        what = f"annotation {_short(entry)} of {image.path.name}"
        try:
            drawing = read_annotation(entry, image.grid)
        except UnreadableAnnotationError as error:
            self._report("bad_annotation", f"{what} has {error}")
            image.faults.append(f"annotation {_short(entry)} has {error}")
            return
        image.outlines.extend(drawing.outlines)
        image.runs.extend(drawing.runs)
        self._drawn += 1
        self._boxes += drawing.is_box
        if drawing.outside:
            text = f"{what} leaves the image by {drawing.outside:.1f} pixels and is clipped at its edge"
            self._report("clipped_outline", text)
        if drawing.has_stray:
            self._report("stray_piece", f"{what} has a piece without an area (a point or a line), which is left out")

    def note_boxes(self) -> None:
        """Outlines that nobody drew: exporters of boxes write their corners as polygons."""
        if self._boxes:
            are = "is a box" if self._boxes == 1 else "are boxes"
            text = (
                f"{self._boxes:,} of {self._drawn:,} annotations of tumor of {self._source.path.name} {are}, upright"
                " rectangles and no outlines: Dice beside a box says little of a mask; export outlines, or draw them."
            )
            self.problems.append(Problem("box_outlines", (self._name,), text))

    def note_corner(self) -> None:
        """Outlines in percent, or of a smaller picture than the file, lie in the upper left of their images."""
        reaches = [
            max(max(outline[place::2]) / image.grid[1 - place] for outline in image.outlines for place in (0, 1))
            for image in self.images.values()
            if image.outlines and image.grid is not None
        ]
        if len(reaches) >= _FEWEST_IN_CORNER and max(reaches) < _CORNER_SHARE:
            text = (
                f"All outlines of {self._source.path.name} lie in the upper left of their images, within"
                f" {max(reaches):.0%} of both sides, on {len(reaches):,} images: they may be in percent, or drawn on"
                " smaller pictures than these files. Look at them, and export them in pixels of these files."
            )
            self.problems.append(Problem("outlines_in_corner", (self._name,), text))

    def note_emptiness(self) -> None:
        """A file that draws nothing at all may be of patients without tumor, or have lost its annotations."""
        if self.images and not any(image.outlines or image.runs or image.faults for image in self.images.values()):
            count = f"{len(self.images):,} image{'' if len(self.images) == 1 else 's'}"
            text = (
                f"{self._source.path.name} has no annotation of tumor for its {count}, which count as free of tumor:"
                " export it again with its annotations if they are not."
            )
            self.problems.append(Problem("no_annotations", (self._name,), text))

    def _root_of(self, path: Path) -> Path:
        return next(folder for folder in self._source.images if path.is_relative_to(folder))

    def _report(self, code: str, text: str) -> None:
        self.problems.append(Problem(code, (self._name,), f"{text}; correct or remove it."))


def begins_as_coco(path: Path) -> bool:
    """Whether a file's first bytes are those of COCO annotations; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return _BEGINNING.match(file.read(_BEGINNING_BYTES)) is not None
    except OSError:
        return False


def read_coco(
    folder: Path, sources: Sequence[CocoFile], tree: Tree
) -> tuple[list[list[Case]], list[Problem], list[Category]]:
    """The cases of each file by name, what is wrong with the annotations, and the categories of all together.

    Raises AnnotationsError where a file is no COCO at all or no image is there.
    """
    readers: list[_Reader] = []
    problems: list[Problem] = []
    categories: dict[str, Category] = {}
    seen: dict[Path, _Image] = {}
    for source in sources:
        tree.check(source.path)
        document = _read_document(source.path)
        reader = _Reader(folder, source, tree)
        reader.read_images(_list(document, "images"))
        names = _category_names(document)
        _count_categories(categories, names, _objects(document, "annotations"))
        not_tumor = frozenset(key for key, name in names.items() if not is_tumor(name))
        reader.read_annotations(_list(document, "annotations"), not_tumor)
        reader.note_boxes()
        reader.note_corner()
        reader.note_emptiness()
        for path in seen.keys() & reader.images.keys():
            text = f"{path.name} has entries in two files of annotations, {source.path.name} is the second"
            problems.append(Problem("doubled_image", (path.relative_to(folder).as_posix(),), f"{text}; keep one."))
            seen[path].faults.insert(0, text)
            del reader.images[path]
        seen |= reader.images
        readers.append(reader)
    if not seen and any(reader.absent for reader in readers):
        absent = [name for reader in readers for name in reader.absent]
        count = f"{len(absent):,} image{'' if len(absent) == 1 else 's'}"
        raise AnnotationsError(
            sources[0].path,
            f"names {count}, and none of them is there (the first: {absent[0]}): a `file_name` is the path of the image"
            " below the folder of the annotations, or below `images` beside it, such as `scan_1.png`.",
        )
    problems.extend(problem for reader in readers for problem in reader.problems)
    cases = [
        sorted((image.case(folder) for image in reader.images.values()), key=lambda case: case.image)
        for reader in readers
    ]
    return cases, problems, sorted(categories.values(), key=lambda category: name_key(category.name))


def _read_document(path: Path) -> Entry:
    """The object with the lists `images` and `annotations`. Raises AnnotationsError."""
    try:
        if not path.stat().st_size:
            raise AnnotationsError(path, f"{EMPTY}.")
        if path.stat().st_size > MAX_ANNOTATIONS_BYTES:
            most = MAX_ANNOTATIONS_BYTES // 2**20
            raise AnnotationsError(path, f"has more than {most} MiB; split the data set.")
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise AnnotationsError(path, f"cannot be read as JSON ({reason}); export it again.") from error
    if not isinstance(document, dict) or not all(_is_list(document.get(key)) for key in ("images", "annotations")):
        raise AnnotationsError(path, "has no lists `images` and `annotations`; export it again as COCO segmentation.")
    return document


def _list(document: Entry, key: str) -> list[object]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _objects(document: Entry, key: str) -> list[Entry]:
    return [item for item in _list(document, key) if isinstance(item, dict)]


def _is_list(value: object) -> bool:
    """Whether a value is a list of objects; one that is none among others is for the reader to name."""
    return isinstance(value, list) and (not value or any(isinstance(item, dict) for item in value))


def _category_names(document: Entry) -> dict[str, str]:
    """Names by id."""
    found = ((_key(entry.get("id")), entry.get("name")) for entry in _objects(document, "categories"))
    return {key: name for key, name in found if key is not None and isinstance(name, str)}


def _count_categories(categories: dict[str, Category], names: dict[str, str], annotations: Sequence[Entry]) -> None:
    """Add one file's categories, those without an annotation too, by their names."""
    used = [_key(entry.get("category_id")) for entry in annotations]
    for key in sorted({*names, *used} - {None}, key=str):
        name = names.get(str(key), f"category {key}")
        before = categories[name].annotations if name in categories else 0
        categories[name] = Category(name, before + used.count(key), is_tumor(name))


def _key(value: object) -> str | None:
    """An id as text: exporters write 7, 7.0 and "7" for one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _is_name(entry: Entry) -> bool:
    """Whether an image's entry has a `file_name`."""
    name = entry.get("file_name")
    return isinstance(name, str) and bool(name)


def _grid(entry: Entry) -> Grid | None:
    """(height, width) as stated; None where a field is missing or beyond the limits of a slice."""
    height, width = (
        int(value) if isinstance(value, int | float) and value == value // 1 else 0
        for value in (entry.get("height"), entry.get("width"))
    )
    if min(height, width) < 1 or max(height, width) > LIMITS.max_side or height * width > LIMITS.max_pixels_per_slice:
        return None
    return height, width


def _short(entry: Entry) -> str:
    return repr(entry.get("id"))[:40]
