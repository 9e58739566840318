"""What is said of a DICOM series without naming anybody; how it came to be is `ml.scans.readers.dicom.descriptions`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_DESCRIPTION = re.compile(r"[\w .,*+-]{0,200}", re.ASCII)
_MODALITY = re.compile(r"[A-Z]{0,16}")
_YEAR = re.compile(r"\d{4}")


@dataclass(frozen=True)
class SeriesLabel:
    """description: in words; empty where the header says nothing. modality: as DICOM codes it. date: of the
    examination, its year alone; None where the header has none."""

    description: str = ""
    modality: str = ""
    date: str | None = None

    def __post_init__(self) -> None:
        if not _DESCRIPTION.fullmatch(self.description) or not _MODALITY.fullmatch(self.modality):
            raise ValueError("These are no words of a series.")
        if self.date is not None and not _YEAR.fullmatch(self.date):
            raise ValueError("The date is no year.")

    @classmethod
    def from_json(cls, fields: Any) -> SeriesLabel:
        """Of what `dataclasses.asdict` made. Raises ValueError, TypeError or KeyError where it is something else."""
        return cls(fields["description"], fields["modality"], fields["date"])
