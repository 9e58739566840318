"""The folder that an evaluation leaves: tables, figures, gallery, report.json and report.html, all of them or none."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml.engines import Engine
from ml.evaluation import figures
from ml.evaluation.gallery import Look, Picture, draw_gallery, look_again
from ml.evaluation.page import render_page
from ml.evaluation.report import Report, report_json
from ml.evaluation.scoring import Score
from ml.evaluation.tables import write_patients, write_slices
from ml.fresh_folder import fresh_folder


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
        Drawing("patient_dice", figures.patients_figure(report.patients)),
        Drawing("dice_by_size", figures.size_figure(report.outcome.scores)),
        Drawing("roc", figures.roc_figure(report.roc, report.verdicts)),
        Drawing("reliability", figures.reliability_figure(report.calibration_in_doubt)),
        Drawing("verdicts", figures.verdicts_figure(report.verdicts)),
    )
