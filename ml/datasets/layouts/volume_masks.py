"""Which masks of volumes are the tumor's by an expert, by their names: those of brain, skull and tissue are none, and
of several of one patient the one that says it most plainly is taken.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import MASK_VOLUME_SUFFIXES, VOLUME_SUFFIXES, name_key, shown, suffix_of
from ml.datasets.layouts.left_out import relative
from ml.datasets.layouts.sequences import Sequence as Kind
from ml.datasets.layouts.sequences import split_brats_name
from ml.datasets.layouts.volume_patients import VolumePatient
from ml.datasets.mask_names import (
    doubtful_word,
    flair_mask_ending,
    is_of_vsd,
    mask_ending,
    mask_sign,
    name_without_mask,
    without_tumor_word,
)
from ml.datasets.time_points import is_time
from ml.datasets.volume_slices import file_of

# What radiotherapy spares, and what is left after surgery.
_ORGANS = (
    r"brain[-_. ]?stem|cerebellum|ventricles?|hippocamp(?:us|i)|(?:optic[-_. ]?)?(?:chiasm|nerves?)|eyes?|lens(?:es)?"
    r"|cochleas?|(?:spinal[-_. ]?)?cord|pituitary[-_. ]?gland|(?:resection[-_. ]?)?cavity"
)
# Masks of anything else than the tumor, by what stands before the mask's word: UCSF-PDGM's brain_segmentation,
# fMRIPrep's desc-brain_mask, desc-aseg_dseg, label-GM_mask.
_ANATOMY = (
    r"(?:brain(?:[-_. ]?extraction)?|parenchyma|skull|head|bet|hd-?bet|synthstrip|tissues?|wm|gm|csf|aseg"
    rf"|aparc(?:\+?aseg)?|(?:{_ORGANS})(?:[-_. ]?(?:l|r|lt|rt|left|right))?)"
)
_OF_ANATOMY = re.compile(rf"(?:.*[-_. ])?{_ANATOMY}", re.IGNORECASE | re.DOTALL)
_STRIPPED = re.compile(r"(?:.*[-_. ])?(?:brain|bet|hd-?bet|synthstrip)", re.DOTALL)
_ENDS_IN_ANATOMY = re.compile(rf".+[-_. ]{_ANATOMY}", re.IGNORECASE | re.DOTALL)
# Programs whose segmentations are of anatomy, by the folders of BIDS' derivatives.
_OF_PROGRAMS = re.compile(
    r"(?:[fs]mriprep|freesurfer|fastsurfer|synthseg|synthstrip|cat12|spm\d*|fsl|hd-?bet|mriqc|micapipe)(?:[-_. ].*)?"
)
# What says that a mask is the tumor's: also the labels of BIDS (`label-lesion_mask`).
_SAYS_TUMOR = re.compile(r"(?:.*[^a-z])?(?:tumou?r|lesion|glioma|glioblastoma)s?(?:[^a-z].*)?", re.DOTALL)
# The same of a name without a mask's word: `tumor`, `P1_tumor`, `P1_ROI`, BIDS' older `label-lesion_roi`.
_TUMOR_AT_END = re.compile(r"(.*[-_. ])?(?:tumou?rs?|lesions?|rois?)", re.DOTALL)
# A part of the tumor, as BraTS has them (edema ED, core TC, enhancing ET, necrosis NCR, non-enhancing NET), and the
# whole: `P1_edema`, `P1_enhancing_tumor`, `Segmentation_necrosis`, `P1_WT`. But `T1_enhanced` is a scan.
_PART = re.compile(
    r"(?:.*[-_. ])?(?:(?:(?:non[-_. ]?)?enhancing|o?edema|necro(?:sis|tic)|infiltration)(?:[-_. ]?(?:tumou?rs?|core))?"
    r"|(?:tumou?r[-_. ]?)?core|et|ed|tc|ncr|net)",
    re.DOTALL,
)
_WHOLE = re.compile(r"(?:.*[-_. ])?(?:wt|whole[-_. ]?(?:tumou?r|lesion))", re.DOTALL)
# Of BIDS: what a file was brought onto (`space-MNI152NLin2009cAsym`); those of the scan itself bring it nowhere.
_SPACE = re.compile(r"(?:^|_)space-([a-z0-9+]+)", re.IGNORECASE)
_OWN_SPACES = frozenset({"flair", "individual", "native", "orig", "scanner"})
# What people call a model's answer (`P1_pred_seg`, `P1_seg_nnunet`).
_MODELS = (
    r"pred(?:s|ict(?:ed|ions?)?)?|inferences?|outputs?|nn-?u-?net(?:v2)?|swin-?unetr|segresnet|deepmedic|hd-?glio|unet"
)
# Masks that a program made and nobody corrected: of TCIA's BraTS-TCGA (https://doi.org/10.7937/K9/TCIA.2017.KLXWJJ1Q)
# and UPENN-GBM (https://doi.org/10.7937/TCIA.709X-DN49).
_AUTOMATIC = re.compile(
    rf"(?:(?:.*[-_. ])?(?:auto(?:mated|matic|matically)?|{_MODELS})|.+[-_. ]ai)(?:[-_. ].*)?"
    r"|.*glistrboost(?:[-_. ]?out)?",
    re.DOTALL,
)
# The same by the two folders around: what MONAI Label's models drew is in `labels/original`, and what a person made of
# it in `labels/final`.
_OF_MODELS = re.compile(r"(?:.*[-_. ])?auto(?:mated|matic)?(?:[-_. ].*)?|predictions?|inferences?")
# And by any: LUMIERE's `HD-GLIO-AUTO-segmentation/native`, `DeepBraTumIA-segmentation/atlas/segmentation`.
_OF_TUMOR_PROGRAMS = re.compile(r"(?:deepbratumia|hd-?glio).*")
_ORIGINAL = ("labels", "original")
# Of BraTS 2024 (https://www.synapse.org/Synapse:syn53708249) the times from 100 on, MU-Glioma-Post's and UCSD-PTGBM's.
_AFTER_TREATMENT = re.compile(
    r"brats-gli-\d{5}-1\d\d-seg|patientid_\d{4}_timepoint_\d+_tumormask|ucsd-ptgbm-\d{4}_\d{2}_brats_tumor_seg"
)
_MAKER = re.compile(rf"[-_. ]?auto(?:mated|matic)?(?:[-_. ]approx)?$|[-_. ](?:{_MODELS}|ai)$", re.IGNORECASE)
_SPARE = (
    "Another mask of the same volume is taken, which by its name is the expert's or the tumor's, or lies in the"
    " volume's own space: remove these, or that one, if they are the right ones."
)


# Numbers that are no patient's and no date's: of readers, versions and parts, and how a volume was taken.
_BESIDE_NUMBERS = re.compile(
    r"(?:rater|reader|expert|annotator|observer|version|ver|rev|final|draft|label|roi|gtv[pn]?|grade|who|class|run|seg"
    r"|mask|lesion|tumou?r|t[12])[-_. ]?\d+|\d+(?:d|mm)(?![a-z])"
)
# BraTS 2020's one mask of another name (BraTS20_Training_355); those of the Virtual Skeleton Database are all.
_OTHERS_NAME = "w39_1998.09.19_segm"
_VERSION = re.compile(r"(?<![a-z])v[-_. ]?\d+")
_TIME_WORDS = re.compile(
    r"(?<![a-z])(?:baseline|follow[-_. ]?up|fu|initial|diagnosis|recurren(?:ce|t)|relapse|progression"
    r"|(?:pre|post|intra)(?:[-_. ]?(?:op(?:erative)?|rt|surgery|treatment))?)(?![a-z])"
)


def is_of_another(mask: Path, flair: Path, folder: Path) -> bool:
    """Whether a mask that is not called as its FLAIR names another patient or another time: a number or a word of a
    time that neither FLAIR's name nor the folders around it, below `folder`, have."""
    base, own = name_key(base_of_mask(_stem(mask))), name_key(base_of_mask(_stem(flair)))
    named = split_brats_name(own)
    own = own if named is None else named[0]
    below = flair.relative_to(folder).parts[:-1]
    # Folders of times may be listed one person at a time, whose folder is the set then.
    around = [name_key(part) for part in ((folder.name, *below) if all(map(is_time, below)) else below)]
    if is_of_vsd(_stem(mask)) or _key(mask) == _OTHERS_NAME:
        return False
    beginning = own or next(reversed(around), "")
    if beginning and base.startswith(beginning) and not base[len(beginning) :][:1].isdigit():
        return False
    times = {_plain(found[0]) for found in _TIME_WORDS.finditer(base)}
    known = {_plain(found[0]) for one in (own, *around) for found in _TIME_WORDS.finditer(one)}
    if times and known and not times & known:
        return True
    left = _BESIDE_NUMBERS.sub("", base)
    if not any(map(_VERSION.search, (own, *around))):
        left = _VERSION.sub("", left)
    here: Counter[int] = Counter()
    for one in (own, *around):
        here |= _numbers_in(one)
    return bool(_numbers_in(left) - here)


def _numbers_in(text: str) -> Counter[int]:
    """The numbers of a name, a date as one whatever stands between its parts (`2019-03-04`)."""
    joined = re.sub(r"(?<!\d)(\d{4})[-_. ](\d{2})[-_. ](\d{2})(?!\d)", r"\1\2\3", text)
    return Counter(int(found) for found in re.findall(r"\d{1,18}", joined))


def _plain(word: str) -> str:
    return re.sub(r"[-_. ]", "", word)


def is_of_anatomy(path: Path, folder: Path) -> bool:
    """Whether a mask, of a path below `folder`, is one of brain, skull or tissue by its name, or by the folder of the
    program that made it."""
    *folders, name = path.relative_to(folder).parts
    if _OF_ANATOMY.fullmatch(name_without_mask(name)):
        return True
    return not _says_tumor(path) and any(_OF_PROGRAMS.fullmatch(name_key(part)) for part in folders)


def ends_in_anatomy(base: str) -> bool:
    """Whether a mask's name without its mask's word is a volume's and behind it brain, an organ or the like
    (`P1_flair_brain`); not that word alone, which a volume may be called."""
    return _ENDS_IN_ANATOMY.fullmatch(base) is not None


def is_without_skull(path: Path) -> bool:
    """Whether a volume that is no mask is called as a scan without its skull (`P1_flair_brain`, of FSL's BET)."""
    return _STRIPPED.fullmatch(_key(path)) is not None


def is_volume_mask(path: Path, folder: Path) -> bool:
    """Whether a volume, of a path below `folder`, is a mask of a tumor by its name or by its folder."""
    is_volume = suffix_of(path.name) in (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
    has_sign = bool(mask_sign(path.relative_to(folder).as_posix())) or _TUMOR_AT_END.fullmatch(_key(path)) is not None
    return is_volume and has_sign and not is_of_anatomy(path, folder)


def is_of_part(path: Path) -> bool:
    """Whether a volume is called as a mask of a part of the tumor alone, with a mask's word or without."""
    stem = _key(path)
    return _PART.fullmatch(stem.removesuffix(mask_ending(stem))) is not None


def may_be_mask(path: Path, folder: Path) -> bool:
    """Whether a volume beside FLAIR, of a path below `folder`, may be one of its masks by its name: a mask's word with
    more behind it (`P1_seg_AB`, a reader's), or a part of the tumor. None of anatomy is."""
    stem = _key(path)
    if is_of_anatomy(path, folder) or any(map(_OF_ANATOMY.fullmatch, re.split(r"[-_. ]+", stem))):
        return False
    is_more = bool(doubtful_word(f" {stem}"))
    return is_more or is_of_part(path) or _WHOLE.fullmatch(stem) is not None or is_volume_mask(path, folder)


def base_of_mask(stem: str) -> str:
    """What of a mask's name is its patient's: `P1` of `P1_tumor_segmentation`, `P1_automated_approx_segm`."""
    word = mask_ending(stem) or flair_mask_ending(stem)
    return _MAKER.sub("", without_tumor_word(stem.removesuffix(word)))


def join_masks(by_base: dict[str, VolumePatient], folder: Path, *, is_one_patient: bool) -> None:
    """Give masks that are called as their FLAIR is (`flair-label`) to its patient; in a patient's own folder the one
    mask to the one FLAIR, however they are called (`Segmentation`), but for that of a part of the tumor (`edema_mask`)
    and of another patient or time (`is_of_another`). folder: the data set's.
    Masks of brain or skull are no part of the set, and others of one patient's folder that say more than its name
    (`P1_cellular_tumor_seg`) are spare where there is his.
    """
    with_flair = [patient for patient in by_base.values() if patient.first(Kind.FLAIR)]
    lonely = {base: patient for base, patient in by_base.items() if set(patient.files) == {Kind.SEG}}
    for base in [base for base in lonely if _OF_ANATOMY.fullmatch(base)]:
        del by_base[base], lonely[base]
    for base, patient in lonely.items():
        named = split_brats_name(base)
        owner = by_base.get(base_of_mask(base))
        if named is not None and named[1] is Kind.FLAIR:
            owner = by_base.get(named[0])
        if owner not in with_flair:
            is_alone = is_one_patient and len(lonely) == len(with_flair) == 1 and not with_flair[0].first(Kind.SEG)
            owner = with_flair[0] if is_alone and _may_be_of(patient, with_flair[0], folder) else None
        if owner is not None:
            owner.files[Kind.SEG].extend(patient.files.pop(Kind.SEG))
            del by_base[base]
    if is_one_patient and len(with_flair) == 1 and with_flair[0].first(Kind.SEG):
        (owner,) = with_flair
        name = name_key(next(base for base, patient in by_base.items() if patient is owner))
        more = re.compile(rf"{re.escape(name)}[-_. ].+", re.DOTALL)
        for base in [one for one in lonely if one in by_base and name and more.fullmatch(name_key(one))]:
            owner.spare.extend(by_base.pop(base).files[Kind.SEG])


def _may_be_of(masks: VolumePatient, patient: VolumePatient, folder: Path) -> bool:
    """Whether masks that are not called as a patient's FLAIR may still be his."""
    flair = patient.files[Kind.FLAIR][0]
    return not any(is_of_part(path) or is_of_another(path, flair, folder) for path in masks.files[Kind.SEG])


def join_drawn(patients: Collection[VolumePatient], drawn: Sequence[Path]) -> None:
    """Give the one file of a patient's own folder that is the tumor's by its name alone (`tumor`, `P1_ROI`, no
    `other_tumor`) to the one FLAIR, if there is no mask."""
    flair = [(patient, path) for patient in patients if (path := patient.first(Kind.FLAIR))]
    if len(drawn) != 1 or len(flair) != 1 or any(patient.first(Kind.SEG) for patient in patients):
        return
    found = _TUMOR_AT_END.fullmatch(_key(drawn[0]))
    if found is not None and _key(flair[0][1]).startswith((found[1] or "").rstrip("-_. ")):
        flair[0][0].files[Kind.SEG].append(drawn[0])


def choose_masks(patients: Sequence[VolumePatient], folder: Path) -> Iterator[Problem]:
    """Of several masks of a patient keep those in FLAIR's own space, of these those by a person, and of these the one
    that says that it is the tumor's; the others are named as left out, by paths below `folder`."""
    for patient in patients:
        masks = found = patient.files.get(Kind.SEG, [])
        flair = patient.first(Kind.FLAIR)
        space = _space_of(flair) if flair is not None else ""
        masks = [path for path in masks if _space_of(path) == space] or masks
        for is_better in (_is_by_person, _says_tumor):
            masks = [path for path in masks if is_better(path)] or masks
        if found:
            patient.spare += [path for path in found if path not in masks]
            patient.files[Kind.SEG] = masks
    if spare := tuple(relative(path, folder) for patient in patients for path in patient.spare):
        yield Problem("left_out", spare, _SPARE)


def find_automatic_masks(cases: Sequence[Case]) -> Iterator[Problem]:
    """How many patients have masks that a program made and nobody corrected."""
    masks = {case.patient: file_of(case.mask) for case in cases if case.mask is not None and case.fault is None}
    automatic = [path for path in masks.values() if not _is_by_person(path)]
    if automatic:
        text = (
            f"The masks of {len(automatic):,} of {len(masks):,} patients were made by a program, and corrected by"
            f" nobody, by their names (the first: {shown(automatic[0].name)}): figures of these say how far two"
            " programs agree."
        )
        yield Problem("automatic_masks", (), text)


def find_cavities(cases: Sequence[Case]) -> Iterator[Problem]:
    """How many patients have masks of a collection whose label 4 is the cavity of a resection, after treatment."""
    masks = {case.patient: file_of(case.mask) for case in cases if case.mask is not None and case.fault is None}
    treated = [path for path in masks.values() if _AFTER_TREATMENT.fullmatch(_key(path))]
    if treated:
        text = (
            f"The masks of {len(treated):,} of {len(masks):,} patients are called as those after treatment of BraTS"
            f" 2024, MU-Glioma-Post or UCSD-PTGBM (the first: {shown(treated[0].name)}), whose label 4 is a cavity of a"
            " resection: it counts as tumor here, as every label does. Write 0 in its place if it is none."
        )
        yield Problem("cavities", (), text)


def _space_of(path: Path) -> str:
    """The space that a name states; empty where that is the scan's own, or it states none."""
    found = _SPACE.search(path.name)
    space = name_key(found[1]) if found else ""
    return "" if space in _OWN_SPACES else space


def _is_by_person(path: Path) -> bool:
    folders = tuple(map(name_key, path.parts[-3:-1]))
    is_of_model = folders == _ORIGINAL or any(map(_OF_MODELS.fullmatch, folders))
    is_of_model |= any(_OF_TUMOR_PROGRAMS.fullmatch(name_key(folder)) for folder in path.parts[:-1])
    return _AUTOMATIC.fullmatch(_key(path)) is None and not is_of_model


def _says_tumor(path: Path) -> bool:
    return _SAYS_TUMOR.fullmatch(_key(path)) is not None


def _key(path: Path) -> str:
    """A volume's name without ending."""
    return name_key(_stem(path))


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path.name)) or None]
