"""Which MRI sequence a file says that it is: by its header's numbers and words, or by its name.

The network reads FLAIR, and the same head in another sequence misleads it; where a file says what it is, nobody need
guess from the pictures (`ml.ood.sequences`). Of a header nothing is kept but the answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Formats of which header and name are asked: a picture's name is that of a slice.
VOLUME_FORMATS = ("nifti", "dicom")


class SequenceKind(StrEnum):
    """What is told apart. OTHER: not FLAIR, and no more is known. OTHER_PART: of another part of the body."""

    FLAIR = "flair"
    T1 = "t1"
    T1_POST = "t1_post"
    T2 = "t2"
    T2_STAR = "t2_star"
    PROTON_DENSITY = "proton_density"
    DIFFUSION = "diffusion"
    PERFUSION = "perfusion"
    EPI = "epi"
    ANGIOGRAPHY = "angiography"
    LOCALIZER = "localizer"
    OTHER = "other"
    OTHER_PART = "other_part"


class SequenceSource(StrEnum):
    """Who says so."""

    HEADER = "header"
    NAME = "name"


@dataclass(frozen=True)
class StatedSequence:
    """What a file says of its sequence."""

    kind: SequenceKind
    source: SequenceSource

    @property
    def is_flair(self) -> bool:
        """Whether it is what the models read."""
        return self.kind is SequenceKind.FLAIR

    def to_json(self) -> dict[str, str]:
        """`kind` and `source`, as a scan's row and the API have it."""
        return {"kind": self.kind.value, "source": self.source.value}

    @classmethod
    def from_json(cls, fields: Any) -> StatedSequence:
        """What `to_json` wrote. Raises ValueError, TypeError or KeyError where it is something else."""
        return cls(SequenceKind(fields["kind"]), SequenceSource(fields["source"]))


@dataclass(frozen=True)
class Acquisition:
    """What a header says of how its pictures were made; None, or nothing, where it does not say.

    words: of the names that people gave the series. scanning: DICOM's codes ("SE", "GR", "IR", "EP", "RM"). echo_ms,
    repetition_ms, inversion_ms: TE, TR and TI. has_contrast: whether a contrast agent is named. contrast: what the
    header itself calls it, of DICOM's AcquisitionContrast (C.8.13.3.1.1). is_other_part: whether another part of the
    body is named than the head.
    """

    words: str = ""
    scanning: frozenset[str] = frozenset()
    echo_ms: float | None = None
    repetition_ms: float | None = None
    inversion_ms: float | None = None
    has_contrast: bool = False
    contrast: str = ""
    is_other_part: bool = False


# FLAIR is weighted by T2: its echoes come after 80 ms and later (Hajnal et al., J Comput Assist Tomogr 1992; 140 ms in
# 3-D), those of T1, proton density and echo-planar films before 50.
SHORTEST_ECHO_MS = 50.0
# Fluid is dark after 1.5 s (0.2 T) to 2.9 s (3 T); fat, in STIR, after 0.25 s, and MPRAGE inverts for about 1 s.
FLUID_DARK_MS = (1400.0, 3500.0)

_OF_CONTRAST = {
    "FLUID_ATTENUATED": SequenceKind.FLAIR,
    "T1": SequenceKind.T1,
    "T2": SequenceKind.T2,
    "T2_STAR": SequenceKind.T2_STAR,
    "PROTON_DENSITY": SequenceKind.PROTON_DENSITY,
    "DIFFUSION": SequenceKind.DIFFUSION,
    "PERFUSION": SequenceKind.PERFUSION,
    "TIME_OF_FLIGHT": SequenceKind.ANGIOGRAPHY,
    "FLOW_ENCODED": SequenceKind.ANGIOGRAPHY,
    "STIR": SequenceKind.OTHER,
    "TAGGING": SequenceKind.OTHER,
}
# Words as scanners, BIDS, BraTS and people write them, each a whole word in lower case. "gre" and "spgr" say how, not
# what; "mpr" is a reformatted plane.
_PATTERNS: tuple[tuple[SequenceKind, str], ...] = (
    (SequenceKind.FLAIR, r"\w*flair\w*|fla|t2f|dark ?fl\w*"),
    (SequenceKind.T1_POST, r"t1w?(i|se|tse)?[ +]*(ce|c|gd|gad\w*|post\w*|km|contrast\w*)"),
    (SequenceKind.T1, r"t1|t1[a-z]\w*|me?mprage|mprage|mp2rage|bravo"),
    (SequenceKind.T2_STAR, r"t2 ?(star|s|gre|ffe)|t2\*|swi|swan|swip|hemo|qsm"),
    (SequenceKind.T2, r"t2|t2[a-z]\w*"),
    (SequenceKind.PROTON_DENSITY, r"pd|pdw|pd[ft]se"),
    (SequenceKind.DIFFUSION, r"\w*dwi\w*|\w*dti\w*|diff|diffusion|adc|trace|tracew|ep2d ?diff\w*|b1000"),
    (SequenceKind.PERFUSION, r"perf|perfusion|dsc|dce|p?c?asl|cbf|cbv"),
    (SequenceKind.EPI, r"\w*fmri\w*|bold|func|epi|ep2d|\*?epfid\w*|\*?ep2d\w*"),
    (SequenceKind.ANGIOGRAPHY, r"tof|mra|mrv|angio\w*"),
    (SequenceKind.LOCALIZER, r"locali[sz]er\w*|loc|scout|survey"),
)
_WORDS = tuple((kind, re.compile(rf"(?<![a-z0-9*])(?:{pattern})(?![a-z0-9])")) for kind, pattern in _PATTERNS)
_AFTER_CONTRAST = re.compile(r"(?<![a-z0-9])(?:post|gd|gad\w*|ce|c\+|\+ ?c|km|postcontrast|enhanced)(?![a-z0-9])")
_BEFORE_CONTRAST = re.compile(r"(?<![a-z0-9])(?:pre|precontrast|non ?contrast|without|native?)(?![a-z0-9])")
# The words of a name that are its sequence's: all of these, contrast and planes. Browsers read it, too.
SEQUENCE_WORDS = (
    r"(?<![a-z0-9*])(?:"
    + "|".join(pattern for _, pattern in _PATTERNS)
    + r"|post|gd|gad\w*|ce|c\+|km|postcontrast|enhanced|pre|precontrast|non|without|with|contrast|native?"
    r"|ax|axial|sag|sagittal|cor|coronal|tra|[23]d)(?![a-z0-9])"
)
# What a second word only specifies: the first stands.
_SPECIFIED = {
    SequenceKind.T1_POST: {SequenceKind.T1, SequenceKind.PERFUSION},
    SequenceKind.FLAIR: {SequenceKind.T2},
    SequenceKind.T2_STAR: {SequenceKind.T2},
    SequenceKind.DIFFUSION: {SequenceKind.EPI, SequenceKind.T2},
    SequenceKind.PERFUSION: {SequenceKind.EPI},
    SequenceKind.LOCALIZER: set(SequenceKind) - {SequenceKind.FLAIR},
}


def kind_of(made: Acquisition) -> SequenceKind | None:
    """What a header says; None where it says nothing, or contradicts itself."""
    words = _kinds_of_words(made.words)
    if made.is_other_part:  # FLAIR is made of heads: one of the two words is wrong then
        return None if SequenceKind.FLAIR in words else SequenceKind.OTHER_PART
    if SequenceKind.FLAIR in words:
        return _kind_of_flair(made, words)
    stated = _OF_CONTRAST.get(made.contrast)
    if stated is SequenceKind.FLAIR:
        return SequenceKind.FLAIR if _may_be_flair(made) and not words else None
    kind = stated or _one_of(words)
    if kind in (None, SequenceKind.T2) and _inverts_fluid(made):  # Siemens calls it "t2_tirm"
        return SequenceKind.FLAIR
    if "EP" in made.scanning and kind in (None, SequenceKind.OTHER, SequenceKind.T2, SequenceKind.T2_STAR):
        kind = SequenceKind.EPI
    if kind is SequenceKind.T1:
        return SequenceKind.T1_POST if _has_contrast(made) else kind
    return kind or (None if _may_be_flair(made) else SequenceKind.OTHER)


def kind_of_name(name: str) -> SequenceKind | None:
    """What a file's name says; None where it says nothing, or several things: "t1" may be the first of two days."""
    words = _kinds_of_words(name)
    kind = next(iter(words)) if len(words) == 1 else None
    if kind is SequenceKind.T1 and _AFTER_CONTRAST.search(_text(name)) and not _BEFORE_CONTRAST.search(_text(name)):
        return SequenceKind.T1_POST
    return kind


def agree(header: SequenceKind | None, name: SequenceKind | None) -> StatedSequence | None:
    """What header and name say together; None where neither says anything, or one says FLAIR and the other not."""
    if header is None:
        return None if name is None else StatedSequence(name, SequenceSource.NAME)
    if name is not None and (header is SequenceKind.FLAIR) != (name is SequenceKind.FLAIR):
        return None
    # Of a header that only tells what it is not, the name knows more.
    kind = name if header is SequenceKind.OTHER and name is not None else header
    return StatedSequence(kind, SequenceSource.HEADER)


def _kind_of_flair(made: Acquisition, words: Collection[SequenceKind]) -> SequenceKind | None:
    """Of words with FLAIR among them: "T1 FLAIR" is a T1 with a short echo."""
    others = set(words) - {SequenceKind.FLAIR}
    if not _may_be_flair(made):
        is_t1 = bool(others) and others <= {SequenceKind.T1, SequenceKind.T1_POST}
        return (SequenceKind.T1_POST if _has_contrast(made) else SequenceKind.T1) if is_t1 else None
    if others and made.echo_ms is None:
        return None
    return SequenceKind.FLAIR if others <= {SequenceKind.T1, SequenceKind.T1_POST} else None


def _may_be_flair(made: Acquisition) -> bool:
    """Whether the numbers allow it."""
    return made.echo_ms is None or made.echo_ms <= 0 or made.echo_ms >= SHORTEST_ECHO_MS


def _inverts_fluid(made: Acquisition) -> bool:
    low, high = FLUID_DARK_MS
    is_late = made.echo_ms is not None and made.echo_ms >= SHORTEST_ECHO_MS
    return is_late and made.inversion_ms is not None and low <= made.inversion_ms <= high


def _has_contrast(made: Acquisition) -> bool:
    text = _text(made.words)
    is_after = made.has_contrast or _AFTER_CONTRAST.search(text) is not None
    return is_after and _BEFORE_CONTRAST.search(text) is None


def _text(words: str) -> str:
    """In lower case, with single blanks between words; "+" and "*" stay."""
    return " ".join(re.split(r"[^a-z0-9+*]+", words.lower()))


def _kinds_of_words(words: str) -> set[SequenceKind]:
    """The kinds that words name, less those that another word specifies."""
    text = _text(words)
    found = {kind for kind, pattern in _WORDS if pattern.search(text)}
    for kind, others in _SPECIFIED.items():
        if kind in found:
            found -= others - {kind}
    return found


def _one_of(kinds: Collection[SequenceKind]) -> SequenceKind | None:
    """The only one; OTHER where there are several, none of them FLAIR."""
    if not kinds:
        return None
    return next(iter(kinds)) if len(kinds) == 1 else SequenceKind.OTHER
