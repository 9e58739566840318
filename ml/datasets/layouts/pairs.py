"""The layout of a folder of images and one of masks beside it or in it, once, or once in each patient's folder."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import name_key
from ml.datasets.layouts.assembly import assemble
from ml.datasets.layouts.copies import copies_of, copy_problems
from ml.datasets.layouts.label_colors import check_label_map
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.pairing import barcode_of, images_beside_masks, pair, patient_of
from ml.datasets.layouts.roots import SUBSETS, Root, named
from ml.datasets.layouts.sequences import flair_folder, is_flair, other_sequences
from ml.datasets.layouts.swapped_words import OTHER_SEQUENCE, join_swapped
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import IMAGE_FOLDERS
from ml.datasets.mask_names import (
    ANNOTATIONS_DIR,
    CLASS_FOLDER,
    MASK_FOLDERS,
    mask_sign,
    mask_word,
    name_without_mask,
)

# `train_frames` and `train_masks`, of a tutorial of Keras, are images only where they are named by their sides.
_SIDES, _WORDS = "|".join(SUBSETS), "|".join((*IMAGE_FOLDERS, "frames", *MASK_FOLDERS))
# A side and what lies in its folder: `train_images`, `imagesTrain`.
_SIDED = re.compile(rf"({_SIDES})[ _-]?({_WORDS})|({_WORDS})[ _-]?({_SIDES})")
# Beside `SegmentationClass`, by PASCAL VOC and CVAT.
_VOC_IMAGES = "jpegimages"
# Beside `ann_dir`, by mmsegmentation.
_IMAGES_DIR = "img_dir"


def pair_folders(tree: Tree, folder: Path) -> tuple[Path, ...]:
    """The folder of images, by the first of its names, else FLAIR's, else the very folder, and all folders of masks;
    empty where one of the two lacks."""
    masks = tree.folders(folder, MASK_FOLDERS)
    if masks and (images := tree.folder(folder, IMAGE_FOLDERS)):
        return (images, *masks)
    flair = _flair_alone(tree, folder)
    if flair and (beside := masks or _masks_of_flair(tree, folder, flair)):
        return (flair, *beside)
    classes = tree.folder(folder, [CLASS_FOLDER])
    pictures = tree.folder(folder, [_VOC_IMAGES, *IMAGE_FOLDERS])
    if pictures and classes:
        return (pictures, classes)
    of_dir, annotations = (tree.folder(folder, [name]) for name in (_IMAGES_DIR, ANNOTATIONS_DIR))
    if of_dir and annotations:
        return (of_dir, annotations)
    return (folder, *masks) if masks and _are_of(tree, masks, folder) else ()


def _flair_alone(tree: Tree, folder: Path) -> Path | None:
    """The one folder of FLAIR's slices, of those for each sequence (`flair`, `t1`)."""
    found = [path for path in tree.listing(folder).folders if is_flair(path) and tree.images(path)]
    return found[0] if len(found) == 1 else None


def _masks_of_flair(tree: Tree, folder: Path, flair: Path) -> list[Path]:
    """The folder of masks beside FLAIR's by any name that says it (`seg`, `Segmentation`, `FLAIR_mask`): FLAIR's own
    where there are several; empty where that is not one."""
    found = [path for path in tree.listing(folder).folders if tree.images(path) and mask_sign(f"x/{path.name}/1.png")]
    own = [path for path in found if name_key(name_without_mask(path.name)) == name_key(flair.name)]
    masks = own or found
    return masks if len(masks) == 1 and _are_of(tree, masks, flair) else []


def _are_of(tree: Tree, masks: Sequence[Path], images: Path) -> bool:
    """Whether folders have masks of a folder's images by their names, and no mask lies beside these."""
    own = tree.images(images)
    if not own or any(mask_word(path.name) for path in own):
        return False
    beside = [path for place in masks for path in tree.images(place)]
    files, _ = join_swapped(images_beside_masks(own, beside), is_folder_of_masks=True)
    return any(stem in files.masks for stem in files.images)


def side_of_masks(folder: str) -> str:
    """What is left of the name of a side's folder of masks with images in their place (`train_images` of
    `train_masks`); empty for another folder."""
    found = _SIDED.fullmatch(name_key(folder))
    word = (found[2] or found[3]) if found else ""
    return name_key(folder).replace(word, "images") if word in MASK_FOLDERS else ""


def sided_pairs(tree: Tree, folder: Path) -> list[Root]:
    """Folders called by their sides, `train_images` and `train_masks` (`images_train`; Carvana's `train`), as roots."""
    images: dict[str, Path] = {}
    masks: dict[str, list[Path]] = {}
    plain: dict[str, Path] = {}
    for path in tree.listing(folder).folders:
        key = name_key(path.name)
        if found := _SIDED.fullmatch(key):
            side, word = (found[1], found[2]) if found[1] else (found[4], found[3])
            if word in MASK_FOLDERS:
                masks.setdefault(side, []).append(path)
            else:
                images.setdefault(side, path)
        elif key in SUBSETS and tree.images(path):
            plain[key] = path
    pairs = {side: images.get(side) or plain.get(side) for side in masks}
    return [
        Root(folder, f"{side}/", SUBSETS[side], pair=(place, *masks[side]))
        for side, place in pairs.items()
        if place is not None
    ]


def list_pairs(tree: Tree, folder: Path, roots: list[Root]) -> Layout:
    sided: list[tuple[Case, str | None]] = []
    problems: list[Problem] = []
    for root in roots:
        pair_of_folders = root.pair or pair_folders(tree, root.folder)
        for place in {root.folder, *pair_of_folders}:
            check_label_map(tree, place)
        if pair_of_folders and is_flair(pair_of_folders[0]):
            problems.extend(other_sequences(tree, root.folder, pair_of_folders[0], folder))
        elif pair_of_folders and (of_flair := flair_folder(tree, pair_of_folders[0])):  # `images/flair`, `images/t1`
            problems.extend(other_sequences(tree, pair_of_folders[0], of_flair, folder))
            own = [path for place in pair_of_folders[1:] for path in tree.folders(place, [name_key(of_flair.name)])]
            pair_of_folders = (of_flair, *(own or pair_of_folders[1:]))
        copies = copies_of(tree, tree.listing(pair_of_folders[0]).folders) if pair_of_folders else {}
        problems.extend(copy_problems(copies, tree, folder))
        for images, masks, group, side in _pair_groups(tree, root, pair_of_folders, copies):
            beside = [path for place in masks for path in tree.images(place)]
            files, others = join_swapped(images_beside_masks(tree.images(images), beside), is_folder_of_masks=True)
            found, faults = pair(files, group, folder)
            sided.extend((case, side) for case in found)
            problems.extend(faults)
            if others:
                names = tuple(path.relative_to(folder).as_posix() for path in others)
                problems.append(Problem("left_out", names, OTHER_SEQUENCE))
    sided.sort(key=lambda item: (item[0].patient, item[0].image))
    return assemble("images and masks", folder, sided, problems)


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
        roots.append(Root(one.folder, side=side, patient=barcode_of(one.cases[0].name) or one.folder.name))
    layout = list_pairs(tree, folder, roots)
    text = (
        f"Each of {len(roots):,} folders with images and masks in it is taken for one patient: if it is a site, a class"
        " or a set of several, figures of patients and their intervals mean nothing."
    )
    return replace(layout, problems=(*layout.problems, Problem("nested_patients", (), text)))


def _pair_groups(
    tree: Tree, root: Root, folders: Sequence[Path], copies: Collection[Path]
) -> Iterator[tuple[Path, list[Path], Callable[[str], str], str | None]]:
    """Folders of images with theirs of masks, who is in them, and on which side: the two themselves, and the folders of
    one name in both, which are patients, or `train`, `valid` and `test`."""
    if not folders:
        return
    images, *masks = folders
    group = partial(patient_of, prefix=root.prefix) if root.patient is None else partial(named, root.patient)
    yield images, masks, group, root.side
    if images == root.folder:
        return
    for inner in (path for path in tree.listing(images).folders if path not in copies):
        name = name_key(inner.name)
        is_subset = name in SUBSETS
        if is_subset and SUBSETS[name] == root.side:  # `train_images/train`
            inner_group = group
        elif is_subset:
            inner_group = partial(patient_of, prefix=f"{root.prefix}{inner.name}/")
        else:  # `images/img`, which Keras' generators want, is no patient
            inner_group = group if name in IMAGE_FOLDERS else partial(named, inner.name)
        beside = [path for place in masks for path in tree.folders(place, [name])]
        yield inner, beside, inner_group, SUBSETS[name] if is_subset else root.side
