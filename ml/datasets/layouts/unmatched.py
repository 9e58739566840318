"""What is said of masks that belong to no image, or cannot be read, and what to call them."""

import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import DATASET_JSON, IMAGE_SUFFIXES, OTHER_SUFFIXES, name_key, shown, suffix_of
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.left_out import MAY_BE_MASK, OF_PICTURE, STRAY_MASK, relative
from ml.datasets.layouts.sequences import split_brats_name
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import longest_beginning, say_cityscapes, say_several, unknown
from ml.datasets.layouts.volume_masks import is_of_anatomy, is_of_part, is_volume_mask
from ml.datasets.layouts.volumes import flair_number
from ml.datasets.mask_names import is_of_brush, is_of_matlab, is_read_as_mask, mask_sign
from ml.datasets.volume_slices import file_of
from ml.scans.unread_formats import is_drawn

# Masks that no image has.
UNMATCHED = frozenset({"mask_without_image", "mask_name"})
_NAMES_SHOWN = 4
_EQUAL_NAMES = "Image and mask have one name (`images/07.png` and `masks/07.png`, no `7.png`): rename them."
_BESIDE = "A mask beside its image has its name and `_mask` (`07.png` and `07_mask.png`): rename them."
_OF_VOLUMES = (
    "A mask has its volume's name and `-seg` (`P1/P1-t2f.nii.gz` and `P1/P1-seg.nii.gz`), also in another folder"
    " (`masks/P1_seg.nii.gz`), where one volume alone has that name, and one of brain or skull is none: rename them."
)
_OF_SERIES = "A DICOM SEG or RTSTRUCT belongs to the series whose UID it refers to: add that series."
_OF_PARTS = (
    "Several masks are one image's: join them into one mask, of the image's name (`masks/07.png`), if they are parts of"
    " the tumor, or keep one person's."
)
_OF_MATLAB = (
    "MATLAB's Image Labeler counts its labels (`Label_1`) in the order of gTruth.DataSource, whatever numbers its"
    " images have: save each as the mask of that image (`masks/07.png` of `images/07.png`)."
)
_OF_BRUSH = (
    "Label Studio calls the masks of a brush by task and annotator (`task-7-annotation-12-by-1-tag-Tumor-0`), not by"
    " image: its JSON export says the image of each task; save one annotator's as the mask of that image"
    " (`masks/07.png` of `images/07.png`)."
)
_OF_LONGER = (
    "The name of a mask is its image's with `{more}` behind it, which is not read: take that off (`masks/{name}.png`)."
)
_OF_PAGES = (
    "One file has the masks of several images: if it is a TIFF of several pages, save each page as the mask of its"
    " image (`07_mask.png` beside `07.png`)."
)
_OF_PICTURES_NNUNET = (
    "Of nnU-Net's layout volumes alone are read: call the folders `images` and `masks`, and images as their masks,"
    " without `_0000`."
)
_OF_CHANNELS_NNUNET = (
    "Of nnU-Net's layout volumes alone are read, and of pictures one for each slice: call the folder of masks `masks`,"
    f" and lay FLAIR's pictures alone, whose number {DATASET_JSON} says{{number}}, into a folder `images` beside it,"
    " each called as its mask, without the number (`images/{name}.png`)."
)
# The number of a channel in a picture's name by nnU-Net.
_CHANNEL = re.compile(r"(.+)_(\d{4})", re.DOTALL)


def say_unmatched(layout: Layout, folder: Path) -> str:
    """Of images and masks of which no two belong together: how many there are, and the first of each."""
    problems = [problem for problem in layout.problems if problem.code in UNMATCHED]
    masks = [relative(layout.folder / name, folder) for problem in problems for name in problem.files]
    if layout.volumes and layout.name != "DICOM":
        return _no_volume_has(layout, folder, masks)
    images = [relative(case.image, folder) for case in layout.cases]
    found = f"{_count(images, 'image')} and {_count(masks, 'mask')}, and no mask is an image's"
    by_name = next((problem.message for problem in problems if problem.code == "mask_name"), "")
    paths = [folder / name for name in masks]
    several = say_several(folder, paths, [case.image for case in layout.cases])
    remedy = several or _remedy(layout, paths) or by_name or _EQUAL_NAMES
    return f"It has {found}. {remedy} `python -m ml predict` needs no masks."


def _remedy(layout: Layout, masks: Sequence[Path]) -> str:
    """What to do with masks of which none is an image's, as far as their names tell."""
    if layout.name == "DICOM":
        lonely = (problem for problem in layout.problems if problem.code == "mask_without_image")
        return next((problem.message for problem in lonely), "") if layout.cases else _OF_SERIES
    if cityscapes := say_cityscapes(masks):
        return cityscapes
    if masks and all(is_of_matlab(path.stem) for path in masks):
        return _OF_MATLAB
    if masks and all(is_of_brush(path.stem) for path in masks):
        return _OF_BRUSH
    if any(name_key(path.parent.name) in ("labelstr", "labelsts") for path in masks):
        return _say_pictures_of_nnunet(layout, masks)
    stems = {name_key(case.image.stem) for case in layout.cases}
    begun = [(path, longest_beginning(name_key(path.stem), stems)) for path in masks]
    owned = Counter((path.parent, base) for path, base in begun if base)
    if (owned and max(owned.values()) > 1) or _has_several(layout, masks):
        return _OF_PARTS
    folders = {case.image.parent for case in layout.cases}
    if masks and _has_masks_of_several(layout, masks):
        return _OF_PAGES
    is_beside = all(is_read_as_mask(path.stem) and path.parent in folders for path in masks)
    if masks and is_beside:
        return _BESIDE
    path, base = next(iter(begun), (Path(), ""))
    if base and all(base for _, base in begun) and not folders & {path.parent for path in masks}:
        stem = normalize("NFC", path.stem)
        return _OF_LONGER.format(more=shown(stem[len(base) :]), name=shown(stem[: len(base)]))
    return ""


def _say_pictures_of_nnunet(layout: Layout, masks: Sequence[Path]) -> str:
    """Of pictures in nnU-Net's folders what to call them: of several channels FLAIR's alone, never the first."""
    found = [one for case in layout.cases if (one := _CHANNEL.fullmatch(case.image.stem))]
    if len({one[2] for one in found}) < 2:
        return _OF_PICTURES_NNUNET
    number = flair_number(masks[0].parent.parent)
    said = "" if number is None else f" (`_{number:04d}`)"
    return _OF_CHANNELS_NNUNET.format(number=said, name=shown(found[0][1]))


def _has_several(layout: Layout, masks: Sequence[Path]) -> bool:
    """Whether several masks lie beside a folder of one image, each object in a file of its own."""
    images = Counter(case.image.parent.parent for case in layout.cases)
    found = Counter(path.parent.parent for path in masks)
    return any(images[place] == 1 and count > 1 for place, count in found.items())


def _has_masks_of_several(layout: Layout, masks: Sequence[Path]) -> bool:
    """Whether each folder with masks has one alone, a TIFF, and several images in it or in the folder beside it."""
    images = Counter(case.image.parent for case in layout.cases)
    beside = Counter(case.image.parent.parent for case in layout.cases)
    found = Counter(path.parent for path in masks)
    are_tiff = all(path.suffix.lower() in (".tif", ".tiff") for path in masks)
    return are_tiff and all(
        count == 1 and (images[place] or beside[place.parent]) > 1 for place, count in found.items()
    )


def say_unread_masks(layout: Layout, folder: Path, strays: Sequence[Problem]) -> str:
    """Of images without a mask, beside files that are masks by their names and of a kind or in a place that is not read
    (Carvana's `train_masks/1_mask.gif`, `masks/1.npy`; `masks_rater1`; a volume's of another name): they are never
    images that have no truth. Empty where there are none, and for masks of a volume's brain."""
    left_out = [(one, name) for one in strays if one.code == "left_out" for name in one.files]
    if not layout.volumes and any(
        one.message == STRAY_MASK or (suffix_of(name) in IMAGE_SUFFIXES and mask_sign(name)) for one, name in left_out
    ):
        return f"{unknown(Tree(), folder).finding} `python -m ml predict` needs no masks."
    of_masks = [
        (one, name)
        for one in strays
        for name in one.files
        if suffix_of(name) in OTHER_SUFFIXES
        and (
            one.message in (OF_PICTURE, MAY_BE_MASK)
            or mask_sign(name)
            or is_drawn(suffix_of(name))
            or (layout.volumes and is_volume_mask(folder / name, folder))
        )
        and not (layout.volumes and is_of_anatomy(folder / name, folder))
    ]
    if not of_masks:
        return ""
    of_masks.sort(key=lambda found: found[0].code == "left_out")  # what is not there, first
    (first, name), *others = of_masks
    if layout.volumes and all(
        one.code == "left_out" and (one.message == MAY_BE_MASK or is_volume_mask(folder / name, folder))
        for one, name in of_masks
    ):
        return _no_volume_has(layout, folder, [name for _, name in of_masks])
    images = [relative(case.image, layout.folder) for case in layout.cases]
    what = f"{len(of_masks):,} files that are masks by their names" if others else "1 file that is a mask by its name"
    return (
        f"It has {_count(images, 'slice' if layout.volumes else 'image')}, and {what} and cannot be read;"
        f" {shown(name)}: {first.message} `python -m ml predict` needs no masks."
    )


def _no_volume_has(layout: Layout, folder: Path, masks: list[str]) -> str:
    """Of volumes and masks of which no two belong together, and what to call them."""
    volumes = sorted({relative(file_of(case.image), folder) for case in layout.cases})
    found = f"{_count(volumes, 'volume')} and {_count(masks, 'mask')}, and no mask is a volume's"
    remedy = _say_several_of_volume(volumes, masks) or _OF_VOLUMES
    return f"It has {found}. {remedy} `python -m ml predict` needs no masks."


def _say_several_of_volume(volumes: Sequence[str], masks: Sequence[str]) -> str:
    """Of a volume that several masks lie beside or below, or one of a part of the tumor, and what to make of them; else
    empty. Paths with `/`; of several volumes in its folder, or all where none is, a mask is that one's by whose patient
    its name begins.
    """
    by_place: dict[str, list[str]] = {}
    for name in volumes:
        by_place.setdefault(posixpath.dirname(name), []).append(name)
    owned: dict[str, list[str]] = {}
    for mask in sorted(masks):
        place = posixpath.dirname(mask)
        while place and place not in by_place:
            place = posixpath.dirname(place)
        own = by_place.get(place, volumes)
        if len(own) > 1:
            base = longest_beginning(name_key(posixpath.basename(mask)), set(map(_base_of, own)))
            own = [name for name in own if base and _base_of(name) == base]
        if len(own) == 1:
            owned.setdefault(own[0], []).append(mask)
    volume, several = max(owned.items(), key=lambda item: len(item[1]) > 1, default=("", []))
    if len(several) < 2 and not any(map(is_of_part, map(Path, several))):
        return ""
    more = len(several) - _NAMES_SHOWN
    names = shown(", ".join(several[:_NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")
    stem = shown(posixpath.basename(volume)[: -len(suffix_of(volume))])
    files = "1 file that may be its mask" if len(several) == 1 else f"{len(several)} files that may be its mask"
    return (
        f"{shown(volume)} has {files} ({names}): join those of parts of the tumor into one mask, or take one person's"
        f" or program's, and call that, on the volume's voxels, `{stem}_seg.nii.gz` beside it."
    )


def _base_of(volume: str) -> str:
    """What of a volume's name is its patient's, as `name_key` spells it."""
    stem = posixpath.basename(volume)[: -len(suffix_of(volume))]
    named = split_brats_name(stem)
    return name_key(stem if named is None else named[0])


def _count(names: list[str], what: str) -> str:
    first = f" (the first: {shown(sorted(names)[0])})" if names else ""
    return f"{len(names):,} {what}{'' if len(names) == 1 else 's'}{first}"
