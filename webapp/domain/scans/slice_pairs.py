"""Which slice of one scan is shown beside which of another, for two dates of a patient.

By the heights that the two files state, where both do and their stacks overlap by half; else by their share of the
stack. Nothing is registered: a head that lay otherwise is shown as it lay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.volumes.grid import VolumeGrid
from ml.volumes.planes import stack_affine
from webapp.domain.scans.models import Scan

# Of the shorter stack's slices, so many must have one beside them.
_LEAST_OVERLAP = 0.5


@dataclass(frozen=True)
class SlicePairs:
    """seconds: of each slice of the first scan the slice of the second, None where it has none there. how: in words."""

    seconds: tuple[int | None, ...]
    how: str


def pair(first: Scan, second: Scan) -> SlicePairs:
    """Match the slices of two stacks."""
    one, other = _heights(first), _heights(second)
    if one is not None and other is not None:
        gap = max(_step(one), _step(other)) / 2 + 1e-6
        nearest = [int(np.argmin(np.abs(other - height))) for height in one]
        matched = tuple(
            index if abs(other[index] - height) <= gap else None for index, height in zip(nearest, one, strict=True)
        )
        found = sum(index is not None for index in matched)
        if found >= _LEAST_OVERLAP * min(len(one), len(other)):
            return SlicePairs(
                matched, f"Slices are matched by the height in mm that the files state{_frames(first, second)}"
            )
        reason = "their heights in mm hardly overlap"
    else:
        reason = "not both files say where their slices lie"
    return SlicePairs(_by_share(first.slice_count, second.slice_count), f"Slices are matched by number, for {reason}.")


def _frames(first: Scan, second: Scan) -> str:
    frames = {(scan.geometry or {}).get("frame_of_reference") for scan in (first, second)}
    if len(frames) == 1 and None not in frames:
        return ", in one frame of reference."
    return "; nothing is registered, so the head may lie otherwise in the other one."


def _heights(scan: Scan) -> NDArray[np.float64] | None:
    """Of each slice's middle, in mm toward the head; None where the file does not say."""
    if not scan.knows_directions or scan.slice_count < 2:
        return None
    shape = (scan.slice_count, scan.height, scan.width)
    affine = np.array(stack_affine(VolumeGrid.from_json(scan.geometry), shape))
    middle = [(scan.height - 1) / 2, (scan.width - 1) / 2, 1.0]
    return np.array([affine[2] @ [index, *middle] for index in range(scan.slice_count)])


def _step(heights: Sequence[float] | NDArray[np.float64]) -> float:
    return float(np.median(np.abs(np.diff(heights))))


def _by_share(first: int, second: int) -> tuple[int, ...]:
    """Of stacks of equal length each its own; else at the same share of the stack."""
    if first == second:
        return tuple(range(first))
    return tuple(min(second - 1, round((index + 0.5) / first * second - 0.5)) for index in range(first))
