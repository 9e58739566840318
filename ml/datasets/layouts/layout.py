"""The layouts of a data set (docs/datasets.md), told apart by what lies in the very folder."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal
from unicodedata import normalize

from ml.datasets.case import Case
from ml.datasets.checking.problems import FIGURE_NOTES, LEFT_OUT, LeftOut, Problem, left_out_of
from ml.datasets.file_names import (
    ANNOTATIONS_FOLDER,
    is_annotations,
    is_text,
    is_usually_coco,
    may_be_annotations,
    name_key,
    shown,
)
from ml.datasets.layouts.coco import Category, CocoFile, begins_as_coco, read_coco
from ml.datasets.layouts.copies import copies_of, copy_problems
from ml.datasets.layouts.label_colors import check_label_map
from ml.datasets.layouts.left_out import relative
from ml.datasets.layouts.pairing import barcode_of, images_and_masks, images_beside_masks, pair, patient_of
from ml.datasets.layouts.sequences import flair_folder, other_sequences
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import IMAGE_FOLDERS, UnknownLayoutError
from ml.datasets.layouts.volumes import VolumeSet, find_mixed_channels, has_nnunet, list_brats, list_nnunet
from ml.datasets.mask_names import CLASS_FOLDER, MASK_FOLDERS, looks_like_mask
from ml.datasets.splits import SIDES

LayoutName = Literal["patient folders", "images and masks", "COCO", "BraTS", "nnU-Net", "images only"]
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
# Beside `SegmentationClass`, by PASCAL VOC and CVAT.
_VOC_IMAGES = "jpegimages"
_NOT_ANNOTATED_MASK = (
    "A mask by its name, and the masks are the outlines of COCO's annotations: remove one or the other."
)
_NOT_TEXT = "{name} has a name that is not UTF-8; rename it."


@dataclass(frozen=True)
class Layout:
    """A folder's slices, also those without a mask, and what the file names alone show to be wrong.

    folder: the data set's own, which may lie in `given`, what problems' files are relative to. sides: patients of each
    side where the data set comes divided by patient, else empty. categories, annotations: COCO's, and the files that
    were read. volumes: the files of a set of volumes, also those that no figure needs.
    """

    name: LayoutName
    folder: Path
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    sides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()
    annotations: tuple[Path, ...] = ()
    volumes: tuple[Path, ...] = ()
    given: Path | None = None

    @property
    def base(self) -> Path:
        """The folder that a person gave, which knows no other."""
        return self.given or self.folder

    @property
    def has_truth(self) -> bool:
        """Whether one slice at least has a mask."""
        return any(case.has_truth for case in self.cases)

    def named_from(self, folder: Path) -> "Layout":
        """The layout with the files of its problems as a person sees them who gave `folder`."""

        def renamed(problem: Problem) -> Problem:
            files = tuple(relative(self.folder / name, folder) for name in problem.files)
            return replace(problem, files=files)

        cases = tuple(case if case.fault is None else replace(case, fault=renamed(case.fault)) for case in self.cases)
        return replace(self, given=folder, cases=cases, problems=tuple(map(renamed, self.problems)))

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The files that are no part of an evaluation, with the reason."""
        return left_out_of(self.problems)

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known before any figure of it, in sentences."""
        said = [shown(problem.message) for problem in self.problems if problem.code in FIGURE_NOTES]
        return (*said, *self._unsaid())

    def _unsaid(self) -> Iterator[str]:
        """What neither a failed slice nor a sentence of its own says: how many findings there are, and the first."""
        faults = {case.fault for case in self.cases}
        found = [
            problem
            for problem in dict.fromkeys(self.problems)
            if problem.code not in FIGURE_NOTES | LEFT_OUT and problem not in faults
        ]
        if found:
            counts = ", ".join(f"{code}: {count:,}" for code, count in Counter(one.code for one in found).items())
            findings = "1 finding" if len(found) == 1 else f"{len(found):,} findings"
            yield (
                f"The check of the data has {findings} that these figures rest on ({counts}), the first:"
                f" {shown(found[0].message)}"
            )


@dataclass(frozen=True)
class _Root:
    """A folder in which slices lie. prefix: what makes its names different from those of other roots; patient: whose
    they are where the folder is one's own."""

    folder: Path
    prefix: str = ""
    side: str | None = None
    patient: str | None = None


def layout_in(tree: Tree, folder: Path) -> Layout:
    """The layout that lies in this very folder; one without cases where there is none.

    Raises UnknownLayoutError where slices and volumes with masks lie in it side by side.
    """
    found = [_slices_in(tree, folder)]
    sets: list[tuple[LayoutName, VolumeSet]] = [("BraTS", list_brats(tree, folder))]
    if has_nnunet(tree, folder) and not found[0].has_truth:
        sets.append(("nnU-Net", list_nnunet(tree, folder)))
    found += [_volume_layout(name, folder, one) for name, one in sets if one.cases]
    with_truth = [layout for layout in found if layout.has_truth]
    if len(with_truth) > 1:
        names = " and ".join(f"{layout.name} ({len(layout.cases):,} slices)" for layout in with_truth)
        raise UnknownLayoutError(
            folder, f"It holds several layouts side by side, {names}: give each a folder of its own."
        )
    return next(iter([*with_truth, *(layout for layout in found if layout.cases), *found]))


def images_only(folder: Path, cases: Sequence[Case]) -> Layout:
    """A layout of images that have no masks."""
    return _layout("images only", folder, [(case, None) for case in cases], [])


def join_volumes(folder: Path, parts: Sequence[Layout]) -> Layout:
    """Folders of BraTS volumes within a folder as one set: `HGG` and `LGG`, sites, BIDS' folders of patients.

    Patients of one name in several of them are called after these, too.
    """
    owners = Counter(patient for part in parts for patient in {case.patient for case in part.cases})
    sided: list[tuple[Case, str | None]] = []
    problems: list[Problem] = []
    for part in (one.named_from(folder) for one in parts):
        place = shown(relative(part.folder, folder))
        for case in part.cases:
            name = case.patient if owners[case.patient] == 1 else f"{place}/{case.patient}"
            sided.append((replace(case, patient=name), SUBSETS.get(name_key(part.folder.name))))
        problems += [problem for problem in part.problems if problem.code != "mixed_channels"]
    problems += find_mixed_channels([case for case, _ in sided])
    layout = _layout("BraTS", folder, sided, problems)
    return replace(layout, volumes=tuple(path for part in parts for path in part.volumes))


def _volume_layout(name: LayoutName, folder: Path, found: VolumeSet) -> Layout:
    return replace(_layout(name, folder, list(found.cases), list(found.problems)), volumes=found.used)


def _slices_in(tree: Tree, folder: Path) -> Layout:
    """The layout of pictures."""
    subsets = [
        _Root(path, f"{path.name}/", SUBSETS[name_key(path.name)])
        for path in tree.listing(folder).folders
        if name_key(path.name) in SUBSETS
    ]
    roots = [_Root(folder), *subsets]
    if sources := [found for root in roots for found in _coco_files(tree, root)]:
        return _list_coco(tree, folder, sources)
    if any(pair_folders(tree, root.folder) for root in roots):
        return _list_pairs(tree, folder, roots)
    return _list_patients(tree, folder, roots)


def _coco_files(tree: Tree, root: _Root) -> list[tuple[CocoFile, str | None]]:
    """The files of annotations of a root, and the side that each is."""
    files = [path for path in tree.listing(root.folder).files if is_annotations(path.name)]
    beside = tree.folder(root.folder, [ANNOTATIONS_FOLDER])
    files += [path for path in (tree.listing(beside).files if beside else ()) if is_annotations(path.name)]
    files = files or list(_coco_by_content(tree, root.folder))
    return [_coco_file(tree, root, path, len(files) > 1) for path in files]


def _coco_by_content(tree: Tree, folder: Path) -> Iterator[Path]:
    """Files of other names that hold COCO annotations, where images lie in the folder or in `images`, without masks."""
    place = tree.folder(folder, IMAGE_FOLDERS) or folder
    images = [path.name for path in tree.images(place)]
    if not images or pair_folders(tree, folder) or any(map(looks_like_mask, images)):
        return
    named = [path for path in tree.listing(folder).files if may_be_annotations(path.name) and not path.is_symlink()]
    found = [path for path in named if begins_as_coco(path)]
    # Of several files of other names nobody knows which is which: a version of all images, or a part of them.
    yield from (path for path in found if len(found) == 1 or is_usually_coco(path.name))


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
                name = path.relative_to(folder).as_posix()
                if looks_like_mask(path.name):
                    problems.append(Problem("mask_name", (name,), _NOT_ANNOTATED_MASK))
                    continue
                sided.append((Case(f"{source.prefix}{path.stem}", path, None), side))
                text = "No annotations name the image: annotate or remove it."
                problems.append(Problem("missing_mask", (name,), text))
    layout = _layout("COCO", folder, sided, problems, tuple(categories))
    return replace(layout, annotations=tuple(source.path for source, _ in sources))


def pair_folders(tree: Tree, folder: Path) -> tuple[Path, ...]:
    """The folder of images, by the first of its names, and all folders of masks; empty where one of the two lacks."""
    images, masks = tree.folder(folder, IMAGE_FOLDERS), tree.folders(folder, MASK_FOLDERS)
    if images and masks:
        return (images, *masks)
    classes = tree.folder(folder, [CLASS_FOLDER])
    pictures = tree.folder(folder, [_VOC_IMAGES, *IMAGE_FOLDERS])
    return (pictures, classes) if pictures and classes else ()


def _list_pairs(tree: Tree, folder: Path, roots: list[_Root]) -> Layout:
    sided: list[tuple[Case, str | None]] = []
    problems: list[Problem] = []
    for root in roots:
        check_label_map(tree, root.folder)
        pair_of_folders = pair_folders(tree, root.folder)
        copies = copies_of(tree, tree.listing(pair_of_folders[0]).folders) if pair_of_folders else {}
        problems.extend(copy_problems(copies, tree, folder))
        for images, masks, group, side in _pair_groups(tree, root, pair_of_folders, copies):
            beside = [path for place in masks for path in tree.images(place)]
            found, faults = pair(images_beside_masks(tree.images(images), beside), group, folder)
            sided.extend((case, side) for case in found)
            problems.extend(faults)
    sided.sort(key=lambda item: (item[0].patient, item[0].image))
    return _layout("images and masks", folder, sided, problems)


def list_nested(tree: Tree, folder: Path, found: Sequence[Layout]) -> Layout | None:
    """Patients with a folder of images and one of masks each (`PATIENT/images`, `PATIENT/masks`), in the folder or in
    its `train`, `valid` and `test`; None where one of the layouts found there may be a set of several patients.
    """
    roots = []
    for one in found:
        around = one.folder.parent
        side = None if around == folder else SUBSETS.get(name_key(around.name), "")
        images = next(iter(pair_folders(tree, one.folder)), None)
        is_patient = all(case.image.parent == images for case in one.cases) and (
            len({barcode_of(case.name) for case in one.cases}) == 1
        )
        if images is None or not is_patient or side == "" or (side and around.parent != folder):
            return None
        roots.append(_Root(one.folder, side=side, patient=barcode_of(one.cases[0].name) or one.folder.name))
    layout = _list_pairs(tree, folder, roots)
    text = (
        f"Each of {len(roots):,} folders with images and masks in it is taken for one patient: if it is a site, a class"
        " or a set of several, figures of patients and their intervals mean nothing."
    )
    return replace(layout, problems=(*layout.problems, Problem("nested_patients", (), text)))


def _pair_groups(
    tree: Tree, root: _Root, folders: Sequence[Path], copies: Collection[Path]
) -> Iterator[tuple[Path, list[Path], Callable[[str], str], str | None]]:
    """Folders of images with theirs of masks, who is in them, and on which side: the two themselves, and the folders of
    one name in both, which are patients, or `train`, `valid` and `test`."""
    if not folders:
        return
    images, *masks = folders
    group = partial(patient_of, prefix=root.prefix) if root.patient is None else partial(_named, root.patient)
    yield images, masks, group, root.side
    for inner in (path for path in tree.listing(images).folders if path not in copies):
        name = name_key(inner.name)
        is_subset = name in SUBSETS
        group = partial(patient_of, prefix=f"{root.prefix}{inner.name}/") if is_subset else partial(_named, inner.name)
        beside = [path for place in masks for path in tree.folders(place, [name])]
        yield inner, beside, group, SUBSETS[name] if is_subset else root.side


def _list_patients(tree: Tree, folder: Path, roots: list[_Root]) -> Layout:
    """Patient folders; a root's own images too, for a person who gives one patient's folder."""
    sided: list[tuple[Case, str | None]] = []
    problems: list[Problem] = []
    subsets = {root.folder for root in roots}
    for root in roots:
        groups = [(root.folder, partial(patient_of, prefix=root.prefix))]
        folders = [path for path in tree.listing(root.folder).folders if path not in subsets]
        copies = copies_of(tree, folders)
        problems.extend(copy_problems(copies, tree, folder))
        inner = [path for path in folders if path not in copies]
        of_one = flair_folder(tree, root.folder) if not root.prefix else None
        if of_one is not None:  # the folder of one patient, who is called as it is
            groups.append((of_one, partial(_named, root.folder.name)))
            problems.extend(other_sequences(tree, root.folder, of_one, folder))
            inner = []
        for path in inner:
            flair = flair_folder(tree, path)
            groups.append((flair or path, partial(_named, path.name)))
            problems.extend(other_sequences(tree, path, flair, folder) if flair else ())
        for path, group in groups:
            found, faults = pair(images_and_masks(tree.images(path)), group, folder)
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
    cases, doubles = _with_clear_patients(cases, folder)
    problems += doubles
    owners: dict[str, dict[str | None, Path]] = {}  # of each patient an image on each side
    for case, (_, side) in zip(cases, sided, strict=True):
        owners.setdefault(case.patient, {}).setdefault(side, case.image)
    shared = [patient for patient in sorted(owners) if len(owners[patient]) > 1]
    if shared:
        text = (
            f"{len(shared)} {'patient is' if len(shared) == 1 else 'patients are'} on several sides of the division"
            f" that the folders make (the first: {shared[0]}): it is not kept; `python -m ml split` makes one by"
            " patient."
        )
        images = owners[shared[0]].values()
        problems.append(Problem("shared_patient", tuple(shown(relative(path, folder)) for path in images), text))
    sides = {side: tuple(sorted(name for name, found in owners.items() if set(found) == {side})) for side in SIDES}
    is_divided = not shared and bool(sides["train"]) and sum(map(len, sides.values())) == len(owners)
    return Layout(name, folder, cases, tuple(problems), sides if is_divided else {}, categories)


def _with_clear_patients(cases: tuple[Case, ...], folder: Path) -> tuple[tuple[Case, ...], list[Problem]]:
    """The cases, those with the fault whose patients' names differ in case or in the form of accents alone."""
    firsts: dict[str, dict[str, Case]] = {}  # by name key, of each spelling
    for case in cases:
        firsts.setdefault(name_key(case.patient), {}).setdefault(case.patient, case)
    problems: dict[str, Problem] = {}
    for key, spellings in firsts.items():
        if len(spellings) > 1:
            first, *others = sorted({normalize("NFC", shown(name)) for name in spellings})
            differ = "in case" if others else "in how their accents are written"
            names = " and ".join([first, *(others or [first])])
            text = (
                f"The names of patients {names} differ {differ} alone: rename one, or make them one folder if it is one"
                " patient."
            )
            files = tuple(shown(relative(case.image, folder)) for case in spellings.values())
            problems[key] = Problem("doubled_patient", files, text)
    if not problems:
        return cases, []
    clear = tuple(
        case if case.fault or not case.has_truth else replace(case, fault=problems.get(name_key(case.patient)))
        for case in cases
    )
    return clear, list(problems.values())


def _with_text_names(case: Case, folder: Path) -> Case:
    """A case whose name or patient is not UTF-8 keeps its place with the reason, and a name that can be written."""
    paths = [path.relative_to(folder).as_posix() for path in (case.image, case.mask) if path is not None]
    strange = next((path for path in paths if not is_text(path)), None)
    if strange is None:
        return case
    fault = Problem("bad_name", (strange,), _NOT_TEXT.format(name=shown(strange)))
    return replace(case, patient=shown(case.patient), fault=fault)
