"""Which sequence a file or a channel of a data set is, by the names of BraTS and of nnU-Net's dataset.json."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import name_key
from ml.datasets.layouts.tree import Tree
from ml.datasets.mask_names import flair_mask_ending, is_drawn_on_sequence, is_of_vsd, mask_ending, mask_sign


class Sequence(Enum):
    """What the models read of a patient, in the order of a scan's channels; SEG is the expert's mask."""

    T1 = "T1"
    FLAIR = "FLAIR"
    T1_POST = "T1 after contrast"
    OTHER = "another sequence"
    SEG = "mask"


# BraTS from 2023 on (https://www.synapse.org/brats2023) and before (2012 to 2021), and UCSD-PTGBM's T1pre and T1post
# (https://doi.org/10.7937/6bzg-9j06), after the last - or _ of a name.
_BRATS = {
    "t2f": Sequence.FLAIR,
    "flair": Sequence.FLAIR,
    "t1n": Sequence.T1,
    "t1pre": Sequence.T1,
    "t1": Sequence.T1,
    "t1c": Sequence.T1_POST,
    "t1ce": Sequence.T1_POST,
    "t1post": Sequence.T1_POST,
    "t1gd": Sequence.T1_POST,
    "t2w": Sequence.OTHER,
    "t2": Sequence.OTHER,
    "seg": Sequence.SEG,
}
# Folders of a patient that are not of what the models read.
_OTHER_FOLDER = re.compile(r"(?:t1|t2|pd|adc|dwi|swi|dti|mra|gre|asl|perf|trace|diff).*")
_NOT_FLAIR = "Slices of another sequence than FLAIR, which the models read: of a patient's folders FLAIR's is taken."
_FLAIR = re.compile(r".*(flair|t2f)")
_T1_POST = re.compile(r".*t1.*(ce?$|post|gd|gad|contrast|enhanced|km)")
_NOT_CONTRAST = re.compile(r".*(pre|non|without|native|no)")


# What stands before the sequence on whose grid a volume of another was brought: `P1_T1_to_FLAIR`, `T2_space-FLAIR`.
_ONTO = re.compile(r"(?:.*[-_. ])?(?:on)?to|.*[-_. ](?:in|space)", re.IGNORECASE | re.DOTALL)
# What of a name with FLAIR in it says that it is something else, or lies on FLAIR's grid.
_NOT_SCANNED = re.compile(
    r"t1.*|adc|dwi|swi|to|in|on|reg.*|coreg.*|space|warp.*|brain|bet|diff.*|sub.*|map|prob.*|pred.*"
)

# The Virtual Skeleton Database's, as BRATS 2012 to 2015 have it: `VSD.Brain.XX.O.MR_Flair.54512`.
_OF_VSD = re.compile(r"VSD\..+\.MR_([a-z0-9]+)\.[0-9]+", re.IGNORECASE | re.DOTALL)

# What CaPTk's pipeline puts behind a sequence (LPS, resampled, skull-stripped), as TCIA's REMBRANDT has it.
_PROCESSED = re.compile(r"(?:_LPS)?(?:_rSRI)?(?:_SS(?:Final)?)?$", re.IGNORECASE)


def split_brats_name(stem: str) -> tuple[str, Sequence] | None:
    """The patient's part of a file's name (empty where the name is that of the sequence alone) and its sequence.

    Masks are told by other programs' endings, too: `-label` (3D Slicer), `_segmentation` (ITK-SNAP), `_mask`,
    and where the sequence that they were drawn on stands behind that: `1-LesionSeg-Flair`. One that was drawn on
    another than FLAIR (`1-LesionSeg-T1`) is none of these.
    """
    if is_of_vsd(stem):
        return "", Sequence.SEG
    if of_vsd := _OF_VSD.fullmatch(stem):
        return "", _BRATS.get(of_vsd[1].lower(), Sequence.OTHER)
    if word := mask_ending(stem) or flair_mask_ending(stem):
        return stem.removesuffix(word), Sequence.SEG
    if is_drawn_on_sequence(stem):  # neither a scan nor FLAIR's mask
        return None
    found = re.fullmatch(r"(?:(.+)[-_])?([a-z0-9]+)", _PROCESSED.sub("", stem), re.IGNORECASE)
    sequence = _BRATS.get(found[2].lower()) if found else None
    if found is None or sequence is None:
        return None
    base = found[1] or ""
    return base, Sequence.OTHER if _ONTO.fullmatch(base) else sequence


def is_scan_of_vsd(stem: str) -> bool:
    """Whether a volume's name is that of a sequence in the Virtual Skeleton Database, which has a folder for each."""
    return _OF_VSD.fullmatch(stem) is not None


def says_flair(stem: str) -> bool:
    """Whether a word of a volume's name says that it is FLAIR as a scanner made it, wherever it stands
    (`P1_AX_T2_FLAIR_20190304_5`): no T1 FLAIR, no map, and nothing that was brought onto FLAIR."""
    words = re.split(r"[^a-z0-9]+", stem.lower())
    return "flair" in words and not any(map(_NOT_SCANNED.fullmatch, words))


def sequence_of_channel(name: str) -> Sequence:
    """What dataset.json calls a channel: "FLAIR", "T2-FLAIR", "T1ce", "T1 post", "t1n"."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if _FLAIR.match(plain):
        return Sequence.FLAIR
    if _T1_POST.match(plain) and not _NOT_CONTRAST.match(plain):
        return Sequence.T1_POST
    return Sequence.T1 if plain.startswith("t1") or "t1w" in plain else Sequence.OTHER


def flair_folder(tree: Tree, patient: Path) -> Path | None:
    """FLAIR's of the folders in a patient's that are one for each sequence; None where they are not, or none is FLAIR's
    alone."""
    listing = tree.listing(patient)
    if tree.images(patient) or not listing.folders:
        return None
    flair = [path for path in listing.folders if is_flair(path)]
    others = [path for path in listing.folders if is_other_sequence(path)]
    return flair[0] if len(flair) == 1 and tree.images(flair[0]) and others else None


def other_sequences(tree: Tree, patient: Path, flair: Path, folder: Path) -> Iterator[Problem]:
    """The slices of a patient's other folders of sequences, as left out; paths relative to `folder`."""
    for path in tree.listing(patient).folders:
        names = tuple(image.relative_to(folder).as_posix() for image in tree.images(path))
        if path != flair and is_other_sequence(path) and names:
            yield Problem("left_out", names, _NOT_FLAIR)


def is_flair(path: Path) -> bool:
    """Whether a folder is called as FLAIR's, and not as its masks'."""
    return not mask_sign(f"{path.name}/1.png") and sequence_of_channel(path.name) is Sequence.FLAIR


def is_other_sequence(path: Path) -> bool:
    """Whether a folder is called as a sequence that is not FLAIR, and not as its masks'."""
    plain = re.sub(r"[^a-z0-9]", "", name_key(path.name))
    return not is_flair(path) and not mask_sign(f"{path.name}/1.png") and _OTHER_FOLDER.fullmatch(plain) is not None
