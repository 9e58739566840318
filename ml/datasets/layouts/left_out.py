"""What lies in a data set's folder and is no part of it: named, so that nobody takes it for evaluated."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ml.datasets.checking.problems import LeftOut, Problem
from ml.datasets.file_names import (
    ANNOTATION_SUFFIXES,
    ANNOTATIONS_FILE,
    ANNOTATIONS_FOLDER,
    ARCHIVE_SUFFIXES,
    DICOM_SUFFIXES,
    IMAGE_SUFFIXES,
    OTHER_SUFFIXES,
    OTHER_VOLUMES,
    TABLE_SUFFIXES,
    VOLUME_SUFFIXES,
    is_annotations,
    is_like_annotations,
    lacks_ending,
    name_key,
    placeholder_of,
    suffix_of,
)
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.yolo import begins_as_yolo
from ml.datasets.mask_names import count_own_folders, mask_sign
from ml.scans.scan import EMPTY
from ml.scans.unread_formats import unread_by_suffix, unread_kinds

_DEAD_LINK = "A link that leads to nothing: fetch the file (`git annex get`, `dvc pull`) or remove the link."
_OTHER_COCO = "COCO annotations where the layout has none: give their folder by itself if they are the data set."
_LINKED_FOLDER = "A link to a folder is not followed in this place: copy the folder if it belongs to the data set."
_UNREADABLE = "The folder cannot be read: change its permissions."
_POINTER = "What DVC keeps in place of the data: fetch them (`dvc pull`), or remove it."
_PLACEHOLDER = "What a cloud's folder or a download keeps in place of the file: download it whole, or remove it."
_SPECIAL = "A pipe, a socket or a device, and no file: remove it."
_AGAIN = "Files of these names and sizes are part of the data set already, in a folder of the same name: remove these."
STRAY_MASK = "Masks by their folder, in a place where the layout has none: they are not used."
OF_PICTURE = (
    "A volume that is called as a picture, and its mask, if ITK-SNAP or 3D Slicer saved it: save it as PNG of the"
    " picture's width and height (`07_mask.png` beside `07.png`)."
)
_NO_ENDING = "The name has no ending, and files without one are not read: give it that of its kind (.png, .tif, .dcm)."
_NO_BYTES = f"The file {EMPTY}."
_TABLE = (
    "A table, which is not read: masks that it names are taken for images, since nothing else tells them, and run"
    " lengths in it are no masks; give it the columns `image` and `mask`, with the path of one file in each, or call"
    " each mask as its image (`images/1.png`, `masks/1.png`)."
)
_ARCHIVE = "An archive, which is not looked into: unpack it if its files belong to the data set, else remove it."
OF_ANATOMY = (
    "A mask by its name, of brain, skull, tissue, an organ or a cavity: no tumor's, so it is not used. Call it as a"
    " tumor's if it is one (`P1_tumor_seg.nii.gz`)."
)
VOLUME = (
    "A volume in a place, or of a name, where this layout has none: name it as BraTS or nnU-Net do, and give volumes a"
    " folder of their own."
)
MAY_BE_MASK = (
    "A volume that may be a mask by its name, of a part of the tumor, by one of several readers or drawn on another"
    " sequence than FLAIR: it is not used. Join the parts of one volume into one mask, or take one person's, and call"
    " it as the volume with `_seg` behind it (`P1/P1_flair_seg.nii.gz`)."
)
OF_VOLUME = (
    "Volumes of a patient without a mask: add one (`P1/P1-seg.nii.gz`, all 0 if no tumor) if they belong to the"
    " data set."
)
UNREAD_ANNOTATIONS = (
    "Annotations of a name or a kind that is not read: export them as COCO (called"
    f" `{ANNOTATIONS_FILE}`, or `annotations/instances_default.json`) or as masks, a picture for each image."
)
UNREAD_YOLO = (
    "Labels of YOLO that are not read: outlines are where images lie in `images`, labels in `labels`, and no image has"
    " a mask by its name; boxes (four numbers behind the class) are no masks."
)
# Folders in which programs keep a file of outlines for each image, or for all: V7, Datumaro, Supervisely, YOLO.
_ANNOTATION_FOLDERS = frozenset({ANNOTATIONS_FOLDER, "annotation", "ann", "labels"})


def find_strays(tree: Tree, folder: Path, base: Path, used: Iterable[Path], skipped: frozenset[Path]) -> list[Problem]:
    """One finding for each folder and ending of images that are not in `used`, and for whatever else lies there and
    should be a slice, a mask or their annotations; paths relative to `base`."""
    known = set(used)
    opened = {folder for path in known for folder in path.parents}
    places: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in known:
        places[path.parent.name, path.name].append(path)
    own_folders = count_own_folders(
        relative(path, folder) for _, listing in tree.walk(folder, skipped) for path in _pictures(listing.files)
    )
    groups: dict[tuple[Path, str, str], list[Path]] = defaultdict(list)
    annotations: list[Path] = []
    stems: set[str] = set()
    suffixes: set[str] = set()
    for here, listing in tree.walk(folder, skipped):
        here_names = {name_key(path.name) for path in (*listing.files, *listing.folders)}
        for path in listing.files:
            suffix = suffix_of(path.name)
            if suffix in IMAGE_SUFFIXES:
                stems |= {name_key(path.stem), name_key(path.name)}  # Supervisely's are called NAME.png.json
            if path in known:
                continue
            if suffix in IMAGE_SUFFIXES and _is_double(path, places):
                groups[here, "doubled_folder", _AGAIN].append(path)
            elif suffix in IMAGE_SUFFIXES and mask_sign(relative(path, folder), own_folders).endswith("/"):
                groups[here, "left_out", STRAY_MASK].append(path)
            elif suffix in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES):
                suffixes.add(suffix)
                groups[here, "left_out", _kind_of(suffix)].append(path)
            elif suffix in ARCHIVE_SUFFIXES:
                groups[here, "left_out", _ARCHIVE].append(path)
            elif lacks_ending(path.name):
                groups[here, "left_out", _NO_ENDING if path.stat().st_size else _NO_BYTES].append(path)
            elif suffix in ANNOTATION_SUFFIXES:
                annotations.append(path)
            elif placeholder_of(path.name):
                groups[here, "missing_file", _PLACEHOLDER].append(path)
            elif suffix == ".dvc" and name_key(path.stem) not in here_names:
                groups[here, "missing_file", _POINTER].append(path)
        linked = [path for path in listing.folders if path not in opened and path.is_symlink()]
        groups[here, "left_out", _LINKED_FOLDER].extend(linked)
        groups[here, "missing_file", _DEAD_LINK].extend(listing.dead_links)
        groups[here, "missing_file", _SPECIAL].extend(listing.special)
    for path in tree.unreadable:
        groups[path.parent, "missing_file", _UNREADABLE].append(path)
    unread = [
        path
        for path in annotations
        if is_like_annotations(path.name)
        or name_key(path.stem) in stems
        or (name_key(path.parent.name) in _ANNOTATION_FOLDERS and path not in known)
    ]
    for path in unread:
        is_yolo = suffix_of(path.name) == ".txt" and begins_as_yolo(path)
        text = _OTHER_COCO if is_annotations(path.name) else UNREAD_YOLO if is_yolo else UNREAD_ANNOTATIONS
        groups[path.parent, "left_out", text].append(path)
    return [
        Problem(code, tuple(relative(path, base) for path in paths), _sentence(what, suffixes))
        for (_, code, what), paths in sorted(groups.items())
        if paths
    ]


def _pictures(files: Iterable[Path]) -> Iterator[Path]:
    return (path for path in files if suffix_of(path.name) in IMAGE_SUFFIXES)


def find_tables(tree: Tree, folder: Path, named: Iterable[str]) -> list[Problem]:
    """Tables of a folder whose images have no masks: they may say which of these are masks. named: files that are left
    out already."""
    known = set(named)
    paths = [
        path for _, listing in tree.walk(folder) for path in listing.files if suffix_of(path.name) in TABLE_SUFFIXES
    ]
    found = tuple(name for name in (relative(path, folder) for path in paths) if name not in known)
    return [Problem("left_out", found, _TABLE)] if found else []


def may_hold_masks(group: LeftOut) -> bool:
    """Whether files left out may be the masks of images that have none: annotations, volumes, other kinds."""
    suffixes = (suffix_of(name) for name in group.files)
    return group.message in (
        UNREAD_ANNOTATIONS,
        UNREAD_YOLO,
        OF_ANATOMY,
        OF_PICTURE,
        MAY_BE_MASK,
        VOLUME,
        _ARCHIVE,
    ) or any(suffix in OTHER_SUFFIXES for suffix in suffixes)


def _is_double(path: Path, places: Mapping[tuple[str, str], Sequence[Path]]) -> bool:
    """Whether a folder of the same name has the same file, by its name and its size."""
    alike = places.get((path.parent.name, path.name), ())
    return any(other.stat().st_size == path.stat().st_size for other in alike if other.is_file())


def relative(path: Path, base: Path) -> str:
    """With `/`, and `..` where the path lies beside the base."""
    return Path(os.path.relpath(path, base)).as_posix()


def _kind_of(suffix: str) -> str:
    """One suffix for all of a format: halves of a pair (`.hdr` and `.img`) are left out together."""
    unread = unread_by_suffix(suffix)
    return suffix if unread is None else unread.suffixes[0]


def _sentence(what: str, suffixes: Iterable[str]) -> str:
    """what: of `_kind_of`, or the sentence itself; suffixes: of all files that are left out. No number: files of
    several folders stand together under one sentence."""
    if what in VOLUME_SUFFIXES:
        return VOLUME
    if (unread := unread_by_suffix(what)) is not None:
        named = " Name volumes as BraTS or nnU-Net do." if unread.is_volume else ""
        first, *more = unread_kinds(suffixes)[unread]
        kinds = (
            f"kinds {' and '.join([first, *more])} ({unread.name}) are" if more else f"kind {first} ({unread.name}) is"
        )
        return f"The {kinds} not read in a data set. {unread.remedy}.{named}"
    if what in DICOM_SUFFIXES:
        return (
            f"The kind {what} is not read beside pictures and NIfTI: a data set of DICOM has series, and masks as DICOM"
            " SEG or RTSTRUCT. Give such a folder by itself, or export slices as PNG or TIFF, or volumes as NIfTI"
            " (.nii.gz), named as BraTS or nnU-Net do."
        )
    if what in OTHER_VOLUMES:
        return (
            f"The kind {what} is not read in a data set: export slices as PNG or TIFF, or volumes as NIfTI (.nii.gz),"
            " named as BraTS or nnU-Net do."
        )
    if what in OTHER_SUFFIXES:
        return f"The kind {what} is not read in a data set: export slices as PNG or TIFF."
    if what in IMAGE_SUFFIXES:
        return "The layout has no images in this place: move them to the others if they belong to the data set."
    return what
