"""The folder that an evaluation leaves: tables, plots, gallery, report.json and report.html, all of them or none."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.atomic_files import fresh_folder
from ml.engines import Engine
from ml.evaluation.predictions import Predictions
from ml.evaluation.report import Report
from ml.evaluation.scoring import Score
from ml.metrics.registry import PREDICTED_PATIENT_METRICS, Output, patient_metrics, shown_in
from ml.reports.csv import write_patients, write_slices
from ml.reports.gallery import Picture, SliceArrays, arrays_of, draw_gallery
from ml.reports.html import render_page, render_predictions
from ml.reports.json import json_text, predictions_document, report_document
from ml.reports.plots import Drawing, draw_plots
from ml.reports.title import Title


@dataclass(frozen=True)
class Written:
    """What was written, for further files of the same report. document: the values of report.json."""

    document: dict[str, Any]
    drawings: tuple[Drawing, ...]
    pictures: tuple[Picture, ...]


def write_results(out: Path, engine: Engine, report: Report, title: Title) -> None:
    """Write everything and rename it to `out`, or beside it where `out` is not free by now. Raises OSError: of a full
    disk nothing is left behind, and of a name that was taken meanwhile all is, under the name that the error says."""
    with fresh_folder(out, is_late=True) as folder:
        fill_folder(folder, report, arrays_of(engine, report.settings.threshold, report.outcome.gallery_maps), title)


def fill_folder(folder: Path, report: Report, read: Callable[[Score], SliceArrays], title: Title) -> Written:
    """Write everything into an empty folder; `read` gives the arrays of the gallery's slices. Raises OSError."""
    write_slices(folder / "metrics.csv", report.outcome.results)
    columns = patient_metrics(Output.CSV, has_volumes=report.has_volumes)
    write_patients(folder / "patients.csv", report.patients, columns)
    drawings = draw_plots(report)
    (folder / "figures").mkdir()
    for drawing in drawings:
        (folder / "figures" / f"{drawing.name}.svg").write_text(drawing.svg, encoding="utf-8")
    pictures = draw_gallery(folder / "gallery", report.outcome.scores, read)
    document = report_document(report, pictures, title)
    (folder / "report.json").write_text(json_text(document), encoding="utf-8")
    page = render_page(report, drawings, pictures, folder / "gallery", title)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return Written(document, drawings, pictures)


def fill_predictions_folder(folder: Path, predictions: Predictions, title: Title) -> Written:
    """Write the tables, report.json and report.html of slices without masks into an empty folder. Raises OSError."""
    write_slices(folder / "metrics.csv", predictions.results)
    write_patients(folder / "patients.csv", predictions.patients, shown_in(PREDICTED_PATIENT_METRICS, Output.CSV))
    document = predictions_document(predictions, title)
    (folder / "report.json").write_text(json_text(document), encoding="utf-8")
    (folder / "report.html").write_text(render_predictions(predictions, title), encoding="utf-8")
    return Written(document, (), ())
