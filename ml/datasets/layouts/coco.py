"""COCO annotations as Roboflow, CVAT and others export them, and those of other programs that are read as COCO's lists
(`annotation_files`): polygons and run-length masks are the expert's masks.

An image without annotation has an empty mask. No patient is named in these files: an image is its own group, unless
its name says whose it is, or that it is one of Roboflow's copies of one picture. An image of
which one annotation cannot be read keeps its place with the reason (`Case.fault`): it is no image without tumor. So
does every image without annotation where annotations name no image that the file lists: they may be its own.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.datasets.case import LIMITS, Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import name_key, slashed
from ml.datasets.layouts.annotated_images import AnnotatedImage, find_notes
from ml.datasets.layouts.annotation_files import (
    AnnotationFile,
    AnnotationsError,
    Document,
    listed,
    objects,
    read_beginning,
)
from ml.datasets.layouts.annotations import Entry, Grid, UnreadableAnnotationError, read_annotation
from ml.datasets.layouts.categories import is_tumor
from ml.datasets.layouts.image_paths import Found, ImagePaths, path_of
from ml.datasets.layouts.pairing import barcode_of, original_of
from ml.datasets.layouts.tree import Tree

# Roboflow names every version and every augmented copy of a picture by a digest: `scan_png.rf.0123...jpg`.
_COPY = re.compile(r"\.rf\.[0-9a-zA-Z]{16,64}$")
# How a file of annotations begins.
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\s*\"(?:images|annotations|categories|info|licenses)\"\s*:")


@dataclass(frozen=True)
class Category:
    """A category by its name; annotations: how many have it."""

    name: str
    annotations: int
    is_tumor: bool


class _Reader:
    """Reads one file: its images by id, then what is drawn on each."""

    def __init__(self, folder: Path, source: AnnotationFile, paths: ImagePaths) -> None:
        self._folder, self.source, self._paths = folder, source, paths
        self._name = source.path.relative_to(folder).as_posix()
        self.problems: list[Problem] = []
        self.images: dict[Path, AnnotatedImage] = {}
        self._by_key: dict[str, list[AnnotatedImage]] = {}
        self._nameless: set[str | None] = set()  # ids of entries whose annotations are those of no other image
        self.absent: list[str] = []  # names of images that are not there, as they are written
        self.drawn = self.boxes = 0  # annotations, and those that are boxes

    def read_images(self, entries: Sequence[object]) -> None:
        entries = [self._in_subset(entry) if isinstance(entry, dict) else entry for entry in entries]
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

    def _in_subset(self, entry: Entry) -> Entry:
        """An entry with the path in its subset's folder (`Train/1.png`), where its image lies there."""
        if not entry.get("subset") or not _is_name(entry):
            return entry
        name = f"{entry['subset']}/{entry['file_name']}"
        found = self._paths.find(name)
        return entry if found.path is None or found.is_by_name else {**entry, "file_name": name}

    def _miss(self, name: str, found: Found) -> None:
        """An entry whose image is not there, or of whose name there are several."""
        self.absent.append(repr(name)[:80])
        if not found.is_by_name:
            missing = (self.source.images[0] / str(path_of(name))).relative_to(self._folder).as_posix()
            text = f"{self.source.path.name} names an image that is not there: add it or remove its entry."
        else:
            missing = slashed(name).lstrip("/")
            why = "several images have the last part of its name"
            if found.alike == 1:
                why = "other entries end in the name of the same image"
            text = (
                f"{self.source.path.name} names an image by a path that is not there, and {why}: write the path below"
                " the folder of the annotations."
            )
        self.problems.append(Problem("missing_image", (missing,), text))

    def _note_names(self, names: Sequence[str]) -> None:
        """Images that were found by the last part of their paths alone."""
        if names:
            are = "1 image is" if len(names) == 1 else f"{len(names):,} images are"
            text = (
                f"{are} named in {self.source.path.name} by paths that are not there (the first: {names[0][:80]!r}),"
                " and found by their file names alone, which no other image has: look whether it is right, or write the"
                " paths below the folder of the annotations."
            )
            self.problems.append(Problem("found_by_name", (self._name,), text))

    def _add(self, entry: Entry, key: str, path: Path) -> None:
        stem = path.relative_to(self._root_of(path)).with_suffix("").as_posix()
        group = (
            self.source.patient or barcode_of(path.stem) or original_of(_COPY.sub("", f"{self.source.prefix}{stem}"))
        )
        image = self.images.setdefault(path, AnnotatedImage(path, group, _grid(entry), []))
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
            text = f"{are} no image of {self.source.path.name}, and may belong to it"
            lost = f"{are} no image of {self.source.path.name}: the mask of any image may lack them."
            self.problems.append(Problem("stray_annotations", (self._name,), lost))
            for path in self.images.keys() - annotated:
                self.images[path].faults.append(text)

    def _draw(self, entry: Entry, image: AnnotatedImage) -> None:
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
        self.drawn += 1
        self.boxes += drawing.is_box
        if drawing.outside:
            text = f"{what} leaves the image by {drawing.outside:.1f} pixels and is clipped at its edge"
            self._report("clipped_outline", text)
        if drawing.has_stray:
            self._report("stray_piece", f"{what} has a piece without an area (a point or a line), which is left out")

    def fail(self, image: Path, finding: str) -> None:
        """The one image of a file that cannot be read."""
        group = self.source.patient or barcode_of(image.stem) or f"{self.source.prefix}{image.stem}"
        self.images[image] = AnnotatedImage(image, group, None, [], faults=[finding])
        self.problems.append(Problem("bad_annotation", (self._name,), finding))

    def _root_of(self, path: Path) -> Path:
        return next(folder for folder in self.source.images if path.is_relative_to(folder))

    def _report(self, code: str, text: str) -> None:
        self.problems.append(Problem(code, (self._name,), f"{text}; correct or remove it."))


def begins_as_coco(path: Path) -> bool:
    """Whether a file's first bytes are those of COCO annotations; False where it cannot be read."""
    return _BEGINNING.match(read_beginning(path)) is not None


def read_annotations(
    folder: Path, sources: Sequence[AnnotationFile], tree: Tree
) -> tuple[list[list[Case]], list[Problem], list[Category]]:
    """The cases of each file by name, what is wrong with the annotations, and the categories of all together.

    Raises AnnotationsError where a file of several images cannot be read or no image is there.
    """
    readers: list[_Reader] = []
    problems: list[Problem] = []
    categories: dict[str, Category] = {}
    seen: dict[Path, AnnotatedImage] = {}
    paths: dict[tuple[Path, ...], ImagePaths] = {}
    sets: dict[str, list[_Reader]] = defaultdict(list)
    for source in sources:
        tree.check(source.path)
        reader = _Reader(folder, source, paths.setdefault(source.images, ImagePaths(tree, source.images)))
        sets[source.set_name or str(source.path)].append(reader)
        try:
            document = source.read(source.path)
        except AnnotationsError as error:
            if source.image is None:
                raise
            reader.fail(source.image, error.finding)
            document = {}
        reader.read_images(listed(document, "images"))
        names = _category_names(document)
        _count_categories(categories, names, objects(document, "annotations"))
        not_tumor = frozenset(key for key, name in names.items() if not is_tumor(name))
        reader.read_annotations(listed(document, "annotations"), not_tumor)
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
    for alike in sets.values():
        problems.extend(_find_notes(folder, alike))
    cases = [
        sorted((image.case(folder) for image in reader.images.values()), key=lambda case: case.image)
        for reader in readers
    ]
    return cases, problems, sorted(categories.values(), key=lambda category: name_key(category.name))


def _find_notes(folder: Path, readers: Sequence[_Reader]) -> Iterator[Problem]:
    """What the files of one set show together."""
    sources = [reader.source for reader in readers]
    images = [image for reader in readers for image in reader.images.values()]
    drawn, boxes = sum(reader.drawn for reader in readers), sum(reader.boxes for reader in readers)
    files = tuple(source.path.relative_to(folder).as_posix() for source in sources)
    name = sources[0].set_name if len(sources) > 1 else sources[0].path.name
    yield from find_notes(name or sources[0].path.name, files, images, drawn, boxes)


def _category_names(document: Document) -> dict[str, str]:
    """Names by id."""
    found = ((_key(entry.get("id")), entry.get("name")) for entry in objects(document, "categories"))
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
