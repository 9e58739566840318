"""Masks whose names have a mask's word where their images have another: `P1_flair_75` and `P1_seg_75`, `flair0005` and
`mask0005` (ImageJ's sequences), `img` and `label` (LabelMe's), `images/image_3` and `masks/label_3`; or a mask's word
before their number, where their images have none: `P10005` and `P1_mask0005` (of ImageJ's stacks `P1` and `P1_mask`),
`P1 (5)` and `P1_mask (5)` (of files that Windows renamed together); or `images/3` and `masks/3_m`; or the whole name of
their image, with its ending: `3.jpg` and `masks/3.jpg.png`, `3.jpg_mask.png`.

Only where no mask is an image's by its name otherwise, and every mask or every image finds its own: of images that are
counted from another number than their masks none does.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ml.datasets.file_names import IMAGE_SUFFIXES, name_key
from ml.datasets.layouts.pairing import FilesByKind
from ml.datasets.mask_names import cut_mask_word, glue_mask_word, is_of_matlab, name_without_mask

OTHER_SEQUENCE = (
    "Slices of another sequence than FLAIR, which the models read: of slices that differ in a sequence's name alone"
    " FLAIR's is taken."
)
_FLAIR = re.compile(r"(?:t2)?flair([0-9]*)|t2f()")
_OTHER_SEQUENCES = re.compile(r"t1(?:w|n|c|ce|gd|post)?|t2w?|pd|adc|dwi|swi")
_IMAGE = re.compile(r"(?:images?|imgs?|pictures?|slices?|scans?|mris?|mr|orig|originals?|raw|inputs?)([0-9]*)")
_ENDING_WITHIN = re.compile(
    rf"(?:{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES, reverse=True)))})(?=[-_. ]|$)", re.IGNORECASE
)

# A name without its word, in parts.
Key = tuple[str, ...]


def join_swapped(files: FilesByKind, *, is_folder_of_masks: bool = False) -> tuple[FilesByKind, tuple[Path, ...]]:
    """The files with such masks under the names of their images, and the images of other sequences beside FLAIR's.

    is_folder_of_masks: masks lie in a folder of their own, where the names of one of the two need no word.
    """
    masks = [path for stem, paths in files.masks.items() if stem not in files.images for path in paths]
    masks += files.unread
    if any(stem in files.masks for stem in files.images) or any(is_of_matlab(path.stem) for path in masks):
        return files, ()
    images: dict[Key, set[str]] = defaultdict(set)
    flair: dict[Key, set[str]] = defaultdict(set)
    plain: dict[Key, set[str]] = defaultdict(set)
    others: dict[str, set[Key]] = {}
    for stem in files.images:
        parts = _parts(stem)
        if keys := set(_keys(parts, _FLAIR)):
            for key in keys | {_without_t2(key) for key in keys}:
                flair[key].add(stem)
        elif keys := set(_keys(parts, _OTHER_SEQUENCES)):
            others[stem] = keys
        else:
            plain[parts].add(stem)
            for key in {*([parts] if is_folder_of_masks else []), *_keys(parts, _IMAGE)}:
                images[key].add(stem)
    found: dict[str, Path] = {}
    for path in masks:
        own = {_parts(name) for name in cut_mask_word(path.stem)}
        own |= {parts for parts in _of_own_folder(_parts(path.stem)) if is_folder_of_masks}
        stems = {stem for key in own for stem in flair.get(key, ())}
        stems = stems or {stem for key in own for stem in images.get(key, ())}
        glued = {_parts(name) for name in glue_mask_word(path.stem)}
        stems = stems or {stem for key in glued for stem in plain.get(key, ())}
        stems = stems or set(plain.get(_parts(_named_in(path.stem)), ()))
        if len(stems) > 1 or found.keys() & stems:
            return files, ()
        found |= dict.fromkeys(stems, path)
    of_flair = {stem for stems in flair.values() for stem in stems}
    candidates = of_flair if of_flair & found.keys() else {stem for stems in images.values() for stem in stems}
    candidates = candidates or {stem for stems in plain.values() for stem in stems}
    if not found or not (len(found) == len(masks) or candidates <= found.keys()):
        return files, ()
    beside = {stem for stem, keys in others.items() if of_flair & found.keys() and any(key in flair for key in keys)}
    used = set(found.values())
    joined = replace(
        files,
        images={stem: paths for stem, paths in files.images.items() if stem not in beside},
        masks={stem: [path] for stem, path in found.items()} | _without(files, used),
        unread=tuple(path for path in files.unread if path not in used),
    )
    return joined, tuple(path for stem in sorted(beside) for path in files.images[stem])


def _without(files: FilesByKind, used: set[Path]) -> dict[str, Sequence[Path]]:
    """The masks that are still no image's."""
    left = {stem: [path for path in paths if path not in used] for stem, paths in files.masks.items()}
    return {stem: paths for stem, paths in left.items() if paths}


def _parts(stem: str) -> Key:
    return tuple(re.findall(r"[^ ._-]+", name_key(stem)))


def _named_in(stem: str) -> str:
    """The image that a mask names with its ending (`7.jpg` as `masks/7.jpg.png` and `7.jpg_mask.png`); else empty."""
    bare = _ENDING_WITHIN.sub("", stem)
    return name_without_mask(f"{bare}.png") if bare != stem else ""


def _of_own_folder(parts: Key) -> Iterator[Key]:
    """The name of a mask in a folder of masks, as it is and without an `m` that says the same (`masks/7_m`)."""
    yield parts
    if parts[-1:] == ("m",):
        yield parts[:-1]


def _keys(parts: Key, word: re.Pattern[str]) -> Iterator[Key]:
    """The name without each part that is such a word; what is numbered keeps its number (`0005` of `flair0005`)."""
    for place, part in enumerate(parts):
        if found := word.fullmatch(part):
            number = "".join(group or "" for group in found.groups())
            yield (*parts[:place], *([number] if number else []), *parts[place + 1 :])


def _without_t2(key: Key) -> Key:
    """Of `P1_T2_FLAIR_75`, whose word is both."""
    return tuple(part for part in key if part != "t2")
