"""What an export says beside the mask itself, as JSON between a portal and the process that writes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The objects that are written."""

    SEGMENTATION = "segmentation"
    """DICOM SEG, PS3.3 A.51."""


@dataclass(frozen=True)
class Facts:
    """Of a run and its scan.

    run: what makes its objects' UIDs; equal for equal results. patient: a pseudonym, empty where there is none.
    finished_at: ISO 8601, UTC. measured: of `webapp.domain.scans.measurements.measure`.
    """

    run: str
    patient: str
    finished_at: str
    model: str
    model_version: str
    threshold: float
    version: str
    measured: dict[str, Any]
