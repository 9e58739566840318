"""What a slice that was cut from a volume and written as PNG says of the volume, in text chunks of its own (PNG
specification, 11.3.3.2): a picture alone shows neither, and the models read it otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.scans.sequence import SequenceKind

_SKULL, _SEQUENCE = "Glioscope skull", "Glioscope sequence"
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
