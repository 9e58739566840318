"""How far a volume, and the change between two volumes, may be off, by the Dice that a model was measured to have.

With Dice D = 2 |A and B| / (|A| + |B|) the smaller of the two volumes is at least D / (2 - D) of the larger one, since
what they share is no larger than either. So a mask of volume V that has this Dice with the truth stands for a true
volume from V D / (2 - D) to V (2 - D) / D. Nothing is assumed of how errors at two dates hang together: both ends of
the change are those of the worst case.
"""

from dataclasses import dataclass


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


def volume_factor(dice: float) -> float:
    """How many times larger or smaller the true volume can be, at least 1. Raises ValueError unless 0 < dice <= 1."""
    if not 0 < dice <= 1:
        raise ValueError(f"A Dice of {dice:g} says nothing of the volume; it must be above 0 and at most 1.")
    return (2 - dice) / dice


def growth(first_ml: float, second_ml: float, factor: float) -> Growth:
    """The change of two volumes above 0, each known up to `factor`. Raises ValueError for one that is not above 0."""
    if first_ml <= 0 or second_ml <= 0:
        raise ValueError("There is no growth from or to nothing.")
    ratio = second_ml / first_ml
    return Growth(
        change_ml=second_ml - first_ml,
        change_ml_range=(second_ml / factor - first_ml * factor, second_ml * factor - first_ml / factor),
        change_percent=100 * (ratio - 1),
        change_percent_range=(100 * (ratio / factor**2 - 1), 100 * (ratio * factor**2 - 1)),
    )
