"""Which mask belongs to which image, by their names."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import IMAGE_SUFFIXES, name_key, shown
from ml.datasets.layouts.glances import masks_of_two
from ml.datasets.layouts.results import OF_MODEL
from ml.datasets.layouts.tree import Tree
from ml.datasets.mask_names import (
    MASK_ENDING,
    doubtful_word,
    is_overlay,
    is_read_as_mask,
    mask_sign,
    mask_word,
    name_of_masked,
    name_without_mask,
    result_word,
)

# A barcode of The Cancer Genome Atlas (project, site, participant), and the date of the study behind it; Label Studio
# puts eight digits before the name of an upload.
_PATIENT = re.compile(r"(?:[0-9a-f]{8}-)?(TCGA[_-][A-Z0-9]{2}[_-][A-Z0-9]{4}(?:[_-]\d{8})?)(?=[_-]|$)", re.ASCII)

# What programs put behind the names of copies that they made of a picture to train on.
_AUGMENTED = re.compile(
    r"(?:[ ._-](?:aug(?:mented|mentation)?|(?:[hv]|lr|ud|horizontal|vertical)?[ ._-]?flip(?:ped)?|rot(?:ated?|ation)?"
    r"|mirror(?:ed)?|elastic|noisy?|blur(?:red)?)[ ._-]?\d*)+$",
    re.IGNORECASE,
)

# A number at the end of a name; of so many images and masks a shift is no chance.
_NUMBERED = re.compile(r"(.*?)(\d{1,9})", re.DOTALL | re.ASCII)
_FEWEST_SHIFTED, _SHIFTS = 3, ({1}, {-1})

_OVERLAY = "A picture of a mask on its image, by its name: neither of the two."

# Files of one name: by stem.
Named = Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class FilesByKind:
    """The files of a folder, or of two. masks: under the stems of their images. unread: masks by their names that are
    no `NAME_mask`: neither a slice nor a truth."""

    images: Named
    masks: Named
    unread: tuple[Path, ...]


def patient_of(stem: str, prefix: str = "") -> str:
    """The patient named at the start of a file name (TCGA_DU_6404_19850629_32), else the whole name with `prefix`: that
    of the picture which it is a copy of."""
    return barcode_of(stem) or prefix + original_of(stem)


def original_of(stem: str) -> str:
    """The name of the picture that one was made of to train on (`7` of `7_hflip`, `7_aug_2`); else the name itself.

    One without a number (`brain_aug_1`) may have been made of many.
    """
    base = _AUGMENTED.sub("", stem)
    return base if any(map(str.isdecimal, base)) else stem


def barcode_of(stem: str) -> str:
    """The barcode that a file name starts with; empty where there is none."""
    match = _PATIENT.match(stem)
    return match[1] if match else ""


def images_and_masks(files: Iterable[Path]) -> FilesByKind:
    """Images, and masks `NAME_mask` under NAME, of one folder.

    Where an image has such a mask, `NAME_seg` or `NAME_mask_2` is a second one of it.
    """
    by_stem = _by_stem(files)
    masks: dict[str, list[Path]] = defaultdict(list)
    for stem, paths in by_stem.items():
        if is_read_as_mask(stem):
            masks[name_of_masked(stem)].extend(paths)
    owners = {name_key(stem): stem for stem in masks}
    keys = {name_key(stem) for stem in by_stem}
    images: dict[str, list[Path]] = {}
    unread: list[Path] = []
    for stem, paths in by_stem.items():
        if is_read_as_mask(stem):
            continue
        sign = mask_sign(f"{paths[0].parent.name}/{paths[0].name}")
        base = name_key(name_without_mask(paths[0].name))
        if name_key(stem) not in owners and not sign and _is_beside_image(stem, keys):
            unread.extend(paths)
        elif not sign or name_key(stem) in owners:
            images[stem] = paths
        elif base in owners:
            masks[owners[base]].extend(paths)
        else:
            unread.extend(paths)
    return FilesByKind(images, _named_as(images, masks), tuple(unread))


def _is_beside_image(stem: str, keys: Collection[str]) -> bool:
    """Whether a name is that of another file with an ending that masks have (`scan_roi` beside `scan`)."""
    word = doubtful_word(stem) or result_word(stem)
    return bool(word) and name_key(stem[: -len(word)]) in keys


def twins_in(files: FilesByKind) -> Iterator[tuple[Path, Path]]:
    """Two images of one name and two endings, without a mask by their names: `1.jpg` may have the mask `1.png`."""
    for stem, paths in files.images.items():
        if len(paths) == 2 and stem not in files.masks and paths[0].suffix.lower() != paths[1].suffix.lower():
            yield paths[0], paths[1]


def told_by_pixels(tree: Tree, found: Sequence[FilesByKind]) -> tuple[list[FilesByKind], list[Problem]]:
    """The files of folders, those of two endings as image and mask where pixels tell them; and a note that they did."""
    twins: dict[tuple[str, str], list[tuple[Path, Path]]] = defaultdict(list)
    for two in (two for files in found for two in twins_in(files)):
        twins[_endings(two)].append(two)
    for endings, pairs in twins.items():
        if endings not in tree.mask_endings:
            firsts, seconds = zip(*pairs, strict=True)
            tree.mask_endings[endings] = masks_of_two(tree, firsts, seconds)
    told = [pairs[0] for endings, pairs in twins.items() if tree.mask_endings[endings] is not None]
    notes = [Problem("masks_by_pixels", (), _told_text(two, tree.mask_endings[_endings(two)])) for two in told]
    return [_without_twins(tree, files) for files in found], notes


def _without_twins(tree: Tree, files: FilesByKind) -> FilesByKind:
    images, masks = dict(files.images), dict(files.masks)
    for two in twins_in(files):
        place = tree.mask_endings[_endings(two)]
        if place is not None:
            stem = two[0].stem
            images[stem], masks[stem] = [two[1 - place]], [two[place]]
    return replace(files, images=images, masks=masks)


def _endings(two: tuple[Path, Path]) -> tuple[str, str]:
    return two[0].suffix.lower(), two[1].suffix.lower()


def _told_text(two: tuple[Path, Path], place: int | None) -> str:
    image, mask = (shown(path.name) for path in (two if place else two[::-1]))
    return (
        f"Masks have the names of their images here and are told by their pixels, a few values alone: of `{image}` and"
        f" `{mask}` the first is taken for the image, the second for its mask."
    )


def images_beside_masks(image_files: Iterable[Path], mask_files: Iterable[Path]) -> FilesByKind:
    """Images of one folder, and masks of equal name in others (`NAME_mask` or `NAME_seg` is taken for NAME).

    `NAME_mask` among the images is a second mask of NAME where it has one.
    """
    by_stem = _by_stem(image_files)
    keys = {name_key(stem) for stem in by_stem}
    masks: dict[str, list[Path]] = defaultdict(list)
    for stem, paths in _by_stem(mask_files).items():
        base = name_without_mask(paths[0].name)
        is_other_name = name_key(stem) not in keys and (is_read_as_mask(stem) or name_key(base) in keys)
        masks[base if is_other_name else stem].extend(paths)
    named = {name_key(stem): stem for stem in masks}
    images = {stem: paths for stem, paths in by_stem.items() if not mask_word(paths[0].name) or name_key(stem) in named}
    unread: list[Path] = []
    for stem in by_stem.keys() - images.keys():
        paths = by_stem[stem]
        base = name_key(name_without_mask(paths[0].name))
        (masks[named[base]] if base in named else unread).extend(paths)
    return FilesByKind(images, _named_as(images, masks), tuple(sorted(unread)))


def _named_as(images: Named, masks: Named) -> Named:
    """The masks under the names of their images, where the two are written differently (`Scan.png`, `scan_mask.png`).

    A name that several images or several masks have in some case stays as it is.
    """
    lonely_images, lonely_masks = defaultdict(list), defaultdict(list)
    for stem in images:
        if stem not in masks:
            lonely_images[name_key(stem)].append(stem)
    for stem in masks:
        if stem not in images:
            lonely_masks[name_key(stem)].append(stem)
    names = {
        stems[0]: lonely_images[key][0]
        for key, stems in lonely_masks.items()
        if len(stems) == 1 and len(lonely_images.get(key, ())) == 1
    }
    return {names.get(stem, stem): paths for stem, paths in masks.items()}


def pair(files: FilesByKind, patient: Callable[[str], str], folder: Path) -> tuple[list[Case], list[Problem]]:
    """A case for each image, in the order of the paths, and what does not match, by paths below `folder`.

    Where a name has several images or several masks, nobody can say which is meant: these cases have the fault.
    """
    cases: list[Case] = []
    problems: list[Problem] = []

    def report(code: str, paths: Sequence[Path], text: str) -> Problem:
        problem = Problem(code, tuple(path.relative_to(folder).as_posix() for path in paths), text)
        problems.append(problem)
        return problem

    shift = shift_of(files.images, files.masks)
    for stem, paths in files.images.items():
        found = files.masks.get(stem, ())
        fault = report("shifted_masks", [paths[0], *found], shift) if shift and found else None
        if len(paths) > 1:
            doubt = ", and nobody can say whose the mask is" if found else ""
            fault = report("doubled_image", paths, f"{_names(paths)} have one name{doubt}: keep one.")
        if not found:
            report("missing_mask", paths[:1], "The image has no mask: add one (all black if no tumor) or remove it.")
        if len(found) > 1:
            one = f"{_names(found)} are masks of one image, {paths[0].name}"
            fault = report("doubled_mask", found, f"{one}: keep one, or join them if each is a part.")
        cases.extend(
            Case(patient(stem), path, found[0], fault=fault) if found else Case(patient(stem), path, None)
            for path in paths
        )
    for stem, paths in files.masks.items():
        if stem not in files.images:
            report("mask_without_image", paths, "The mask belongs to no image: add the image or remove the mask.")
    for path in files.unread:
        if text := _OVERLAY if is_overlay(path.stem) else OF_MODEL if result_word(path.stem) else "":
            report("left_out", [path], text)
        else:
            report("mask_name", [path], unread_text(path))
    return sorted(cases, key=lambda case: case.image), problems


def shift_of(images: Iterable[str], masks: Iterable[str]) -> str:
    """What to say where masks are numbered as their images are, from another number on (`0000` to `0007`, `0001` to
    `0008`): each would be its neighbor's. Empty where they are not.

    images, masks: names without endings, those of masks without what says that they are.
    """
    numbers: list[list[int]] = []
    for stems in (list(images), list(masks)):
        found = [_NUMBERED.fullmatch(stem) for stem in stems]
        if len(found) < _FEWEST_SHIFTED or not all(found) or len({one[1] for one in found if one}) > 1:
            return ""
        numbers.append(sorted(int(one[2]) for one in found if one))
    first, second = numbers
    if len(first) != len(second) or {mask - image for image, mask in zip(first, second, strict=True)} not in _SHIFTS:
        return ""
    return (
        f"Images are numbered from {first[0]} to {first[-1]} and their masks from {second[0]} to {second[-1]}: they"
        " seem to be counted from different numbers, and each mask would be its neighbor's; rename one or the other."
    )


def unread_text(path: Path) -> str:
    """Of a file that is a mask by its name and is not read."""
    sign = mask_sign(f"{path.parent.name}/{path.name}") or doubtful_word(path.stem)
    if is_read_as_mask(path.stem):
        return f"A mask by its name (`{sign}`) where images have a folder of masks: move it there or remove it."
    by = "its folder" if sign.endswith("/") else "its name"
    return (
        f"A mask by {by} (`{sign}`), which is not read: name it as its image with `{MASK_ENDING}`, beside it, or put it"
        " into `masks` beside `images`, called as it."
    )


def _names(paths: Sequence[Path]) -> str:
    """The first four files, with their folders where some have one name."""
    is_clear = len({path.name for path in paths}) == len(paths)
    names = [path.name if is_clear else f"{path.parent.name}/{path.name}" for path in paths[:4]]
    more = f" and {len(paths) - 4} more" if len(paths) > 4 else ""
    return f"{', '.join(names[:-1])}{', ' if more else ' and '}{names[-1]}{more}"


def _by_stem(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Images by name, in the order of the suffixes where several share one."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        found[path.stem].append(path)
    for paths in found.values():
        paths.sort(key=lambda path: IMAGE_SUFFIXES.index(path.suffix.lower()))
    return dict(found)
