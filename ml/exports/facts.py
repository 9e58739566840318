"""What an export says beside the mask itself, as JSON between a portal and the process that writes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The objects that are written."""

    SEGMENTATION = "segmentation"
    """DICOM SEG, PS3.3 A.51."""
    MEASUREMENTS = "measurements"
    """DICOM SR, TID 1500 of PS3.16."""
    RTSTRUCT = "rtstruct"
    """DICOM RT Structure Set, PS3.3 A.19."""


@dataclass(frozen=True)
class Facts:
    """Of a run and its scan.

    run: what makes its objects' UIDs; equal for equal results. patient: a pseudonym, empty where there is none.
    finished_at: ISO 8601, UTC. is_assessed: whether there is a verdict; without one nothing that is marked is a
    finding. doubt: what a reader must know, in sentences; empty where there is no doubt. measured: of
    `webapp.domain.scans.measurements.measure`; of each lesion also `source_slice`, the series' own slice that is its
    `largest_slice`, None where that is none, and `diameter_ends_mm` and `perpendicular_ends_mm`, two points of x, y, z
    in mm (RAS) each.
    """

    run: str
    patient: str
    finished_at: str
    model: str
    model_version: str
    threshold: float
    version: str
    is_assessed: bool
    doubt: str
    measured: dict[str, Any]

    @property
    def label(self) -> str:
        """What the marked region is called wherever it is shown."""
        if not self.is_assessed:
            return "Not assessed"
        return "Tumor, in doubt" if self.doubt else "Tumor"

    def title(self, what: str) -> str:
        """What an object's series is called. what: at most 16 letters."""
        if not self.is_assessed:
            return "Not assessed, no finding."
        return f"{what}, in doubt." if self.doubt else f"Tumor {what.lower()}."
