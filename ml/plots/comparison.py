"""The plot of a comparison: each patient's Dice in two evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass

from ml.plots.svg import UNIT_TICKS, Axes, Plot

# Letters of an evaluation's name that an axis has room for.
_LONGEST_NAME = 40


@dataclass(frozen=True)
class PairPoint:
    """A patient's Dice in the first and in the second evaluation."""

    patient: str
    first: float
    second: float


def plot_pairs(pairs: Sequence[PairPoint], first_name: str, second_name: str) -> Plot:
    """A dot a patient; above the diagonal the second is better."""
    better = sum(pair.second > pair.first for pair in pairs)
    worse = sum(pair.second < pair.first for pair in pairs)
    plot = Plot(
        "Dice of the same patients",
        f"{len(pairs)} patients: {better} above the diagonal (better in {second_name}), {worse} below it.",
    )
    axes = Axes(plot, _cut(first_name), _cut(second_name), UNIT_TICKS)
    plot.line([axes.place(0, 0), axes.place(1, 1)], "muted", dashes="4 4")
    for pair in pairs:
        tip = f"{pair.patient}: {pair.first:.3f} and {pair.second:.3f}"
        plot.point(*axes.place(pair.first, pair.second), "accent", tip, radius=3.5)
    plot.text(*axes.place(0.03, 0.94), "second better", "muted")
    plot.text(*axes.place(0.97, 0.03), "first better", "muted", anchor="end")
    return plot


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
