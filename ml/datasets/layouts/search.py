"""Where in a folder its data set lies, and what lies there beside it."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

from ml.datasets.case import Case, DatasetError
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import (
    MASK_VOLUME_SUFFIXES,
    VOLUME_SUFFIXES,
    name_key,
    shown,
    suffix_of,
)
from ml.datasets.layouts.assembly import images_only, join_volumes
from ml.datasets.layouts.copies import have_same_bytes
from ml.datasets.layouts.glances import OF_ALPHA, count_transparent
from ml.datasets.layouts.label_tables import find_label_tables
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.left_out import (
    MAY_BE_MASK,
    OF_ANATOMY,
    OF_PICTURE,
    OF_VOLUME,
    VOLUME,
    find_strays,
    find_tables,
    may_hold_masks,
    relative,
)
from ml.datasets.layouts.pairing import patient_of
from ml.datasets.layouts.pairs import list_nested, pair_folders, side_of_masks
from ml.datasets.layouts.recognition import apart_layout, dicom_layout, layout_in
from ml.datasets.layouts.results import OF_MODEL, results_beside
from ml.datasets.layouts.sequences import Sequence as Sequences
from ml.datasets.layouts.sequences import is_other_sequence, split_brats_name
from ml.datasets.layouts.tables import find_patients, list_table
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import (
    IMAGE_FOLDERS,
    UnknownLayoutError,
    say_cityscapes,
    say_twins,
    unknown,
)
from ml.datasets.layouts.unmatched import UNMATCHED, say_unmatched, say_unread_masks
from ml.datasets.layouts.volume_masks import is_of_anatomy, may_be_mask
from ml.datasets.mask_names import (
    MASK_FOLDERS,
    count_own_folders,
    looks_like_mask,
    mask_sign,
    name_without_mask,
)
from ml.datasets.volume_slices import file_of

# Folders that people put around the data set's own.
MOST_WRAPPERS = 3


class UnreadMasksError(UnknownLayoutError):
    """Images beside masks that cannot be read, or belong to none of them. layout: what to predict on."""

    def __init__(self, folder: Path, finding: str, layout: Layout) -> None:
        super().__init__(folder, finding)
        self.layout = layout


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
    it is no folder, has no images, masks of which none has an image, or several different data sets; LinkOutError;
    OSError.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the folder of the data set.")
    tree = Tree(is_allowed)
    found = _search(tree, folder, MOST_WRAPPERS) or [_all_images(tree, folder)]
    if not any(one.has_truth for one in found) and (apart := apart_layout(tree, folder)).has_truth:
        found = [apart]
    if not any(one.has_truth for one in found) and (table := list_table(tree, folder)) is not None:
        found = [table]
    if not any(one.has_truth for one in found) and (of_series := dicom_layout(tree, folder)).volumes:
        found = [of_series]
    layout, *_ = found
    if not layout.cases:
        if layout.name == "DICOM":
            raise UnknownLayoutError(folder, say_unmatched(layout, folder))
        raise unknown(tree, folder)
    kept, others = _without_doubles(found)
    if len(kept) > 1:
        around = Path(os.path.commonpath([one.folder.parent for one in kept]))
        nested = None
        if folder not in [one.folder for one in kept]:
            is_brats = all(one.name == "BraTS" for one in kept)
            nested = join_volumes(around, kept) if is_brats else list_nested(tree, around, kept)
        if nested is None:
            raise UnknownLayoutError(folder, _why_several(tree, folder, found))
        layout = nested
    if layout.cases and not layout.has_truth and any(problem.code in UNMATCHED for problem in layout.problems):
        raise UnreadMasksError(folder, say_unmatched(layout, folder), layout.named_from(folder))
    if not layout.has_truth and not layout.volumes and (whole := _all_images(tree, folder)).cases:
        layout, others = whole, []
    doubles = [_double(tree, other, folder) for other in others]
    strays = find_strays(tree, folder, folder, _used(layout), frozenset(other.folder for other in others))
    strays = [part for stray in strays for part in _without_anatomy(folder, stray)]
    strays = [part for stray in strays for part in _with_volumes(layout, folder, stray)]
    strays = [part for stray in strays for part in _without_masks(layout, folder, stray)]
    strays = [part for stray in strays for part in _with_pictures(layout, folder, stray)]
    named = layout.named_from(folder)
    if not layout.has_truth and (text := say_unread_masks(layout, folder, strays)):
        raise UnreadMasksError(folder, text, replace(named, problems=(*named.problems, *doubles, *strays)))
    if layout.has_truth:
        tables = (*find_patients(tree, folder, layout.cases), *find_label_tables(tree, folder, layout))
        named = replace(named, problems=(*named.problems, *tables))
    if not layout.has_truth and not layout.volumes:
        strays += find_tables(tree, folder, [name for one in strays for name in one.files])
    return replace(named, problems=(*named.problems, *doubles, *strays))


def _without_anatomy(folder: Path, stray: Problem) -> Iterator[Problem]:
    """Volumes that are left out, those that are masks of a brain or an organ by their names with a sentence of their
    own: nobody is told to call them as a tumor's."""
    of_anatomy = {
        name
        for name in stray.files
        if stray.message == VOLUME and mask_sign(name) and is_of_anatomy(folder / name, folder)
    }
    yield from _told_apart(stray, of_anatomy, OF_ANATOMY)


def _with_volumes(layout: Layout, folder: Path, stray: Problem) -> Iterator[Problem]:
    """Volumes that are left out, those beside a FLAIR that may be its masks by their names with a sentence of their
    own: nobody is told to call a part of the tumor as the whole."""
    places = {file_of(case.image).parent for case in layout.cases} if layout.volumes else set()
    kinds = (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
    own = {
        name
        for name in stray.files
        if stray.code == "left_out"  # a link to nothing says so itself
        and stray.message != OF_ANATOMY
        and suffix_of(name) in kinds
        and (folder / name).parent in places
        and may_be_mask(folder / name, folder)
    }
    yield from _told_apart(stray, own, MAY_BE_MASK)


def _without_masks(layout: Layout, folder: Path, stray: Problem) -> Iterator[Problem]:
    """Volumes that are left out beside a set of volumes, those of a patient with FLAIR and no mask (BraTS' validation
    data) with a sentence of their own: they are called as they should be."""
    own: set[str] = set()
    if layout.has_truth and layout.volumes and stray.message == VOLUME:
        named = {name: split_brats_name(_stem_of(folder / name)) for name in stray.files}
        kinds: dict[Path, set[Sequences]] = {}
        for name, one in named.items():
            if one is not None:
                kinds.setdefault((folder / name).parent, set()).add(one[1])
        of_patients = {place for place, found in kinds.items() if Sequences.FLAIR in found - {Sequences.SEG} == found}
        own = {name for name, one in named.items() if one is not None and (folder / name).parent in of_patients}
    yield from _told_apart(stray, own, OF_VOLUME)


def _with_pictures(layout: Layout, folder: Path, stray: Problem) -> Iterator[Problem]:
    """Volumes that are left out beside pictures, those of a picture's name with a sentence of their own."""
    kinds = (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
    if layout.volumes or any(suffix_of(name) not in kinds for name in stray.files):
        yield stray
        return
    pictures = {(case.image.parent, name_key(case.image.stem)) for case in layout.cases}
    paths = [(name, folder / name) for name in stray.files]
    own = {
        name
        for name, path in paths
        if not {(path.parent, name_key(base)) for base in (_stem_of(path), name_without_mask(path.name))}.isdisjoint(
            pictures
        )
    }
    yield from _told_apart(stray, own, OF_PICTURE)


def _told_apart(stray: Problem, files: Set[str], message: str) -> Iterator[Problem]:
    """What is left out, these files of it with a sentence of their own."""
    for text, names in ((stray.message, set(stray.files) - files), (message, files)):
        if names:
            yield replace(stray, files=tuple(name for name in stray.files if name in names), message=text)


def _stem_of(path: Path) -> str:
    """A name without the whole ending of its kind."""
    return path.name[: -len(suffix_of(path.name)) or None]


def _all_images(tree: Tree, folder: Path) -> Layout:
    """All images of a folder without masks, however deep they lie; no cases where some are masks by their names.

    A patient is a folder of images, called as it lies below the one around them all; so is the only one, unless it is
    called as folders of images are.
    """
    images = [path for here, _ in tree.walk(folder) for path in tree.images(here)]
    name = folder.absolute().name
    names = [f"{name}/{relative(path, folder)}" for path in images]
    own_folders = count_own_folders(names)
    if any(looks_like_mask(one, own_folders) for one in names):
        return Layout("images only", folder, (), ())
    results = results_beside(images)
    images = [path for path in images if path not in results]
    folders = {path.parent for path in images}
    around = Path(os.path.commonpath(folders)) if folders else folder

    if len(folders) == 1 and around != folder and around.name.casefold() not in IMAGE_FOLDERS:
        around = around.parent

    def owner(path: Path) -> str:
        return patient_of(path.stem) if path.parent == around else relative(path.parent, around)

    found = images_only(folder, [Case(owner(path), path, None) for path in images])
    if not results:
        return found
    of_model = Problem("left_out", tuple(sorted(relative(path, folder) for path in results)), OF_MODEL)
    return replace(found, problems=(*found.problems, of_model))


def _why_several(tree: Tree, folder: Path, found: Sequence[Layout]) -> str:
    """Why several data sets are none, and what to call their folders: no more than one thing of each."""
    places = {case.image.parent.name: case.image.parent for layout in found for case in layout.cases}
    if all(is_other_sequence(path) for path in places.values()):
        return (
            f"Its patients have a folder for each sequence ({shown(', '.join(sorted(places)))}), and none is FLAIR's"
            " alone, which the models read: call FLAIR's `flair`, with its masks in it or in a folder beside it."
        )
    pictures = [path for here, _ in tree.walk(folder) for path in tree.images(here)]
    twins = "" if all(one.has_truth for one in found) else say_twins(tree, folder, pictures)
    if cityscapes := say_cityscapes(pictures):
        return f"{cityscapes}{twins}"
    if twins:  # none of the two is a data set by itself
        return f"{_say_mask_folders(folder, pictures)}{twins}".strip()
    names = (shown(relative(one.folder, folder)) for one in found[:4])
    several = _several(found, folder, ", ".join("directly in it" if name == "." else name for name in names))
    return f"{several}{_say_mask_folders(folder, pictures)}"


def _several(found: Sequence[Layout], folder: Path, names: str) -> str:
    """That there are several, and what they may be instead."""
    if torn := _say_torn(found, folder):
        return torn
    if inner := next((one for one in found if any(other.folder in one.folder.parents for other in found)), None):
        place = shown(relative(inner.folder, folder))
        return (
            f"It holds {len(found)} data sets ({names}), one within another: give `{place}` by itself, or move it out"
            " of the folder and give the rest."
        )
    if any(layout.volumes for layout in found):
        return f"It holds {len(found)} data sets ({names}); give the folder of one of them."
    are_pairs = all(layout.name == "images and masks" for layout in found)
    wanted = "images into one `images` and all masks into one `masks`" if are_pairs else "patients' folders into one"
    return (
        f"It holds {len(found)} data sets ({names}); give the folder of one of them, or, if each is a patient, lay its"
        f" images and masks into one folder: PATIENT/NAME.png beside PATIENT/NAME_mask.png; if they are parts of"
        f" one set, lay all {wanted}."
    )


def _say_torn(found: Sequence[Layout], folder: Path) -> str:
    """Of a set whose download came in parts (Google Drive's `set-20240305T101112Z-001`, `-002`), each with images whose
    masks lie in another: none of them is to be given by itself. Empty where there is no such image."""
    without: dict[str, Path] = {}
    for layout in found:
        for case in layout.cases:
            if not case.has_truth and layout.volumes == ():
                without.setdefault(name_key(relative(case.image.with_suffix(""), layout.folder)), layout.folder)
    for layout in found:
        for name in (name for one in layout.problems if one.code == "mask_without_image" for name in one.files):
            path = layout.folder / name
            owner = without.get(name_key(relative(path.with_name(name_without_mask(path.name)), layout.folder)))
            if owner is not None and owner != layout.folder:
                image, mask = (shown(relative(place, folder)) for place in (owner, layout.folder))
                return (
                    f"It is one data set in {len(found)} parts, as a download in several archives leaves it: images in"
                    f" {image} have their masks in {mask} (`{shown(path.name)}`). Move the files of all parts into one"
                    " folder, each to its place there, and give that; a part by itself has images without masks."
                )
    return ""


def _say_mask_folders(folder: Path, pictures: Sequence[Path]) -> str:
    """What to call folders of masks that are not read as such (`PATIENT/FLAIR` and `PATIENT/Segmentation`)."""
    names = [relative(path, folder) for path in pictures]
    own_folders = count_own_folders(names)
    signs = (mask_sign(name, own_folders) for name in names)
    found = sorted({sign[:-1] for sign in signs if sign.endswith("/") and name_key(sign[:-1]) not in MASK_FOLDERS})
    if not found:
        return ""
    said = shown(", ".join(found[:4]))
    if wanted := sorted(filter(None, map(side_of_masks, found))):
        called = shown(", ".join(f"`{name}`" for name in wanted[:4]))
        return f" Folders of masks lie there ({said}): call those of their images {called}."
    return f" Folders of masks lie there ({said}): call them `masks`, and those of their images beside them `images`."


def no_truth(layout: Layout, folder: Path) -> DatasetError:
    """The error of a layout without any mask where masks are needed: what was found, and annotations that are there."""
    what = "slice" if layout.volumes else "image"
    count = f"{len(layout.cases):,} {what}{'' if len(layout.cases) == 1 else 's'}"
    unread = [group.sentence for group in layout.left_out if may_hold_masks(group)]
    tree = Tree()
    pictures = [path for here, _ in tree.walk(folder) for path in tree.images(here)]
    # By the name of the folder, too: what a patient's own holds (`seg`) is named as what lies deeper.
    finding = " ".join(unread) or f"{unknown(tree, folder).finding}{_say_mask_folders(folder.parent, pictures)}"
    return DatasetError(
        f"{shown(str(folder))} has {count} and not one mask, so there is nothing to compare with;"
        f" `python -m ml predict` needs none. {_say_transparent(layout)}{finding}"
    )


def _say_transparent(layout: Layout) -> str:
    """Of images that have a channel more: it may be the mask."""
    if layout.volumes:
        return ""
    count, seen = count_transparent(Tree(), [case.image for case in layout.cases])
    return f"{count} of {seen} images that were looked at {OF_ALPHA} " if 2 * count > seen else ""


def _search(tree: Tree, folder: Path, depth: int) -> list[Layout]:
    """The data sets of a folder: itself, else those within; one without masks only where there are none with.

    Where more slices with masks lie deeper than those of the folder's own layout, a few files may lie loose beside a
    data set, or this is a folder around one: then it is that one if it has them all, else both are named.
    """
    layout = layout_in(tree, folder)
    if layout.has_truth and not _has_more_outside(tree, layout):
        return [layout]
    # What lies in `images` and `masks` is no data set of its own.
    pair = pair_folders(tree, folder) if layout.name == "images and masks" else ()
    folders = [path for path in (tree.listing(folder).folders if depth else ()) if path not in pair]
    if layout.has_truth:
        folders = [path for path in folders if not path.is_symlink()]
    inner = [found for path in folders for found in _search(tree, path, depth - 1)]
    with_truth = [found for found in inner if found.has_truth]
    if layout.has_truth:
        return _larger(layout, with_truth)
    if with_truth:
        return with_truth
    return [layout] if layout.cases else inner


def _has_more_outside(tree: Tree, layout: Layout) -> bool:
    """Whether more images lie below the folder, those apart that it leaves out by name, than its layout has slices with
    masks, and masks."""
    used = {path for case in layout.cases if case.has_truth for path in (case.image, case.mask)}
    named = {layout.folder / name for one in layout.problems if one.code == "left_out" for name in one.files}
    found = (path for here, _ in tree.walk(layout.folder) for path in tree.images(here))
    return sum(1 if path not in used else -1 for path in found if path not in named) > 0


def _larger(layout: Layout, inner: list[Layout]) -> list[Layout]:
    """The layout, or the one within that has all of its slices and more of others; both where it lacks some."""
    own = {case.image for case in layout.cases if case.has_truth}
    theirs = [(one, {case.image for case in one.cases if case.has_truth}) for one in inner]
    if len(set().union(*(images for _, images in theirs)) - own) <= len(own):
        return [layout]
    whole = [one for one, images in theirs if own < images]
    return whole or [layout, *(one for one, images in theirs if images - own)]


def _without_doubles(found: Sequence[Layout]) -> tuple[list[Layout], list[Layout]]:
    """The layouts, and those that hold the files of one before."""
    kept: list[Layout] = []
    doubles: list[Layout] = []
    for one in found:
        (doubles if any(_is_same(one, other) for other in kept) else kept).append(one)
    return kept, doubles


def _is_same(first: Layout, second: Layout) -> bool:
    """Whether two folders hold the same files."""
    files, others = dict(_files(first)), dict(_files(second))
    return files.keys() == others.keys() and have_same_bytes((path, others[name]) for name, path in files.items())


def _files(layout: Layout) -> Iterator[tuple[str, Path]]:
    for case in layout.cases:
        for path in (case.image, case.mask):
            if path is not None:
                yield path.relative_to(layout.folder).as_posix(), file_of(path)


def _used(layout: Layout) -> Iterator[Path]:
    """The files that the layout has something to say of."""
    for case in layout.cases:
        yield from (path for path in (case.image, case.mask) if path is not None)
    yield from layout.annotations
    yield from layout.volumes
    for problem in layout.problems:
        yield from (layout.folder / name for name in problem.files)


def _double(tree: Tree, other: Layout, folder: Path) -> Problem:
    place = shown(relative(other.folder, folder))
    text = f"The folder {place} holds the same {len(other.cases):,} images again: it is left out; remove it."
    files = [name for stray in find_strays(tree, other.folder, folder, (), frozenset()) for name in stray.files]
    return Problem("doubled_folder", tuple(files), text)
