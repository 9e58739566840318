"""Which files of an upload are experts' masks, and of which slice: by their names, as data sets are read.

`static/js/scans/mask_pairs.js` sends a mask together with its slice by the same rule; a test holds the two equal.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml.datasets.file_names import (
    ANNOTATION_SUFFIXES,
    MASK_VOLUME_SUFFIXES,
    VOLUME_SUFFIXES,
    is_like_annotations,
    may_be_annotations,
    name_key,
    slashed,
    suffix_of,
)
from ml.datasets.layouts.left_out import OF_ANATOMY
from ml.datasets.layouts.pairing import shift_of
from ml.datasets.layouts.results import OF_MODEL, OF_PREDICT, find_predicted
from ml.datasets.layouts.unknown import IMAGE_FOLDERS
from ml.datasets.layouts.volume_masks import ends_in_anatomy
from ml.datasets.mask_names import (
    MASK_ENDING,
    MASK_FOLDERS,
    doubtful_word,
    flair_mask_ending,
    is_read_as_mask,
    looks_like_mask,
    mask_ending,
    mask_sign,
    name_of_masked,
    result_word,
    without_tumor_word,
)

# BraTS names a patient's sequences, and the expert's mask lies on all of them: it belongs to the one that is read.
_FLAIR_ENDINGS = ("-t2f", "_t2f", "_flair", "-flair")

# Folders of a result's zip beside that of its scan: pictures that a model would give a verdict on.
_OF_RESULT = re.compile(r"((?:.*/)?)(?:overlay|heatmap|panels|probability|errors)/slice_\d{4,}\.png")
_MASK_OF_RESULT = re.compile(r"((?:.*/)?)mask(?:/slice_\d{4,}\.png|\.tif)")
OWN_RESULT = (
    "This is a picture of a result that was downloaded, and no scan: send the pictures of its folder scan alone, or the"
    " scan's own file."
)

# The folders of a file, and its name without ending, each in one spelling.
_Key = tuple[tuple[str, ...], str]


@dataclass(frozen=True)
class MaskPairs:
    """Places of the files in the upload. scans: what is no mask; masks: by the place of its slice; refused: the masks
    that belong to none of the scans, and a model's answers beside their images, and why."""

    scans: tuple[int, ...]
    masks: Mapping[int, int]
    refused: Mapping[int, str]


def pair_masks(paths: Sequence[str]) -> MaskPairs:
    """Tell masks from scans, and pair them. paths: as the client names them, with folders where it sends them.

    `NAME_mask` is the mask of `NAME` beside it, and `masks/NAME` (also `masks/NAME_seg`) of `images/NAME` or of `NAME`
    in the folder above; of volumes, whose programs (BraTS, ITK-SNAP, 3D Slicer) each have a way of their own, also
    `NAME-seg`, `NAME_label`, ..., beside `NAME` or else its FLAIR (`NAME-t2f`, `NAME_flair`); but no mask of a brain
    or an organ by its name.
    """
    signs = {place: sign for place, path in enumerate(paths) if (sign := mask_sign(path))}
    names = {_key(path) for place, path in enumerate(paths) if place not in signs}
    signs |= {
        place: word
        for place, path in enumerate(paths)
        if place not in signs and (word := _word_beside(path, doubtful_word, names))
    }
    refused = {
        place: OF_MODEL
        for place, path in enumerate(paths)
        if place not in signs and _word_beside(path, result_word, names)
    }
    of_result = _places_of_results(paths)
    of_predict = find_predicted([slashed(path) for path in paths])
    refused |= dict.fromkeys(of_result, OWN_RESULT) | dict.fromkeys(of_predict, OF_PREDICT)
    signs = {place: sign for place, sign in signs.items() if place not in of_result | of_predict}
    scans = tuple(place for place in range(len(paths)) if place not in signs and place not in refused)
    by_key: dict[_Key, list[int]] = defaultdict(list)
    for place in scans:
        by_key[_key(paths[place])].append(place)
    found: dict[int, list[int]] = defaultdict(list)
    for place, sign in signs.items():
        keys = list(_keys_of_slice(paths[place]))
        slices = {scan for key in keys for scan in by_key.get(key, ())}
        if not slices:
            slices = {scan for key in _keys_of_flair(paths[place]) for scan in by_key.get(key, ())}
        if _is_of_anatomy(paths[place]):
            refused[place] = OF_ANATOMY
        elif len(slices) == 1:
            found[slices.pop()].append(place)
        elif slices:
            refused[place] = f"Several files have the name of this mask's slice ({sign}); keep one of them."
        elif keys:
            refused[place] = (
                f"This is an expert's mask by its name ({sign}), and its slice is not among the files: send both"
                " together, or add the mask on the page of its scan."
            )
        else:
            refused[place] = (
                f"By its name ({sign}) this is an expert's mask and no scan: call it NAME{MASK_ENDING} beside its slice"
                " NAME to compare the two, or give it another name if it is a scan."
            )
    refused |= _find_shifted(paths, scans, signs, found)
    for masks in found.values():
        if len(masks) > 1:
            refused |= dict.fromkeys(masks, "Several masks belong to one slice; keep one of them.")
    pairs = {scan: masks[0] for scan, masks in found.items() if len(masks) == 1 and masks[0] not in refused}
    return MaskPairs(scans, pairs, refused)


def _find_shifted(
    paths: Sequence[str], scans: Sequence[int], masks: Iterable[int], found: Mapping[int, Sequence[int]]
) -> dict[int, str]:
    """Masks of pictures that are counted from another number than their slices, folder by folder: each would be its
    neighbor's, as `python -m ml check` finds in a data set."""
    folders_of = {mask: _key(paths[scan])[0] for scan, own in found.items() for mask in own}
    images: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for scan in filter(lambda place: _is_picture(paths[place]), scans):
        folders, stem = _key(paths[scan])
        images[folders].append(stem)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for mask in filter(lambda place: _is_picture(paths[place]), masks):
        groups[_key(paths[mask])[0]].append(mask)
    shifted: dict[int, str] = {}
    for group in groups.values():
        beside = {folders_of[mask] for mask in group if mask in folders_of}
        if len(beside) == 1 and (text := shift_of(images[beside.pop()], [_base(paths[mask]) for mask in group])):
            shifted |= dict.fromkeys(group, text)
    return shifted


def _is_picture(path: str) -> bool:
    return suffix_of(path) not in (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)


def _base(path: str) -> str:
    """A mask's name without what says that it is one."""
    stem = _key(path)[1]
    return name_of_masked(stem) if is_read_as_mask(stem) else stem.removesuffix(mask_ending(stem))


def _places_of_results(paths: Sequence[str]) -> set[int]:
    """The pictures of a result's zip, and its masks, which are the model's: all but the scan's and the expert's."""
    names = [slashed(path) for path in paths]
    pictures = {place: found[1] for place, name in enumerate(names) if (found := _OF_RESULT.fullmatch(name))}
    folders = set(pictures.values())
    masks = {place: found[1] for place, name in enumerate(names) if (found := _MASK_OF_RESULT.fullmatch(name))}
    return set(pictures) | {place for place, folder in masks.items() if folder in folders}


def is_outlines(path: str) -> bool:
    """Whether a file is text in which other programs keep outlines or boxes: no scan, and no mask."""
    name = slashed(path).rpartition("/")[2]
    in_masks = suffix_of(name) in ANNOTATION_SUFFIXES and looks_like_mask(f"{path.removesuffix(suffix_of(name))}.png")
    return in_masks or is_like_annotations(name) or may_be_annotations(name)


def match_slices(slice_names: Sequence[str], mask_names: Sequence[str]) -> list[int] | None:
    """The slice of each mask by the names of their files (`NAME_mask` or `NAME`); None where that is not clear."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(slice_names):
        places[_key(name)[1]].append(place)
    found: list[int] = []
    for name in mask_names:
        stem = _key(name)[1]
        slices = places.get(stem) or places.get(stem.removesuffix(MASK_ENDING), [])
        if len(slices) != 1 or slices[0] in found:
            return None
        found += slices
    return found


def _keys_of_slice(path: str) -> Iterator[_Key]:
    """What the slice of a mask may be called; nothing where the name is none of those that are read."""
    folders, stem = _key(path)
    stems = [name_of_masked(stem)] if is_read_as_mask(stem) else _volume_stems(path, stem)
    yield from ((folders, name) for name in stems)
    for place, folder in enumerate(folders):
        if folder in MASK_FOLDERS:
            before, after = folders[:place], folders[place + 1 :]
            in_folder = (stem, *stems, stem.removesuffix(mask_ending(stem)))
            for middle in ((), *((name,) for name in IMAGE_FOLDERS)):
                yield from (((*before, *middle, *after), name) for name in in_folder)


def _keys_of_flair(path: str) -> Iterator[_Key]:
    folders, stem = _key(path)
    for name in _volume_stems(path, stem):
        yield from ((folders, name + ending) for ending in _FLAIR_ENDINGS)


def _volume_stems(path: str, stem: str) -> list[str]:
    """The names of a volume's mask without what says that it is one, or the tumor's; nothing of other files."""
    is_volume = suffix_of(path) in (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
    word = (mask_ending(stem) or flair_mask_ending(stem)) if is_volume else ""
    base = stem.removesuffix(word)
    return [base, without_tumor_word(base)] if word else []


def _is_of_anatomy(path: str) -> bool:
    """Whether a volume's mask says behind the volume's name that it is one of the brain or the like, as programs that
    strip the skull call theirs (`P1_flair_brain_mask` beside `P1_flair_brain`)."""
    stem = _key(path)[1]
    is_volume = suffix_of(path) in (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
    return is_volume and ends_in_anatomy(stem.removesuffix(mask_ending(stem)))


def _word_beside(path: str, word_of: Callable[[str], str], names: Collection[_Key]) -> str:
    """What ends a name as a mask's may (`_roi`), or a model's answer's, where the slice of the rest of the name is
    there; else empty."""
    folders, stem = _key(path)
    word = "" if suffix_of(path) in ANNOTATION_SUFFIXES else word_of(stem)
    return word if word and (folders, stem[: -len(word)]) in names else ""


def _key(path: str) -> _Key:
    *folders, name = slashed(path).strip("/").split("/")
    stem = name.rpartition(".")[0] or name
    if suffix_of(name) == ".nii.gz":
        stem = stem[: -len(".nii")] or stem
    return tuple(map(name_key, folders)), name_key(stem)
