"""The ways in which masks may lie wrongly on their images: turned, mirrored, in another order of the slices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool]  # (H, W)
# For each mask of a stack the place of the slice that it would belong to; None where the stack has none.
Places = Sequence[int | None]


@dataclass(frozen=True)
class Turn:
    """A symmetry of the square. words: how a mask would have to lie; keeps_shape: of slices that are no square."""

    code: str
    words: str
    keeps_shape: bool
    apply: Callable[[Bits], Bits]


@dataclass(frozen=True)
class Order:
    """Another order of a stack's masks. places: from the names of its images; is_small: a mask looks like its
    neighbor's, so little is gained where it is put right."""

    code: str
    words: str
    places: Callable[[Sequence[str]], Places]
    is_small: bool = False


AS_GIVEN = "as_given"
UPRIGHT = Turn(AS_GIVEN, "", True, lambda mask: mask)
TURNS = (
    UPRIGHT,
    Turn("mirrored_left_right", "mirrored left to right", True, np.fliplr),
    Turn("mirrored_top_bottom", "mirrored top to bottom", True, np.flipud),
    Turn("turned_180", "turned by 180 degrees", True, lambda mask: np.rot90(mask, 2)),
    Turn("turned_clockwise", "turned by 90 degrees clockwise", False, lambda mask: np.rot90(mask, -1)),
    Turn("turned_counterclockwise", "turned by 90 degrees counterclockwise", False, np.rot90),
    Turn("transposed", "with rows and columns exchanged", False, np.transpose),
    Turn(
        "transposed_turned_180",
        "with rows and columns exchanged and turned by 180 degrees",
        False,
        lambda mask: np.rot90(mask.T, 2),
    ),
)


def _shifted(by: int) -> Callable[[Sequence[str]], Places]:
    def places(names: Sequence[str]) -> Places:
        return [place + by if 0 <= place + by < len(names) else None for place in range(len(names))]

    return places


def _reversed(names: Sequence[str]) -> Places:
    return range(len(names))[::-1]


def _by_text(names: Sequence[str]) -> Places:
    """Masks that were numbered while images were sorted as text: 1, 10, 2."""
    return sorted(range(len(names)), key=names.__getitem__)


def _from_text(names: Sequence[str]) -> Places:
    """Masks that were sorted as text while images were numbered."""
    ranks: list[int] = np.argsort(sorted(range(len(names)), key=names.__getitem__)).tolist()
    return ranks


REVERSED = Order("reversed", "in reverse order of the slices", _reversed)
ORDERS = (
    *(
        Order(f"shifted_{by:+d}", f"{_steps} {'further on' if by > 0 else 'further back'}", _shifted(by), is_small=True)
        for by, _steps in (
            *((1, "one slice"), (-1, "one slice"), (2, "two slices")),
            *((-2, "two slices"), (3, "three slices"), (-3, "three slices")),
        )
    ),
    Order("by_text", "in the order of the file names as text (1, 10, 2)", _by_text),
    Order("from_text", "in the order of the numbers in the file names (1, 2, 10)", _from_text),
)


@dataclass(frozen=True)
class Arrangement:
    """A turn and an order together."""

    turn: Turn
    order: Order | None = None

    @property
    def code(self) -> str:
        """For programs."""
        if self.order is None:
            return self.turn.code
        return self.order.code if self.turn is UPRIGHT else f"{self.turn.code}_{self.order.code}"

    @property
    def words(self) -> str:
        """How the masks would have to lie."""
        parts = (self.turn.words, self.order.words if self.order else "")
        return " and ".join(part for part in parts if part)

    @property
    def is_small(self) -> bool:
        """Of `Order`."""
        return self.order is not None and self.order.is_small


ARRANGEMENTS = (
    *(Arrangement(turn, order) for order in (None, REVERSED) for turn in TURNS),
    *(Arrangement(UPRIGHT, order) for order in ORDERS),
)
GIVEN = ARRANGEMENTS[0]
