"""A folder in no known layout: what was found in it, and the layout that is nearest, in one sentence."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from ml.datasets.case import DatasetError
from ml.datasets.file_names import (
    ANNOTATIONS_FILE,
    ARCHIVE_SUFFIXES,
    DATASET_JSON,
    DICOM_SUFFIXES,
    IMAGE_SUFFIXES,
    MASK_VOLUME_SUFFIXES,
    OTHER_SUFFIXES,
    VOLUME_SUFFIXES,
    name_key,
    shown,
    suffix_of,
)
from ml.datasets.layouts.glances import masks_of_two
from ml.datasets.layouts.sequences import Sequence as Kind
from ml.datasets.layouts.sequences import says_flair, split_brats_name
from ml.datasets.layouts.tree import Tree, count_suffixes
from ml.datasets.mask_names import (
    CLASS_FOLDER,
    MASK_FOLDERS,
    cityscapes_base,
    count_own_folders,
    looks_like_mask,
    mask_sign,
)
from ml.datasets.remedies import remedies
from ml.scans.unread_formats import unread_kinds

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
_GROUPS_SHOWN = 5
# Of pictures that may be masks by an ending of their names.
_FEWEST_PAIRS = 2
# Folders of pictures of the same names: images, and the masks of so many readers.
_MOST_TWINS = 6
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx")
_OUTLINES = frozenset({".json", ".jsonl", ".ndjson", ".geojson", ".xml"})
_VOLUME_ENDINGS = (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
_WITHOUT_ENDING = ("file without an ending", "files without an ending")
# A DICOM file has these letters behind 128 bytes (PS3.10, 7.1), whatever its name.
_DICOM_PLACE, _DICOM_SIGN = 128, b"DICM"
_PATIENT_FOLDERS = "patient folders: PATIENT/NAME.tif beside PATIENT/NAME_mask.tif"
_PAIRS = "images and masks: `images/NAME.png` and `masks/NAME.png`"
_SAME_PLACES = "lay each mask at the place of its image (`images/train/1.png`, `masks/train/1.png`)"
_VOLUMES = (
    "BraTS: PATIENT/PATIENT-t2f.nii.gz with PATIENT-seg.nii.gz, or nnU-Net: `imagesTr`, `labelsTr` and `dataset.json`"
)
_COCO = f"COCO: `{ANNOTATIONS_FILE}` beside its images, or `annotations/instances_default.json` beside `images`"


class UnknownLayoutError(DatasetError):
    """No layout fits. finding: what was found and the nearest layout, without the folder's own path."""

    def __init__(self, folder: Path, finding: str) -> None:
        super().__init__(f"{shown(str(folder))} is no data set in a layout that is known. {finding}")
        self.finding = finding


def unknown(tree: Tree, folder: Path) -> UnknownLayoutError:
    """The error of a folder that was looked through."""
    groups: dict[tuple[str, str], int] = {}
    files: list[Path] = []
    for here, listing in tree.walk(folder):
        place = here.relative_to(folder).as_posix()
        groups |= {(place, suffix): count for suffix, count in count_suffixes(listing.files).items()}
        files.extend(listing.files)
        dead = len(listing.dead_links)
        groups |= {(place, f"link{'' if dead == 1 else 's'} to nothing"): dead} if dead else {}
    nearest = f"{_nearest(folder, files)} (docs/datasets.md).{say_twins(tree, folder, files)}{_tables(files)}"
    nearest += remedies(suffix_of(path.name) for path in files)
    return UnknownLayoutError(folder, f"{_found(groups)} {nearest}")


def _found(groups: dict[tuple[str, str], int]) -> str:
    if not groups:
        return "It has no files."
    most = sorted(groups.items(), key=lambda item: (-item[1], item[0]))
    parts = [
        f"{count:,} {suffix or _WITHOUT_ENDING[count > 1]}{f' in {shown(place)}' if place != '.' else ''}"
        for (place, suffix), count in most[:_GROUPS_SHOWN]
    ]
    rest = sum(count for _, count in most[_GROUPS_SHOWN:])
    others = len(most) - _GROUPS_SHOWN
    more = f", and {rest:,} more in {others} group{'' if others == 1 else 's'}" if rest else ""
    return f"Found: {', '.join(parts)}{more}."


def _nearest(folder: Path, files: list[Path]) -> str:
    """The layout that most of the names speak for."""
    places = {name_key(part) for path in files for part in path.relative_to(folder).parts[:-1]}
    suffixes = count_suffixes(files)
    images = sum(suffixes.get(suffix, 0) for suffix in IMAGE_SUFFIXES)
    if not images and (dicom := next(filter(_is_dicom, (path for path in files if not suffix_of(path.name))), None)):
        return (
            f"{shown(dicom.name)} is a DICOM file, and a data set's are told by their ending: call the files `.dcm`"
            f" (`{shown(dicom.name)}.dcm`), a DICOM SEG or RTSTRUCT of each series among them; or convert series to"
            f" NIfTI (dcm2niix), named as {_VOLUMES}, or export slices and masks as PNG or TIFF, as {_PATIENT_FOLDERS}"
        )
    if CLASS_FOLDER in places:
        return (
            "The nearest layout is CVAT's and PASCAL VOC's: lay the images beside `SegmentationClass`, in `JPEGImages`"
        )
    pictures = [path for path in files if suffix_of(path.name) in IMAGE_SUFFIXES]
    own_folders = count_own_folders(path.relative_to(folder).as_posix() for path in pictures)
    if cityscapes := say_cityscapes(pictures):
        return cityscapes.removesuffix(".")
    kinds = unread_kinds(suffixes).values()
    unread = {*OTHER_SUFFIXES, *ARCHIVE_SUFFIXES, *(suffix for endings in kinds for suffix in endings)}
    others = sorted(set(suffixes) & unread - set(VOLUME_SUFFIXES))
    if (
        pictures
        and others
        and all(looks_like_mask(path.relative_to(folder).as_posix(), own_folders) for path in pictures)
    ):
        return (
            f"Its pictures are masks, and {', '.join(others)} {'is' if len(others) == 1 else 'are'} not read in a data"
            f" set: export the images as PNG or TIFF, on the masks' grid, as {_PATIENT_FOLDERS}"
        )
    if any(looks_like_mask(path.name) for path in pictures):
        return f"The nearest layout is {_PATIENT_FOLDERS}; put each mask beside its image"
    if (
        not images
        and any(suffix in suffixes for suffix in DICOM_SUFFIXES)
        and not suffixes.keys().isdisjoint(_VOLUME_ENDINGS)
    ):
        return (
            "The mask of a DICOM series is a DICOM SEG or an RTSTRUCT, no NIfTI: convert the series to NIfTI (dcm2niix)"
            f" on the masks' grid, named as {_VOLUMES}, or export the masks as DICOM SEG"
        )
    if not images and (nnunet := _say_nnunet(folder, files)):
        return nnunet
    if not images and (unnamed := _say_unnamed_volumes(folder, files)):
        return unnamed
    if not images and _are_of_other_sequences(files):
        return (
            "By their names its volumes are of other sequences than FLAIR (T1, T2, ...), which the models read: give"
            " each patient's FLAIR as well"
        )
    if not images and any(suffix in suffixes for suffix in VOLUME_SUFFIXES):
        return f"The layouts of volumes are {_VOLUMES}; name the files like that"
    stems = {name_key(path.stem) for path in pictures}
    masks = [path for path in pictures if mask_sign(path.relative_to(folder).as_posix(), own_folders).endswith("/")]
    if part := next((path for path in masks if name_key(path.parent.name) in stems), None):
        place = shown(part.relative_to(folder).as_posix())
        return (
            f"Each image has a folder of masks (`{place}`): join those of the tumor into one mask, of the image's name"
            f" (`masks/{shown(part.parent.name)}.png`)"
        )
    if several := say_several(folder, masks, set(pictures) - set(masks)):
        return several.removesuffix(".")
    if any(name in places for name in (*IMAGE_FOLDERS, *MASK_FOLDERS)) or any(
        mask_sign(path.relative_to(folder).as_posix(), own_folders).endswith("/") for path in files
    ):
        return (
            f"The nearest layout is {_PAIRS}; give both folders, with images and masks in them or in one folder for"
            " each patient"
        )
    if ".json" in suffixes and images:
        return f"The nearest layout is {_COCO}; name and place the file like that"
    if not images and others:
        return (
            f"None of these is read in a data set; export slices and masks as PNG or TIFF, as {_PATIENT_FOLDERS}, or"
            f" volumes as NIfTI, as {_VOLUMES}"
        )
    if not images and suffixes.keys() & _OUTLINES:
        return (
            "It has annotations at most, and no images: add these (LabelMe keeps them in its files, as `imageData`),"
            f" and export the outlines as masks, as {_PATIENT_FOLDERS}, or as {_COCO}"
        )
    return f"The layouts are {_PATIENT_FOLDERS}; {_PAIRS}; {_COCO}; {_VOLUMES}"


def say_several(folder: Path, masks: Iterable[Path], images: Iterable[Path]) -> str:
    """Of images whose masks lie in several folders, one for each part of the tumor or for each reader; empty where they
    do not."""
    found: dict[str, set[Path]] = {}
    for path in masks:
        found.setdefault(name_key(path.stem), set()).add(path.parent)
    # Slices of two patients may have one name, and each a mask.
    owners = Counter(name_key(path.stem) for path in images)
    several = max((found[name] for name in found if len(found[name]) > owners[name]), key=len, default=set())
    if len(several) < 2 or not found.keys() <= owners.keys():
        return ""
    names = shown(" and ".join(sorted(path.relative_to(folder).as_posix() for path in several)[:4]))
    return (
        f"An image has masks in several folders ({names}): join those of parts of the tumor, or take one person's, and"
        f" lay them out as {_PAIRS}."
    )


def _say_nnunet(folder: Path, files: Iterable[Path]) -> str:
    """What nnU-Net's folders lack where images or labels are alone, also where one of them was given by itself."""
    around = folder.absolute().name
    volumes = [path for path in files if suffix_of(path.name) in _VOLUME_ENDINGS]
    places = {name_key(path.relative_to(folder).parent.name or around) for path in volumes}
    for images, labels in (("imagesTr", "labelsTr"), ("imagesTs", "labelsTs")):
        has_images, has_labels = (name_key(name) in places for name in (images, labels))
        if has_images and not has_labels:
            found = f"These are nnU-Net's {'training' if images == 'imagesTr' else 'test'} images without their labels"
            return (
                f"{found}: give the folder that has `{images}` and `{labels}` (`{images}/P1_0000.nii.gz` and"
                f" `{labels}/P1.nii.gz`) and {DATASET_JSON}, which says which channel (_0000) is FLAIR"
            )
        if has_labels and not has_images:
            return (
                f"These are nnU-Net's labels without their images: give the folder that has `{images}`, `{labels}` and"
                f" {DATASET_JSON}"
            )
    return ""


def _say_unnamed_volumes(folder: Path, files: Iterable[Path]) -> str:
    """What to call volumes and masks of which no name says a sequence (`P1.nii.gz`, `P1_mask.nii.gz`)."""
    volumes = [path for path in files if suffix_of(path.name) in VOLUME_SUFFIXES]
    names = {path: path.relative_to(folder).as_posix() for path in volumes}
    own_folders = count_own_folders(names.values())
    scans = [path for path in volumes if not looks_like_mask(names[path], own_folders)]
    stems = [path.name[: -len(suffix_of(path.name))] for path in scans]
    if not scans or len(scans) == len(volumes) or any(map(split_brats_name, stems)):
        return ""
    described = [place for place, stem in enumerate(stems) if says_flair(stem)]
    place = next(iter(described), 0)
    name, ending = shown(stems[place]), suffix_of(scans[place].name)
    said = "No name ends with what says" if described else "Nothing says"
    return (
        f"{said} which sequence a volume is, and the models read FLAIR: call `{shown(scans[place].name)}`"
        f" `{name}_flair{ending}` if it is that, and its mask `{name}_seg{ending}`, beside it or in a folder `masks`"
    )


def _are_of_other_sequences(files: Iterable[Path]) -> bool:
    """Whether volumes' names say sequences (`IXI002-Guys-0828-T1`), and none of them FLAIR."""
    stems = [path.name[: -len(suffix)] for path in files if (suffix := suffix_of(path.name)) in VOLUME_SUFFIXES]
    kinds = {named[1] for named in map(split_brats_name, stems) if named} - {Kind.SEG}
    return bool(kinds) and Kind.FLAIR not in kinds and not any(map(says_flair, stems))


class Twins(NamedTuple):
    """Two folders that have pictures of the same names, of which one has the masks of the other by their pixels; or
    more, where several readers have a folder of masks each.

    images, masks: these, each once or in several others (`train/X`, `val/X`). mask_files: what lies in `masks`.
    ending: where both lie in the same folders, what a mask's name has behind its image's.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    mask_files: tuple[Path, ...]
    ending: str = ""


def find_twins(tree: Tree, files: Iterable[Path]) -> Twins | None:
    """`X` and `Y`, ADE20K's `images` and `annotations`, also in each of several folders (`train/X`, `train/Y`), else
    masks that are called as their images with more behind it; None where there are others, and for two patients'
    folders."""
    pictures = sorted(
        (path for path in files if suffix_of(path.name) in IMAGE_SUFFIXES), key=lambda path: (name_key(path.stem), path)
    )
    if not pictures:
        return None
    around = Path(os.path.commonpath([path.parent for path in pictures]))
    folders = {path: path.relative_to(around).parts[:-1] for path in pictures}
    for depth in range(min(map(len, folders.values()))):
        groups: dict[str, list[Path]] = {}
        for path in pictures:
            groups.setdefault(name_key(folders[path][depth]), []).append(path)
        is_alike = len({_names_at(folders, group, depth) for group in groups.values()}) == 1
        if not 2 <= len(groups) <= _MOST_TWINS or not is_alike:
            continue
        found = [groups[name] for name in sorted(groups)]
        place = _place_of_images(tree, found)
        if place is not None:
            masks = [path for group in (*found[:place], *found[place + 1 :]) for path in group]
            tops = [
                tuple(sorted({around.joinpath(*folders[path][: depth + 1]) for path in group}))
                for group in (found[place], masks)
            ]
            return Twins(tops[0], tops[1], tuple(masks))
    return _by_ending(tree, pictures)


def _place_of_images(tree: Tree, groups: Sequence[Sequence[Path]]) -> int | None:
    """Which of several groups has the images of which all others, by their pixels, are masks; None where none has."""
    for place, images in enumerate(groups):
        if all(masks_of_two(tree, images, masks) == 1 for masks in (*groups[:place], *groups[place + 1 :])):
            return place
    return None


def _by_ending(tree: Tree, pictures: Sequence[Path]) -> Twins | None:
    """Masks beside their images by an ending that is no mask's word here (`05_маска`), told by their pixels; None where
    fewer than half of the other pictures have one."""
    stems: dict[Path, dict[str, Path]] = {}
    for path in pictures:
        stems.setdefault(path.parent, {})[normalize("NFC", path.stem)] = path
    pairs: dict[str, list[tuple[Path, Path]]] = {}
    for names in stems.values():
        for stem, path in names.items():
            if base := longest_beginning(stem, names):
                pairs.setdefault(stem[len(base) :], []).append((names[base], path))
    ending = max(pairs, key=lambda one: len(pairs[one]), default="")
    count = len(pairs.get(ending, ()))
    if count < _FEWEST_PAIRS or 3 * count < len(pictures):
        return None
    images, masks = zip(*pairs[ending], strict=True)
    if masks_of_two(tree, images, masks) != 1:
        return None
    folders = tuple(sorted({path.parent for path in masks}))
    return Twins(folders, folders, tuple(masks), ending)


def longest_beginning(name: str, others: Collection[str]) -> str:
    """The longest of other names that this one begins with, no number cut (`scan_1` does not begin `scan_11_seg`);
    empty where none does."""
    ends = (place for place in range(len(name) - 1, 0, -1) if name[:place] in others)
    return next((name[:place] for place in ends if not (name[place - 1].isdigit() and name[place].isdigit())), "")


def _names_at(
    folders: Mapping[Path, tuple[str, ...]], group: Iterable[Path], depth: int
) -> tuple[tuple[str, ...], ...]:
    """What two groups of pictures that differ in the folder at this depth have in common: below the two that hold all
    of them the names of the files alone, wherever they lie there."""
    around = {path: (*folders[path][:depth], *folders[path][depth + 1 :]) if depth else () for path in group}
    return tuple(sorted((*map(name_key, parts), name_key(path.stem)) for path, parts in around.items()))


def say_twins(tree: Tree, folder: Path, files: Iterable[Path]) -> str:
    """What to call two such folders; an empty text where there are none."""
    twins = find_twins(tree, files)
    if twins is None:
        return ""
    if twins.ending:
        return (
            f" {len(twins.mask_files):,} pictures are called as others with `{shown(twins.ending)}` behind it, and have"
            " a few values alone, as masks have: call each as its image with `_mask` behind it."
        )
    images, masks = (_called(folder, paths) for paths in (twins.images, twins.masks))
    if len({name_key(path.name) for path in twins.masks}) > 1:
        names = " and ".join(dict.fromkeys(shown(path.name) for path in twins.masks))
        call = "" if name_key(twins.images[0].name) == "images" else f", and {images} `images`"
        return (
            f" The folders {names} have pictures of the same names as {images}, and a few values alone, as masks have:"
            f" join those of parts of the tumor, or take one person's, and call them `masks`{call}."
        )
    each = "" if len(twins.images) == 1 else "each "
    wanted = [(images, twins.images, "images"), (masks, twins.masks, "masks")]
    calls = [f"call {each}{text} `{name}`" for text, paths, name in wanted if name_key(paths[0].name) != name]
    remedy = " and ".join(calls).replace("and call ", "and ")
    return (
        f" The folders {' and '.join(sorted((images, masks)))} have pictures of the same names, and those of {masks}"
        f" have a few values alone, as masks have: {remedy or _SAME_PLACES}."
    )


def _called(folder: Path, paths: Sequence[Path]) -> str:
    """One folder by its path, several of one name by that."""
    return shown(paths[0].relative_to(folder).as_posix() if len(paths) == 1 else paths[0].name)


def say_cityscapes(files: Iterable[Path]) -> str:
    """Of pictures that are called as Cityscapes' (https://www.cityscapes-dataset.com/), what to call them."""
    base = next((base for base in map(cityscapes_base, (path.stem for path in files)) if base), None)
    if base is None:
        return ""
    name = shown(base)
    return (
        "Its files are called as Cityscapes' are: lay each `NAME_leftImg8bit.png` into `images` as `NAME.png`, and its"
        f" labels `NAME_gtFine_labelIds.png`, 0 where there is no tumor, into `masks` (`images/{name}.png`,"
        f" `masks/{name}.png`); `_color` and `_instanceIds` are no masks."
    )


def _tables(files: Iterable[Path]) -> str:
    """Of pictures beside a table, in which some data sets list their masks as run lengths or outlines."""
    suffixes = {suffix_of(path.name) for path in files}
    table = next((suffix for suffix in _TABLES if suffix in suffixes), None)
    if table is not None and suffixes.isdisjoint(IMAGE_SUFFIXES) and not suffixes.isdisjoint(VOLUME_SUFFIXES):
        return f" A {table} that names volumes and masks is not read: what the files are is told by their names."
    if table is None or suffixes.isdisjoint(IMAGE_SUFFIXES):
        return ""
    return (
        f" Masks that are listed in a {table} are not read: save each as a picture, called as its image"
        " (`images/1.png`, `masks/1.png`), or give a .csv the columns `image` and `mask`, with the path of one picture"
        " in each."
    )


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_DICOM_PLACE + len(_DICOM_SIGN))[_DICOM_PLACE:] == _DICOM_SIGN
    except OSError:
        return False
