"""Figures of a run: quantiles, and tables for the terminal and for docs/performance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """One table of figures: what was measured, its head, its rows of words, and a note on how to read it.

    facts: of it, what `bench.aims` compares with the aims, by its names.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)

    def to_markdown(self) -> str:
        """The table as GitHub reads it; the columns are filled up, so that a terminal reads it too."""
        cells = [self.head, *self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.head))]
        lines = [_line(row, widths) for row in cells]
        # Words stand left in the first column, figures right in the others.
        rule = "|" + "|".join(
            "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)
        )
        text = "\n".join([f"### {self.title}", "", lines[0], rule + "|", *lines[1:]])
        return f"{text}\n\n{self.note}" if self.note else text


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies, linear between two of them. Raises ValueError for none."""
    if not values:
        raise ValueError("There is no value to take a quantile of.")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return quantile(values, 0.5)


def p95(values: Sequence[float]) -> float:
    """The value that one in twenty exceeds."""
    return quantile(values, 0.95)


def ms(seconds: float) -> str:
    """Milliseconds with three figures that mean something."""
    value = seconds * 1000
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def megabytes(count: float) -> str:
    """Bytes in MB (10^6)."""
    return f"{count / 1e6:.0f}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "| " + " | ".join(cells) + " |"
