"""Which files look like an expert's masks by their names: none of them is ever taken for a scan.

Only `NAME_mask`, or a file in the folder of masks, is read as a mask (`ml.datasets.layouts.pairing`). Names that other
programs give theirs (3D Slicer's `-label`, ITK-SNAP's `_seg`, ISIC's `_Segmentation`) are told by what shows it.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from ml.datasets.file_names import (
    ANNOTATION_SUFFIXES,
    IMAGE_SUFFIXES,
    MASK_VOLUME_SUFFIXES,
    OTHER_SUFFIXES,
    VOLUME_SUFFIXES,
    name_key,
    suffix_of,
)

_VOLUMES = (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)

# The ending of a mask that is read, in any case.
MASK_ENDING = "_mask"
# Supervisely's, whose colors are those of a file in the project's folder (`ml.datasets.layouts.label_colors`).
MACHINE_FOLDER = "masks_machine"
# Folders whose files are masks, whatever their names.
MASK_FOLDERS = ("masks", "mask", "labels", "label", MACHINE_FOLDER)
_OTHER_FOLDERS = ("groundtruth", "ground_truth", "ground-truth", "ground truth", "gt", "msk", "msks", "segmentations")
# What a whole data set may be called as well: of masks where files lie in it and it lies in a patient's folder.
_INNER_FOLDERS = ("segmentation", "seg", "segs", "truth", "truths", "labelmap", "labelmaps", "gts")
# Masks in German, French, Spanish, Portuguese and Italian.
_FOREIGN = "masken?|masques?|m[aá]scaras?|maschera|maschere|segmentierung(?:en)?|segmentaci[oó]n|segmentazione"
# `train_masks`, `tumor-mask`, `masks_A`; `masks_human` (Supervisely's overlays); CamVid's `trainannot`. But not
# `with_mask`.
_OF_MASKS = re.compile(
    r"(?!(?:.*[ ._-])?(?:no|non|with|without|and|or)[ ._-])"
    r"(?:.+[ ._-]masks?|masks?[ ._-](?:images?|imgs?|human|instances?|png|tiff?)|(?:train|val|valid|test|default)annot"
    rf"|(?:.+[ ._-])?(?:{_FOREIGN})|masks?[ ._-]?(?:rater|reader|expert|annotator|observer).*|masks?[ ._-]?[0-9]+"
    r"|masks[ ._-].+|masks?[ ._-](?:edema|oedema|core|tumou?rs?|whole|enhancing|necrosis|necrotic|et|tc|wt|ed|net|ncr))"
)
# CVAT's and PASCAL VOC's, whose colors are those of labelmap.txt (`ml.datasets.layouts.label_colors`); nnU-Net's.
CLASS_FOLDER = "segmentationclass"
# mmsegmentation's (https://mmsegmentation.readthedocs.io, custom datasets), beside `img_dir`.
ANNOTATIONS_DIR = "ann_dir"
_PROGRAM_FOLDERS = (CLASS_FOLDER, ANNOTATIONS_DIR, "segmentationobject", "labelstr", "labelsts")
# Long words say it wherever they end a name (`ScanMask`), short ones only apart from the rest: `insight` is no `gt`.
# GLISTRboost's, of TCIA's glioma collections; `dseg` is BIDS' (discrete segmentation).
_GLISTRBOOST = r"glistrboost(?:[ ._-]out)?(?:[ ._-]manually[ ._-]?corrected)?"
# `LesionSeg`, `tumorseg`: in one word they need nothing before them, as `mask` does.
_LONG = (
    rf"masks?|(?:lesions?|tumou?rs?)segm?s?|segmentations?|labelmaps?|ground[ ._-]?truths?|{_FOREIGN}|{_GLISTRBOOST}"
)
_SHORT = r"d?segm?s?|gts?|gtv[pn]?|labels?|truths?|annotations?"
# `_mask_1`, `_mask (2)`, `_mask - Copy`, `_mask copy 2`: of several masks, or of copies.
_COUNT = r"(?:[ ._-]*(?:[0-9]{1,6}|\([0-9]{1,6}\)|-? ?copy(?: [0-9]{1,2}| ?\([0-9]{1,2}\))?))?"
# What may be a scan's name as well ("brain_tumor.png"): only beside an image of the rest of the name is it a mask, also
# one of several (`_lesion1`, `_roi_2`); so are names with a mask's word in the middle (`_mask_edema`, `_seg_v2`).
_DOUBTFUL = re.compile(
    rf"[ ._-](?:(?:rois?|tumou?rs?|lesions?|contours?|outlines?){_COUNT}|m)$|[ ._-](?:{_LONG}|{_SHORT})[ ._-].*$",
    re.DOTALL,
)
# What a model's answer has behind its image's name (`0_predict.png`, of many a U-Net's tutorial), and a picture of an
# answer or a mask on its image.
_RESULT = re.compile(
    r"[ ._-](?:pred(?:s|ict(?:s|ed|ions?)?)?|probs?|probabilit(?:y|ies)|heat[ ._-]?maps?|overlays?|overlaid)$"
)
# What of a mask's name says that it is the tumor's: UCSF-PDGM's NAME_tumor_segmentation, UCSD-PTGBM's
# NAME_BraTS_tumor_seg.
_OF_TUMOR = re.compile(r"[ ._-]?(?:brats[ ._-])?(?:whole[ ._-]?)?(?:tumou?rs?|lesions?|glioma)$", re.IGNORECASE)
_OME = ".ome"
# Of Cityscapes, whose images are called NAME_leftImg8bit.
_CITYSCAPES = re.compile(r"_gt(?:fine|coarse)_(?:(?:label|instance)(?:train)?ids|color)$")
# `mask_P1_z008`, `label_P1_z008`; but `seg_flair` is the FLAIR that was given for a segmentation.
_BEGINNING = re.compile(r"(?:masks?|labels?|segmentations?|segm?s?(?![ ._-](?:flair|t[12])))[ ._-]")
# A picture of the labels on their image, which LabelMe's `labelme_export_json` writes beside both.
_OVERLAY = "label_viz"
# What Label Studio calls the masks of a brush, which do not name their image: task-7-annotation-3-by-1-tag-Tumor-0.
_BRUSH = re.compile(r"task-[0-9]+-annotation-[0-9]+-by-.+-tag-.+", re.DOTALL)
# The expert's of the Virtual Skeleton Database, which BRATS 2012 to 2015 came from: VSD.Brain_3more.XX.O.OT.54517.
_OF_VSD = re.compile(r"vsd\..+\.ot\.[0-9]+", re.DOTALL)
# MATLAB's Image Labeler counts its labels by itself.
_MATLAB = re.compile(r"Label_[1-9][0-9]*")
# ISLES' `_msk`; a name may begin with MSK, which is also a hospital.
_WORD = rf"(?:[ ._-]?(?:{_LONG})|(?:^|[ ._-])(?:{_SHORT})|(?<=\w)[ ._-]msks?)"
_ENDING = re.compile(rf"{_WORD}{_COUNT} *$")  # a blank before the suffix is nobody's intention
_ONE_ENDING = re.compile(rf"{_WORD}$")
# Of volumes: the sequence that a mask was drawn on, behind its word (`1-LesionSeg-Flair`, `P1_mask_t1ce`).
# But not `no_mask_flair`.
_SAID = rf"(?<!no)(?<!no[ ._-])(?<!without)(?<!without[ ._-]){_WORD}"
_ON_FLAIR = re.compile(rf"{_SAID}[ ._-](?:flair|t2f)$")
_ON_SEQUENCE = re.compile(rf"{_SAID}[ ._-](?:flair|t2[fw]?|t1(?:n|c|ce|gd)?)$")
# The word in another's end, as CaPTk has it (`brainTumorMask_SRI`); no `masked`.
_WITHIN = re.compile(r"(?<!no)(?<!un)masks?(?![a-z])")
_APART = re.compile(rf"(?<![^\W\d_])(?:{_LONG}|{_SHORT})(?![^\W\d_])")


def is_read_as_mask(stem: str) -> bool:
    """Whether a name without suffix ends as those of masks that are read do: `NAME_mask`, in any case."""
    return stem.lower().rstrip(" ").endswith(MASK_ENDING)


def name_of_masked(stem: str) -> str:
    """The name of the image whose mask this is, by `is_read_as_mask`."""
    return stem.rstrip(" ")[: -len(MASK_ENDING)]


def has_mask_within(stem: str) -> bool:
    """Whether a mask's word ends a part of a name without suffix, with more before and behind it."""
    return _WITHIN.search(stem.lower()) is not None


def is_overlay(stem: str) -> bool:
    """Whether a name without suffix is that of a picture of a mask on its image: neither of the two."""
    return stem.lower() == _OVERLAY


def is_of_vsd(stem: str) -> bool:
    """Whether a name without suffix is that of an expert's mask in the Virtual Skeleton Database."""
    return _OF_VSD.fullmatch(stem.lower()) is not None


def mask_word(name: str) -> str:
    """What of a file's name says that it is a mask (`_seg` of `scan_seg.png`), as it is written; else empty."""
    stem = _stem(name)
    if _BRUSH.fullmatch(stem.lower()) or is_overlay(stem) or is_of_vsd(stem):
        return stem
    if found := _CITYSCAPES.search(stem.lower()) or _ENDING.search(stem.lower()):
        return stem[found.start() :]
    if suffix_of(name) in _VOLUMES and (found := _ON_SEQUENCE.search(stem.lower())):
        return stem[found.start() :]
    begun = _BEGINNING.match(stem.lower())
    return stem[: begun.end()] if begun else ""


def name_without_mask(name: str) -> str:
    """A file's name without suffix and without what says that it is a mask: its image's (`scan` of `scan_seg.png`)."""
    stem, word = _stem(name), mask_word(name)
    return stem.removesuffix(word) if stem.endswith(word) else stem.removeprefix(word)


def mask_ending(stem: str) -> str:
    """What ends a name without suffix as that of an image's one mask: no `_mask_2`, no copy; else empty."""
    found = _ONE_ENDING.search(stem.lower())
    return stem[found.start() :] if found else ""


def flair_mask_ending(stem: str) -> str:
    """What ends a volume's name without suffix as that of a mask that was drawn on FLAIR (`-LesionSeg-Flair`); else
    empty."""
    found = _ON_FLAIR.search(stem.lower())
    return stem[found.start() :] if found else ""


def is_drawn_on_sequence(stem: str) -> bool:
    """Whether a volume's name is that of a mask with the sequence behind it that it was drawn on (`P1_mask_t1`)."""
    return _ON_SEQUENCE.search(stem.lower()) is not None


def is_of_brush(stem: str) -> bool:
    """Whether a name without suffix is that of Label Studio's brush, which says a task and no image."""
    return _BRUSH.fullmatch(stem.lower()) is not None


def is_of_matlab(stem: str) -> bool:
    """Whether a name is that of MATLAB's label, whose number is not its image's."""
    return _MATLAB.fullmatch(stem) is not None


_COUNTED = re.compile(r"[0-9]+| ?\([0-9]+\)")


def cut_mask_word(stem: str) -> list[str]:
    """A name without each mask's word that stands in it apart from other letters (`flair_75` of `flair_seg_75`)."""
    plain = stem.lower()
    return [f"{plain[: found.start()]}_{plain[found.end() :]}" for found in _APART.finditer(plain)]


def glue_mask_word(stem: str) -> list[str]:
    """A name without the mask's word before its number, as ImageJ counts the slices of a stack behind its name:
    `P10000` of `P1_mask0000`; or as Windows counts files that are renamed together: `P1 (2)` of `P1_mask (2)`. No
    `P1_mask_1`, which may be the first of several of P1's."""
    plain = stem.lower()
    return [
        f"{plain[: found.start()].rstrip(' ._-')}{plain[found.end() :]}"
        for found in _APART.finditer(plain)
        if found.start() and _COUNTED.fullmatch(plain, found.end())
    ]


def cityscapes_base(stem: str) -> str:
    """The name of the image whose labels these are by Cityscapes' names, which that ends with `_leftImg8bit`; else
    empty."""
    found = _CITYSCAPES.search(stem.lower())
    return stem[: found.start()] if found else ""


def without_tumor_word(base: str) -> str:
    """A mask's name without its mask's word, and without one behind the image's name that says it is the tumor's."""
    return _OF_TUMOR.sub("", base)


def doubtful_word(stem: str) -> str:
    """What ends a name as a mask's may, if the rest is an image's name (`_roi` of `scan_roi`); else empty."""
    found = _DOUBTFUL.search(stem.lower())
    return stem[found.start() :] if found else ""


def result_word(stem: str) -> str:
    """What ends a name as a model's answer or an overlay may be called, if the rest is an image's name (`_predict` of
    `0_predict`); else empty."""
    found = _RESULT.search(stem.lower())
    return stem[found.start() :] if found else ""


def count_own_folders(paths: Iterable[str]) -> int:
    """How many folders at the beginning of all these paths are the set's own though one is called as those of masks:
    masks by their names and others lie in it (`brains_mask/P1/flair`, `brains_mask/P1/seg`). Others than pictures and
    volumes do not count."""
    kinds = (*IMAGE_SUFFIXES, *OTHER_SUFFIXES)
    files = [path.replace("\\", "/").split("/") for path in paths if suffix_of(path) in kinds]
    shared = [
        names[0] for names in itertools.takewhile(_are_equal, zip(*(parts[:-1] for parts in files), strict=False))
    ]
    for count in range(len(shared), 0, -1):
        if _OF_MASKS.fullmatch(name_key(shared[count - 1])) and len({bool(_sign(parts, count)) for parts in files}) > 1:
            return count
    return 0


def mask_sign(path: str, own_folders: int = 0) -> str:
    """What of a path, with `/` or `\\`, says that its file is a mask: the word in its name, else the folder of masks
    that it lies in (`masks/`); empty where nothing does, and of text, which holds outlines at most.

    own_folders: of `count_own_folders`, whose names say nothing.
    """
    return _sign(path.replace("\\", "/").split("/"), own_folders)


def _sign(parts: Sequence[str], own_folders: int) -> str:
    *folders, name = parts
    if suffix_of(name) in ANNOTATION_SUFFIXES:
        return ""
    if word := mask_word(name):
        return word
    if found := next((f"{folder}/" for folder in folders[own_folders:] if _is_of_masks(name_key(folder))), ""):
        return found
    is_inner = len(folders) > max(1, own_folders) and name_key(folders[-1]) in _INNER_FOLDERS
    return f"{folders[-1]}/" if is_inner else ""


def _are_equal(names: Sequence[str]) -> bool:
    return len(set(names)) == 1


def looks_like_mask(path: str, own_folders: int = 0) -> bool:
    """Whether a file's name, or a folder that it lies in, says that it is an expert's mask and no scan."""
    return bool(mask_sign(path, own_folders))


def _is_of_masks(folder: str) -> bool:
    """Whether a folder is called as those of masks are; by `name_key`."""
    known = (*MASK_FOLDERS, *_OTHER_FOLDERS, *_PROGRAM_FOLDERS)
    return folder in known or _OF_MASKS.fullmatch(folder) is not None


def _stem(name: str) -> str:
    """The name without the suffix of a file of pixels, `.ome.tif` as one; other dots are its own (`scan.mask.png`)."""
    suffix = suffix_of(name)
    if suffix not in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES):
        return PurePosixPath(name).stem
    stem = name[: -len(suffix)]
    return stem[: -len(_OME)] if stem.lower().endswith(_OME) else stem
