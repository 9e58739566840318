"""What a slice that was cut from a scan, or from its expert's mask, and written as PNG says of the file it came from,
in text chunks of its own (PNG specification, 11.3.3.2): a picture alone does not show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ml.scans.sequence import SequenceKind

_SKULL, _SEQUENCE, _FINDINGS = "Glioscope skull", "Glioscope sequence", "Glioscope mask findings"
_STRIPPED = "stripped"


@dataclass(frozen=True)
class CutSlice:
    """sequence: None where neither header nor name of the volume says which it is."""

    is_skull_stripped: bool = False
    sequence: SequenceKind | None = None

    def texts(self) -> dict[str, str]:
        """The chunks by their keywords; none where there is nothing to say."""
        said = {_SKULL: _STRIPPED} if self.is_skull_stripped else {}
        return said if self.sequence is None else {**said, _SEQUENCE: self.sequence.value}

    @classmethod
    def of(cls, texts: Mapping[Any, Any]) -> "CutSlice":
        """From a file's chunks, others among them; what is no word of ours says nothing."""
        kinds = {kind.value: kind for kind in SequenceKind}
        sequence = texts.get(_SEQUENCE)
        return cls(
            is_skull_stripped=texts.get(_SKULL) == _STRIPPED,
            sequence=kinds.get(sequence) if isinstance(sequence, str) else None,
        )


def texts_of_mask(codes: Iterable[str]) -> dict[str, str]:
    """The chunks of a mask. codes: of `ml.datasets.mask_findings`, what its own file had shown."""
    words = " ".join(codes)
    return {_FINDINGS: words} if words else {}


def codes_of_mask(texts: Mapping[Any, Any]) -> tuple[str, ...]:
    """The codes from a mask's chunks, and any other words that stand there."""
    return tuple(str(texts.get(_FINDINGS, "")).split())
