"""How far a marked volume, and the change between two of them, may be off, by what a model was measured to be.

Of each patient that the model had not seen, e = ln(marked volume / expert's volume). With n such patients, a new one of
the same kind has |e| within the k-th smallest of theirs, k = ceil(share (n + 1)), with a probability of at least
`share`, whatever the distribution (split conformal prediction; Lei et al., 2018, arXiv:1604.04173). A change has the
errors of two dates, e2 - e1; the differences between two patients stand for it. So errors of one patient at two dates
are taken to be no more unlike than those of two patients; where they are alike, they cancel, and the range is too wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp

import numpy as np
from numpy.typing import NDArray

# Of new patients, and of changes, this share is to lie within the factors.
SHARE = 0.95


@dataclass(frozen=True)
class VolumeFactors:
    """How many times larger or smaller than the marked volume the expert's may be, each at least 1.

    half: for half of the patients; volume: for SHARE of them; change: the same of the ratio of two volumes.
    """

    half: float
    volume: float
    change: float
    patients: int


@dataclass(frozen=True)
class Growth:
    """From one volume to another: in ml and percent of the first, each with the ends of what the error allows."""

    change_ml: float
    change_ml_range: tuple[float, float]
    change_percent: float
    change_percent_range: tuple[float, float]

    @property
    def is_told(self) -> bool:
        """Whether there is a change at all: what the error allows does not cover zero."""
        low, high = self.change_percent_range
        return low > 0 or high < 0


def volume_factors(marked: Sequence[float], expert: Sequence[float]) -> VolumeFactors | None:
    """The factors by the volumes of each patient, in any unit; patients without tumor by the expert are left out.

    None where the patients are too few to tell (under 19), or nothing was marked in too many of them.
    """
    ours, theirs = np.asarray(marked, dtype=np.float64), np.asarray(expert, dtype=np.float64)
    is_counted = theirs > 0
    with np.errstate(divide="ignore"):
        error = np.log(ours[is_counted] / theirs[is_counted])  # (n,), -inf where nothing was marked
    one, other = np.triu_indices(len(error), 1)
    with np.errstate(invalid="ignore"):
        apart = np.abs(error[one] - error[other])  # (n (n - 1) / 2,)
    apart[np.isnan(apart)] = np.inf  # two of which nothing was marked
    bounds = [_bound(np.abs(error), 0.5), _bound(np.abs(error), SHARE), _bound(apart, SHARE)]
    if not np.isfinite(bounds).all():
        return None
    half, volume, change = (exp(bound) for bound in bounds)
    return VolumeFactors(half, volume, change, len(error))


def growth(first_ml: float, second_ml: float, volume_factor: float, change_factor: float) -> Growth:
    """The change of two volumes above 0. volume_factor: of each by itself; change_factor: of their ratio.

    In ml both ends keep to both factors: the first volume is within its own, and the ratio within that of a change.
    Raises ValueError for a volume that is not above 0.
    """
    if first_ml <= 0 or second_ml <= 0:
        raise ValueError("There is no growth from or to nothing.")
    ratio = second_ml / first_ml
    low, high = ratio / change_factor - 1, ratio * change_factor - 1
    # A share of the first volume, which is itself known up to its factor: the ends are the farthest that both allow.
    firsts = (first_ml / volume_factor, first_ml * volume_factor)
    return Growth(
        change_ml=second_ml - first_ml,
        change_ml_range=(min(low * first for first in firsts), max(high * first for first in firsts)),
        change_percent=100 * (ratio - 1),
        change_percent_range=(100 * low, 100 * high),
    )


def _bound(errors: NDArray[np.float64], share: float) -> float:
    """What a further error is within, with this probability or a higher one; infinite where there are too few."""
    rank = ceil(share * (len(errors) + 1))
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else float("inf")
