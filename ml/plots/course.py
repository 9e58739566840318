"""The plot of a course: a tumor's volume at the dates of one patient, with what the model's error allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ml.plots.svg import Axes, Plot

_WIDTH, _HEIGHT = 480, 320
_LEAST_GAP = 70  # between labels of dates, in pixels


@dataclass(frozen=True)
class CoursePoint:
    """A volume at a date. label: of the date, as it is known. is_joined: comparable with the point before it."""

    day: date
    label: str
    volume_ml: float
    range_ml: tuple[float, float] | None
    is_joined: bool


def plot_course(points: Sequence[CoursePoint]) -> Plot:
    """Points in the order of their dates, at least one; lines between those that can be compared."""
    said = "; ".join(f"{point.label}: {point.volume_ml:.2f} mL" for point in points)
    plot = Plot("Volume over time", f"{len(points)} dates. {said}.", _WIDTH, _HEIGHT)
    top = _ceiling(max(point.range_ml[1] if point.range_ml else point.volume_ml for point in points))
    first, last = points[0].day.toordinal(), points[-1].day.toordinal()
    margin = max(1.0, 0.06 * (last - first))
    axes = Axes(
        plot,
        "date",
        "volume, mL",
        [],
        [(tick / 4, f"{top * tick / 4:g}") for tick in range(5)],
        (first - margin, last + margin),
    )
    places = [axes.place(point.day.toordinal(), point.volume_ml / top) for point in points]
    labeled = -math.inf
    for point, (x, y), before in zip(points, places, [None, *places[:-1]], strict=True):
        if before is not None and point.is_joined:
            plot.line([before, (x, y)], "accent", 2)
        if point.range_ml:
            (_, low), (_, high) = (axes.place(point.day.toordinal(), value / top) for value in point.range_ml)
            plot.line([(x, low), (x, high)], "muted")
            for end in (low, high):
                plot.line([(x - 5, end), (x + 5, end)], "muted")
        plot.point(x, y, "accent", f"{point.label}: {point.volume_ml:.2f} mL", radius=5)
        if x - labeled >= _LEAST_GAP:
            plot.text(x, _HEIGHT - 34, point.label, "muted", anchor="middle")
            labeled = x
    return plot


def _ceiling(value: float) -> float:
    """The next 1, 2, 4 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 4, 8) if step * power >= value), 10 * power)
