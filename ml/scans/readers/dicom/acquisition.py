"""What a DICOM header says of how its pictures were made, for `ml.scans.sequence`: no value of a patient is read.

A plain object has its elements at the top (PS3.3 C.8.3.1), an enhanced one in functional groups (C.8.13).
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from pydicom.dataset import Dataset

from ml.scans.body_parts import is_other_part
from ml.scans.sequence import Acquisition

_WORDS = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
# Groups of an enhanced object that hold the elements below, shared by all frames or of the first.
_GROUPS = (
    "MRTimingAndRelatedParametersSequence",
    "MREchoSequence",
    "MRModifierSequence",
    "MRImageFrameTypeSequence",
)
# What stands where an agent's name should, and names none.
_NO_AGENT = ("", "no", "none", "without", "n/a", "na", "0", "false")
_IMAGE_TYPES = {"ADC", "TRACEW", "DIFFUSION", "DWI", "PERFUSION", "ASL", "FMRI", "LOCALIZER", "TOF"}


def acquisition_of(header: Dataset) -> Acquisition:
    """The elements that tell a sequence, of a plain or an enhanced object."""
    groups = list(_groups(header))

    def value(*names: str) -> Any:
        return next((group.get(name) for name in names for group in groups if name in group), None)

    scanning = set(_texts(value("ScanningSequence")))
    scanning |= {"EP"} if value("EchoPlanarPulseSequence") == "YES" else set()
    scanning |= {"IR"} if value("InversionRecovery") == "YES" else set()
    kinds = _IMAGE_TYPES.intersection(part.upper() for part in _texts(header.get("ImageType")))
    return Acquisition(
        words=" ".join([*(str(header.get(name) or "") for name in _WORDS), *sorted(kinds)]),
        scanning=frozenset(scanning),
        echo_ms=_number(value("EchoTime", "EffectiveEchoTime")),
        repetition_ms=_number(value("RepetitionTime")),
        inversion_ms=_number(value("InversionTime", "InversionTimes")),
        has_contrast=_has_agent(header),
        contrast=str(value("AcquisitionContrast") or ""),
        is_other_part=is_other_part(str(header.get("BodyPartExamined") or header.get("StudyDescription") or "")),
    )


def _groups(header: Dataset) -> Iterator[Dataset]:
    yield header
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for part in list(header.get(name) or [])[:1]:
            for group in _GROUPS:
                yield from list(part.get(group) or [])[:1]


def _has_agent(header: Dataset) -> bool:
    """Whether a contrast agent is named, by text or by an item of the enhanced object's list."""
    named = str(header.get("ContrastBolusAgent") or "").strip().lower()
    return named not in _NO_AGENT or bool(header.get("ContrastBolusAgentSequence"))


def _number(value: Any) -> float | None:
    """A finite number, of several the first; None for anything else."""
    try:
        number = float(value if isinstance(value, str | int | float) else value[0])
    except (TypeError, ValueError, IndexError):
        return None
    return number if isfinite(number) else None


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value or ())
