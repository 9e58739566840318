"""The five plots of an evaluation. Each draws what report.json holds and computes nothing new."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

from ml.metrics.calibration import Calibration
from ml.metrics.overlap import Counts
from ml.metrics.verdicts import Roc
from ml.plots.svg import UNIT_TICKS, Axes, Plot

# In the order of the reports; the names of the files.
NAMES = ("patient_dice", "dice_by_size", "roc", "reliability", "verdicts")

# More bars than the axis has pixels cannot be told apart; more dots hide each other, and cost seconds on paper.
MOST_BARS, MOST_DOTS = 388, 2000
# Side in pixels of the squares in which more dots are counted, and the opacity of one with a single dot.
_SQUARE, _LEAST_OPACITY = 4, 0.25


@dataclass(frozen=True)
class SlicePoint:
    """A slice with tumor: its image's name, the expert's pixels, its Dice."""

    image: str
    truth_pixels: int
    dice: float


def plot_patients(dice_of_patients: Mapping[str, float | None]) -> Plot:
    """A bar a patient, worst first, or one line through many; patients without tumor have no Dice and no bar."""
    ranked = sorted((dice, patient) for patient, dice in dice_of_patients.items() if dice is not None)
    worst = f"from {ranked[0][0]:.3f} to {ranked[-1][0]:.3f}" if ranked else "none has tumor"
    plot = Plot("Dice per patient", f"Pooled Dice of {len(ranked)} patients with tumor, worst first: {worst}.")
    count = max(len(ranked), 1)
    ticks = [(place + 0.5, str(place + 1)) for place in sorted({0, count - 1})]  # under the first bar and the last
    axes = Axes(plot, "patients, worst first", "Dice", ticks, x_range=(0, count))
    if len(ranked) > MOST_BARS:
        plot.line([axes.place(index + 0.5, value) for index, (value, _) in enumerate(ranked)], "accent", width=2)
        return plot
    for index, (value, name) in enumerate(ranked):
        left, top = axes.place(index + 0.15, value)
        right, bottom = axes.place(index + 0.85, 0)
        plot.rectangle(left, top, right - left, bottom - top, "accent", opacity=0.35)
        plot.point((left + right) / 2, top, "accent", f"{name}: {value:.3f}")
    return plot


def plot_sizes(slices: Sequence[SlicePoint]) -> Plot:
    """A dot a slice with tumor, of many their number in each square; the horizontal axis is logarithmic."""
    points = [(log10(item.truth_pixels), item) for item in slices]
    is_dense = len(points) > MOST_DOTS
    plot = Plot(
        "Dice against tumor size",
        f"Dice of {len(points)} slices with tumor against the expert's tumor pixels"
        f"{': the darker a square, the more slices' if is_dense else ''}.",
    )
    decades = max((int(x) + 1 for x, _ in points), default=1)
    ticks = [(decade, f"{10**decade:,}") for decade in range(decades + 1)]
    axes = Axes(plot, "tumor pixels of the slice (expert)", "Dice", ticks, x_range=(0, decades))
    if is_dense:
        _draw_squares(plot, [(*axes.place(x, item.dice), item) for x, item in points])
        return plot
    for x, item in points:
        tip = f"{item.image}: {item.truth_pixels} pixels, Dice {item.dice:.3f}"
        plot.point(*axes.place(x, item.dice), "accent", tip, radius=2.5)
    return plot


def _draw_squares(plot: Plot, dots: Sequence[tuple[float, float, SlicePoint]]) -> None:
    """How many dots, (x, y) in pixels of the plot, lie in each square: its opacity is by the logarithm."""
    members: dict[tuple[int, int], list[SlicePoint]] = defaultdict(list)
    for x, y, item in dots:
        members[int(x // _SQUARE), int(y // _SQUARE)].append(item)
    most = log10(max(map(len, members.values())))
    for (column, row), items in sorted(members.items()):
        share = log10(len(items)) / most if most else 0
        pixels, dices = ([getattr(item, name) for item in items] for name in ("truth_pixels", "dice"))
        noun = "slice" if len(items) == 1 else "slices"
        tip = (
            f"{len(items):,} {noun}: {min(pixels):,} to {max(pixels):,} pixels,"
            f" Dice {min(dices):.3f} to {max(dices):.3f}"
        )
        opacity = round(_LEAST_OPACITY + (1 - _LEAST_OPACITY) * share, 3)
        plot.rectangle(column * _SQUARE, row * _SQUARE, _SQUARE, _SQUARE, "accent", opacity, tip)


def plot_roc(curve: Roc | None, verdicts: Counts) -> Plot:
    """The curve of the slice verdict, by the highest threshold at which a slice has a mask, and the verdicts given."""
    description = (
        "It needs slices with and without tumor." if curve is None else f"Area under the curve {curve.auc:.3f}."
    )
    plot = Plot("ROC of the slice verdict", description)
    axes = Axes(plot, "false alarms (share of tumor-free slices)", "sensitivity", UNIT_TICKS)
    plot.line([axes.place(0, 0), axes.place(1, 1)], "muted", dashes="4 4")
    if curve is None:
        plot.text(*axes.place(0.5, 0.4), description, "muted", anchor="middle")
        return plot
    rates = zip(curve.false_alarm_rates, curve.sensitivities, strict=True)
    plot.line([axes.place(*rate) for rate in rates], "accent", width=2)
    false_alarms = verdicts.false_positive / (verdicts.false_positive + verdicts.true_negative)
    place = axes.place(false_alarms, verdicts.true_positive / verdicts.truth)
    plot.point(*place, "tumor", "the mask rule in use", radius=5)
    plot.text(*axes.place(0.97, 0.12), f"AUC {curve.auc:.3f}", anchor="end", size=14)
    plot.text(*axes.place(0.97, 0.04), "dot: the verdicts given", "muted", anchor="end")
    return plot


def plot_reliability(calibration: Calibration) -> Plot:
    """Share of tumor against probability; on the diagonal a probability means what it says."""
    ece = "not defined" if calibration.ece is None else f"{calibration.ece:.4f}"
    plot = Plot("Reliability", f"Pixels with p of at least 0.05: share that is tumor against probability. ECE {ece}.")
    # Beside the axis: in the plot a curve may run through the words, wherever they stand.
    axes = Axes(plot, f"probability; ECE {ece} over p of at least 0.05", "share that is tumor", UNIT_TICKS)
    plot.line([axes.place(0, 0), axes.place(1, 1)], "muted", dashes="4 4")
    filled = [item for item in calibration.bins if item.pixels]
    plot.line([axes.place(item.mean_probability or 0, item.tumor_share or 0) for item in filled], "accent", width=2)
    for item in filled:
        tip = f"p {item.mean_probability:.2f}: {100 * (item.tumor_share or 0):.1f} % of {item.pixels:,} pixels"
        plot.point(*axes.place(item.mean_probability or 0, item.tumor_share or 0), "accent", tip, radius=4)
    return plot


def plot_verdicts(verdicts: Counts, uncertain_tumor: int, uncertain_clear: int) -> Plot:
    """Two by three: rows are the expert's, columns the model's; each cell with its count and its share of the row.

    uncertain_tumor, uncertain_clear: the slices in doubt, which `verdicts` has among those without a mask.
    """
    found = ("tumor", "uncertain", "no tumor")
    tumor = (verdicts.true_positive, uncertain_tumor, verdicts.false_negative - uncertain_tumor)
    clear = (verdicts.false_positive, uncertain_clear, verdicts.true_negative - uncertain_clear)
    rows = (("tumor", tumor, ("accent", "muted", "tumor")), ("no tumor", clear, ("tumor", "muted", "accent")))
    description = "; ".join(
        f"expert {truth}, model {verdict}: {number}"
        for truth, numbers, _ in rows
        for verdict, number in zip(found, numbers, strict=True)
    )
    plot = Plot("Verdicts of the slices", f"{description}.")
    left, top, width, height = 118, 78, 110, 116
    for column, verdict in enumerate(found):
        plot.text(left + column * (width + 6) + width / 2, top - 10, f"model: {verdict}", anchor="middle")
    for row, (truth, numbers, colors) in enumerate(rows):
        y = top + row * (height + 6)
        plot.text(left - 10, y + height / 2 + 4, f"expert: {truth}", anchor="end")
        for column, (number, color) in enumerate(zip(numbers, colors, strict=True)):
            x = left + column * (width + 6)
            share = number / sum(numbers) if sum(numbers) else 0
            plot.rectangle(x, y, width, height, color, opacity=round(0.08 + 0.4 * share, 3))
            plot.text(x + width / 2, y + height / 2, f"{number:,}", size=24, anchor="middle")
            plot.text(x + width / 2, y + height / 2 + 24, f"{100 * share:.1f} %", anchor="middle")
    return plot
