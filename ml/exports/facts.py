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
    finished_at: ISO 8601, UTC. measured: of `webapp.domain.scans.measurements.measure`; of each lesion also
    `source_slice`, the series' own slice that is its `largest_slice`, None where that is none.
    """

    run: str
    patient: str
    finished_at: str
    model: str
    model_version: str
    threshold: float
    version: str
    measured: dict[str, Any]
