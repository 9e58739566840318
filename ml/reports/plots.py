"""The plots of a report, drawn once for every file that shows them."""

from dataclasses import dataclass

from ml.evaluation.report import Report
from ml.plots.evaluation import (
    NAMES,
    SlicePoint,
    plot_patients,
    plot_reliability,
    plot_roc,
    plot_sizes,
    plot_verdicts,
)


@dataclass(frozen=True)
class Drawing:
    """A plot that is drawn: its file's name without suffix, its words for those who do not see it, the SVG document."""

    name: str
    title: str
    description: str
    svg: str


def draw_plots(report: Report) -> tuple[Drawing, ...]:
    """All plots, in the order of the page."""
    points = [
        SlicePoint(score.case.file_name, score.counts.truth, score.dice)
        for score in report.outcome.scores
        if score.dice is not None
    ]
    plots = (
        plot_patients({patient.patient: patient.dice for patient in report.patients}),
        plot_sizes(points),
        plot_roc(report.roc, report.verdicts),
        plot_reliability(report.calibration_foreground),
        plot_verdicts(report.verdicts, report.uncertain.tumor, report.uncertain.tumor_free),
    )
    return tuple(
        Drawing(name, plot.title, plot.description, plot.render()) for name, plot in zip(NAMES, plots, strict=True)
    )
