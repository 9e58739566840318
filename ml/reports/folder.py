"""The folder that an evaluation leaves: tables, figures, gallery, report.json and report.html, all of them or none."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml.atomic_files import fresh_folder
from ml.engines import Engine
from ml.evaluation.scoring import Score
from ml.plots import evaluation
from ml.reports.csv import write_patients, write_slices
from ml.reports.gallery import Look, Picture, draw_gallery, look_again
from ml.reports.html import render_page
from ml.reports.json import Report, report_json


@dataclass(frozen=True)
class Drawing:
    """One figure: its file's name, and the SVG document."""

    name: str
    svg: str


def write_results(out: Path, engine: Engine, report: Report) -> None:
    """Write everything and rename it to `out`. Raises OSError (a full disk), and leaves nothing behind then."""
    with fresh_folder(out) as folder:
        fill_folder(folder, report, look_again(engine, report.settings.threshold))


def fill_folder(folder: Path, report: Report, look: Callable[[Score], Look]) -> tuple[Picture, ...]:
    """Write everything into an empty folder; `look` gives the arrays of the gallery's slices. Raises OSError.

    Returns the gallery's pictures.
    """
    write_slices(folder / "metrics.csv", report.outcome.results)
    write_patients(folder / "patients.csv", report.patients)
    drawings = draw_figures(report)
    (folder / "figures").mkdir()
    for drawing in drawings:
        (folder / "figures" / f"{drawing.name}.svg").write_text(drawing.svg, encoding="utf-8")
    pictures = draw_gallery(folder / "gallery", report.outcome.scores, look)
    (folder / "report.json").write_text(report_json(report, pictures), encoding="utf-8")
    page = render_page(report, tuple(drawing.svg for drawing in drawings), pictures, folder / "gallery")
    (folder / "report.html").write_text(page, encoding="utf-8")
    return pictures


def draw_figures(report: Report) -> tuple[Drawing, ...]:
    """The five figures, in the order of the page."""
    return (
        Drawing("patient_dice", evaluation.patients_figure(report.patients)),
        Drawing("dice_by_size", evaluation.size_figure(report.outcome.scores)),
        Drawing("roc", evaluation.roc_figure(report.roc, report.verdicts)),
        Drawing("reliability", evaluation.reliability_figure(report.calibration_in_doubt)),
        Drawing("verdicts", evaluation.verdicts_figure(report.verdicts)),
    )
