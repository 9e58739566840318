"""What is said of a DICOM series without naming anybody: words of MR protocols, the modality, the year.

A SeriesDescription is free text: people write patients' names and numbers into it. So the words of the list below are
kept, in their order, and no others, unless they are a person's of the same header; where none is left, the header's
numbers describe the series. Of dates only the year is kept, as HIPAA's safe harbor does (45 CFR 164.514).
"""

import re
from typing import Any

from pydicom.dataset import Dataset

from ml.scans.readers.dicom.identifiers import PEOPLE
from ml.scans.series_label import SeriesLabel

# Sequences, weightings, planes, contrast, fat suppression and options, as scanners' protocols abbreviate them.
_PROTOCOL_TEXT = """
2d 3d acq adc arterial asc ascending asl ax axial b0 b1000 b500 blade blood bold brain bravo cbf cbv ce ciss contrast
cor coronal cranio cube db dce delayed desc descending dess diff diffusion dir dis2d dis3d dixon dsc dti dual dwi
early echo ep ep2d epi exp fa fast fat fatsat fermi ffe ffs fgre fgret fiesta fl2d fl3d flair flash fluid fmri fov
frfse fs fse gad gado gadolinium gd grase gre haste head hires hr in inphase int interleaved inv inversion ir irfse
iso isotropic lava loc localiser localizer lr mag magnitude map mb mean medic mip mp2rage mpgr mpr mprage mra mrv ms
multi native nd neuro norm oax obl oblique ocor opp opposed osag out pc pca pd perf perfusion pha phase plan post
postcontrast postgad pre precontrast prefat prescan propeller proton psif qsm ref reg resolve rest resting rfmri rs
sag sagittal sat scout se semac silent single slab smartbrain space spair spgr spin spir ss ssfse steady stir sub
subtracted survey sw swan swi t1 t1c t1ce t1gd t1post t1w t2 t2f t2star t2w task tfe tfi tfl tgse thick thin thrive
time tir tirm tof tra trace tracew trans transverse true truefisp trufi tse turbo uni uniform vein venous vibe vista
vol volume w water we weighted whole with without wo
"""
_WORDS = frozenset(_PROTOCOL_TEXT.split())
_SPLIT = re.compile(r"[^\w*+]+|_+", re.ASCII)
# "t1+c", "t2*": signs of a protocol inside a word.
_SIGNS = re.compile(r"[*+]+")
# "rest2", "t2w3": the second of its kind.
_COUNT = re.compile(r"[0-9]{1,2}$")
_LINKS = frozenset(("w", "we", "wo", "with", "without", "out", "in", "multi", "native", "single", "c", "m", "of"))
_LONGEST_TEXT = 200
_MOST_WORDS = 12
_PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}
_SEQUENCES = {"SE": "spin echo", "IR": "inversion recovery", "GR": "gradient echo", "EP": "echo planar"}
_MODALITY = re.compile(r"[A-Z]{2,16}")
_YEAR = re.compile(r"(19[89]\d|20\d\d)\d{4}")


def label_of(header: Dataset) -> SeriesLabel:
    """What may be shown of a file's header. Raises whatever pydicom does for damaged elements."""
    # A surname may be a word of the list ("Dixon"): it is left out where the header says whose it is.
    named = {part for name in PEOPLE for part in _SPLIT.split(_text(header, name).lower())}
    said = (_protocol_words(_text(header, name), named) for name in ("SeriesDescription", "ProtocolName"))
    words = next((words for words in said if any(word not in _LINKS for word in words)), [])
    modality = _text(header, "Modality")
    dates = ("SeriesDate", "AcquisitionDate", "ContentDate", "StudyDate")
    years = (_YEAR.fullmatch(_text(header, name)[:8]) for name in dates)
    return SeriesLabel(
        " ".join(words) or _numbers_in_words(header),
        modality if _MODALITY.fullmatch(modality) else "",
        next((found[1] for found in years if found), None),
    )


def _protocol_words(text: str, named: set[str]) -> list[str]:
    """The words of protocols in a text. named: words of people's names, which are none even where they look like it."""
    words = [word for word in _SPLIT.split(text[:_LONGEST_TEXT]) if word and word.lower() not in named]
    return [word for word in words if _is_protocol(word.lower())][:_MOST_WORDS]


def _is_protocol(word: str) -> bool:
    parts = [part for part in _SIGNS.split(word) if part]
    if len(parts) > 1 and parts[-1] == "c":  # T1+C
        parts.pop()
    return bool(parts) and all(_COUNT.sub("", part) in _WORDS or part in _WORDS for part in parts)


def _numbers_in_words(header: Dataset) -> str:
    """Plane, kind of sequence and times: "axial spin echo, TR 9000, TE 90, TI 2500"."""
    sequence = header.get("ScanningSequence")
    codes = [sequence] if isinstance(sequence, str) else list(sequence or [])
    said = [_plane(header), *(_SEQUENCES[code] for code in codes if code in _SEQUENCES)]
    times = [("TR", "RepetitionTime"), ("TE", "EchoTime"), ("TI", "InversionTime")]
    numbers = [f"{sign} {value:.4g}" for sign, name in times if (value := _number(header.get(name)))]
    return ", ".join(filter(None, [" ".join(filter(None, said)), *numbers]))


def _plane(header: Dataset) -> str:
    try:
        a, b, c, d, e, f = (float(value) for value in header.get("ImageOrientationPatient") or ())
    except (TypeError, ValueError):
        return ""
    normal = (abs(b * f - c * e), abs(c * d - a * f), abs(a * e - b * d))
    return max(_PLANES, key=lambda plane: normal[_PLANES[plane]]) if max(normal) > 0.5 else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 1e6 else None


def _text(header: Dataset, name: str) -> str:
    value = header.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)
