"""The layouts of a data set (docs/datasets.md), told apart by what lies in the folder, or in one folder within it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from ml.datasets.case import Case, DatasetError
from ml.datasets.checking.problems import LeftOut, Problem, left_out_of
from ml.datasets.file_names import ANNOTATIONS_FOLDER, is_annotations, is_text, name_key, shown
from ml.datasets.layouts.coco import Category, CocoFile, read_coco
from ml.datasets.layouts.left_out import find_strays, relative
from ml.datasets.layouts.pairing import images_and_masks, images_beside_masks, pair, patient_of
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import IMAGE_FOLDERS, UnknownLayoutError, unknown
from ml.datasets.mask_names import MASK_FOLDERS
from ml.datasets.splits import SIDES

LayoutName = Literal["patient folders", "images and masks", "COCO", "images only"]
# Folders in which a data set comes divided already, and the side that each is.
SUBSETS = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Folders that people put around the data set's own.
MOST_WRAPPERS = 3
_NOT_TEXT = "{name} has a name that is not UTF-8; rename it."


@dataclass(frozen=True)
class Layout:
    """A folder's slices, also those without a mask, and what the file names alone show to be wrong.

    folder: the data set's own, which may lie in the one that was given. sides: patients of each side where the data set
    comes divided by patient, else empty. categories: COCO's.
    """

    name: LayoutName
    folder: Path
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    sides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()

    @property
    def has_truth(self) -> bool:
        """Whether one slice at least has a mask."""
        return any(case.has_truth for case in self.cases)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The files that are no part of an evaluation, with the reason."""
        return left_out_of(self.problems)


@dataclass(frozen=True)
class _Root:
    """A folder in which slices lie. prefix: what makes its names different from those of other roots."""

    folder: Path
    prefix: str = ""
    side: str | None = None


def list_cases(
    folder: Path, patients: Iterable[str] | None = None, *, is_truth_needed: bool = True
) -> tuple[Case, ...]:
    """All slices that have a mask, ordered by patient and name; only of `patients` where they are given.

    is_truth_needed: False lists slices without a mask as well, of any folder with images. Raises DatasetError where
    there are none.
    """
    wanted = None if patients is None else set(patients)
    usable = [case for case in find_layout(folder).cases if case.has_truth or not is_truth_needed]
    if not usable:
        raise unknown(Tree(), folder)
    cases = tuple(case for case in usable if wanted is None or case.patient in wanted)
    if not cases:
        names = ", ".join(sorted(wanted or ())[:3])
        raise DatasetError(f"{folder} has no slices of the patients asked for ({names}); check their names.")
    return cases


def find_layout(folder: Path, is_allowed: Callable[[Path], bool] = lambda path: True) -> Layout:
    """The layout of a folder with all its slices; of a folder within it where it has none itself.

    is_allowed: whether a folder or a file of annotations may be opened, its links resolved. Raises DatasetError where
    it is no folder, has no images or several different data sets; LinkOutError; OSError.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the folder of the data set.")
    tree = Tree(is_allowed)
    found = list(_search(tree, folder, MOST_WRAPPERS))
    if not found:
        raise unknown(tree, folder)
    layout, *others = found
    for other in others:
        if not _is_same(layout, other):
            names = ", ".join(shown(relative(one.folder, folder)) for one in found[:4])
            text = f"It holds {len(found)} data sets ({names}); give the folder of one of them."
            raise UnknownLayoutError(folder, text)
    doubles = [_double(layout, other) for other in others]
    used = [path for case in layout.cases for path in (case.image, case.mask) if path is not None]
    used += [layout.folder / name for problem in layout.problems for name in problem.files]
    strays = find_strays(tree, folder, layout.folder, used, frozenset(other.folder for other in others))
    return replace(layout, problems=(*layout.problems, *doubles, *strays))


def _search(tree: Tree, folder: Path, depth: int) -> list[Layout]:
    """The data sets of a folder: itself, else those within; one without masks only where there are none with."""
    layout = _layout_in(tree, folder)
    if layout.has_truth:
        return [layout]
    folders = tree.listing(folder).folders if depth else ()
    inner = [found for path in folders for found in _search(tree, path, depth - 1)]
    if with_truth := [found for found in inner if found.has_truth]:
        return with_truth
    return [layout] if layout.cases else inner


def _is_same(first: Layout, second: Layout) -> bool:
    """Whether two folders hold files of the same names and sizes."""
    return dict(_files(first)) == dict(_files(second))


def _files(layout: Layout) -> Iterator[tuple[str, int]]:
    for case in layout.cases:
        for path in (case.image, case.mask):
            if path is not None:
                yield path.relative_to(layout.folder).as_posix(), path.stat().st_size


def _double(layout: Layout, other: Layout) -> Problem:
    text = f"The folder holds the same {len(other.cases):,} images again: it is left out; remove it."
    return Problem("doubled_folder", (relative(other.folder, layout.folder),), text)


def _layout_in(tree: Tree, folder: Path) -> Layout:
    """The layout that lies in this very folder; one without cases where there is none."""
    subsets = [
        _Root(path, f"{path.name}/", SUBSETS[name_key(path.name)])
        for path in tree.listing(folder).folders
        if name_key(path.name) in SUBSETS
    ]
    roots = [_Root(folder), *subsets]
    if sources := [found for root in roots for found in _coco_files(tree, root)]:
        return _list_coco(tree, folder, sources)
    if any(_pair_folders(tree, root.folder) for root in roots):
        return _list_pairs(tree, folder, roots)
    return _list_patients(tree, folder, roots)


def _coco_files(tree: Tree, root: _Root) -> list[tuple[CocoFile, str | None]]:
    """The files of annotations of a root, and the side that each is."""
    files = [path for path in tree.listing(root.folder).files if is_annotations(path.name)]
    beside = tree.folder(root.folder, [ANNOTATIONS_FOLDER])
    files += [path for path in (tree.listing(beside).files if beside else ()) if is_annotations(path.name)]
    return [_coco_file(tree, root, path, len(files) > 1) for path in files]


def _coco_file(tree: Tree, root: _Root, path: Path, is_one_of_several: bool) -> tuple[CocoFile, str | None]:
    """`instances_SUBSET.json`: its images lie in `images/SUBSET`, `SUBSET` or `images`; else beside the file."""
    subset = path.stem.lower().removeprefix("instances_") if path.stem.lower().startswith("instances_") else ""
    side = SUBSETS.get(re.sub(r"\d+$", "", subset), root.side)  # COCO's own: instances_train2017.json
    images = tree.folder(root.folder, IMAGE_FOLDERS)
    within = tree.folder(images, [subset]) if images and subset else None
    beside = tree.folder(root.folder, [subset]) if subset else None
    folders = tuple(found for found in (within, beside, images, root.folder) if found is not None)
    prefix = f"{root.prefix}{subset}/" if is_one_of_several else root.prefix
    return CocoFile(path, folders, prefix), side


def _list_coco(tree: Tree, folder: Path, sources: list[tuple[CocoFile, str | None]]) -> Layout:
    parts, problems, categories = read_coco(folder, [source for source, _ in sources], tree)
    sided = [(case, side) for part, (_, side) in zip(parts, sources, strict=True) for case in part]
    listed = {case.image for case, _ in sided}
    for source, side in sources:
        for path in tree.images(source.images[0]):
            if path not in listed:
                listed.add(path)
                sided.append((Case(f"{source.prefix}{path.stem}", path, None), side))
                text = "No annotations name the image: annotate or remove it."
                problems.append(Problem("missing_mask", (path.relative_to(folder).as_posix(),), text))
    return _layout("COCO", folder, sided, problems, tuple(categories))


def _pair_folders(tree: Tree, folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks, by any of their names."""
    images, masks = tree.folder(folder, IMAGE_FOLDERS), tree.folder(folder, MASK_FOLDERS)
    return (images, masks) if images and masks else None


def _list_pairs(tree: Tree, folder: Path, roots: list[_Root]) -> Layout:
    sided: list[tuple[Case, str | None]] = []
    problems: list[Problem] = []
    for root in roots:
        for images, masks, group, side in _pair_groups(tree, root):
            beside = tree.images(masks) if masks else []
            found, faults = pair(*images_beside_masks(tree.images(images), beside), group, folder)
            sided.extend((case, side) for case in found)
            problems.extend(faults)
    sided.sort(key=lambda item: (item[0].patient, item[0].image))
    return _layout("images and masks", folder, sided, problems)


def _pair_groups(tree: Tree, root: _Root) -> Iterator[tuple[Path, Path | None, Callable[[str], str], str | None]]:
    """Folders of images with theirs of masks, who is in them, and on which side: the two themselves, and the folders of
    one name in both, which are patients, or `train`, `valid` and `test`."""
    folders = _pair_folders(tree, root.folder)
    if folders is None:
        return
    images, masks = folders
    yield images, masks, partial(patient_of, prefix=root.prefix), root.side
    for inner in tree.listing(images).folders:
        name = name_key(inner.name)
        is_subset = name in SUBSETS
        group = partial(patient_of, prefix=f"{root.prefix}{inner.name}/") if is_subset else partial(_named, inner.name)
        yield inner, tree.folder(masks, [name]), group, SUBSETS[name] if is_subset else root.side


def _list_patients(tree: Tree, folder: Path, roots: list[_Root]) -> Layout:
    """Patient folders; a root's own images too, for a person who gives one patient's folder."""
    sided: list[tuple[Case, str | None]] = []
    problems: list[Problem] = []
    subsets = {root.folder for root in roots}
    for root in roots:
        groups = [(root.folder, partial(patient_of, prefix=root.prefix))]
        groups += [
            (path, partial(_named, path.name)) for path in tree.listing(root.folder).folders if path not in subsets
        ]
        for path, group in groups:
            found, faults = pair(*images_and_masks(tree.images(path)), group, folder)
            sided.extend((case, root.side) for case in found)
            problems.extend(faults)
    name: LayoutName = "patient folders" if any(case.has_truth for case, _ in sided) else "images only"
    return _layout(name, folder, sided, problems)


def _named(patient: str, _stem: str) -> str:
    """All images of a patient folder are this patient's."""
    return patient


def _layout(
    name: LayoutName,
    folder: Path,
    sided: list[tuple[Case, str | None]],
    problems: list[Problem],
    categories: tuple[Category, ...] = (),
) -> Layout:
    cases = tuple(_with_text_names(case, folder) for case, _ in sided)
    problems = [*problems, *(case.fault for case in cases if case.fault and case.fault.code == "bad_name")]
    if not any(case.has_truth for case in cases):
        problems = [problem for problem in problems if problem.code != "missing_mask"]
    owners: dict[str, dict[str | None, Path]] = {}  # of each patient an image on each side
    for case, (_, side) in zip(cases, sided, strict=True):
        owners.setdefault(case.patient, {}).setdefault(side, case.image)
    shared = [patient for patient in sorted(owners) if len(owners[patient]) > 1]
    if shared:
        text = (
            f"{len(shared)} patients are on several sides of the division that the folders make (the first:"
            f" {shared[0]}): it is not kept; `python -m ml split` makes one by patient."
        )
        images = owners[shared[0]].values()
        problems.append(Problem("shared_patient", tuple(shown(relative(path, folder)) for path in images), text))
    sides = {side: tuple(sorted(name for name, found in owners.items() if set(found) == {side})) for side in SIDES}
    is_divided = not shared and bool(sides["train"]) and sum(map(len, sides.values())) == len(owners)
    return Layout(name, folder, cases, tuple(problems), sides if is_divided else {}, categories)


def _with_text_names(case: Case, folder: Path) -> Case:
    """A case whose name or patient is not UTF-8 keeps its place with the reason, and a name that can be written."""
    paths = [path.relative_to(folder).as_posix() for path in (case.image, case.mask) if path is not None]
    strange = next((path for path in paths if not is_text(path)), None)
    if strange is None:
        return case
    fault = Problem("bad_name", (strange,), _NOT_TEXT.format(name=shown(strange)))
    return replace(case, patient=shown(case.patient), fault=fault)
