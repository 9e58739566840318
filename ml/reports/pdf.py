"""`report.pdf`: the report on paper, with the same plots, tables and pictures as `report.html`."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml.datasets.checking.problems import LeftOut
from ml.datasets.volume_slices import image_words
from ml.evaluation.gallery import ORDERS
from ml.evaluation.predictions import Predictions
from ml.evaluation.report import Report, headline, summary_of
from ml.evaluation.scoring import Failure
from ml.evaluation.summary import PatientResult
from ml.metrics.registry import (
    DATA_SET_METRICS,
    PATIENT_METRICS,
    PREDICTED_PATIENT_METRICS,
    SIZE_METRICS,
    VOLUME_METRICS,
    GroupMetric,
    Metric,
    Output,
    shown_in,
)
from ml.metrics.slices import Value
from ml.rendering.error_overlay import LEGEND
from ml.rendering.panels import NOTICE
from ml.reports.document import Document
from ml.reports.gallery import Picture
from ml.reports.plots import Drawing
from ml.reports.title import Title, title_rows

# Rows of the lists; the CSV files and report.json have all of them.
MOST_PATIENTS = 400
MOST_FAILURES = 100
_GAP_MM = 4
_PICTURES_A_ROW = 6


def report_pdf(
    report: Report, drawings: Sequence[Drawing], pictures: Sequence[Picture], gallery: Path, title: Title
) -> bytes:
    """The whole document. gallery: the folder with the pictures' files."""
    summary = summary_of(report)
    document = Document(f"{title.name}: evaluation of {report.model}")
    document.paragraph(headline(report), size=15, style="B")
    for caveat in report.caveats:
        document.paragraph(caveat, style="B")
    document.paragraph(NOTICE, style="B")
    document.title_block(title_rows(title.described(), summary))
    document.heading("Figures")
    document.paragraph(f"95 % intervals: bootstrap over patients, seed {summary['seed']}.", size=8, muted=True)
    document.rows(
        ("figure", "value", "95 % interval", "aggregation"),
        (
            (metric.label, _value(found.value, metric), _interval(found.ci95, metric), metric.aggregation)
            for metric in shown_in(DATA_SET_METRICS, Output.PDF, has_volumes=report.has_volumes)
            for found in (report.metric(metric.name),)
        ),
        (42, 16, 32, 90),
    )
    document.heading("By tumor size")
    sizes = shown_in(SIZE_METRICS, Output.PDF)
    document.rows(
        ("share of the slice", *(metric.label for metric in sizes)),
        (
            (f"{size.size}, {size.from_percent:g} to {size.to_percent:g} %", *_values(size.metrics, sizes))
            for size in report.sizes
        ),
        _widths(50, sizes, 130),
    )
    _draw_plots(document, drawings)
    _draw_gallery(document, pictures, gallery)
    _list_patients(document, report.patients, shown_in(PATIENT_METRICS, Output.PDF))
    if report.has_volumes:
        measured = [patient for patient in report.patients if patient.patient in report.outcome.volumes]
        _list_patients(document, measured, shown_in(VOLUME_METRICS, Output.PDF), "Patients in 3-D")
    _list_failures(document, report.outcome.failures)
    _list_left_out(document, report.left_out)
    return bytes(document.output())


def predictions_pdf(predictions: Predictions, title: Title) -> bytes:
    """The document of slices without expert masks."""
    summary = predictions.summary
    document = Document(f"{title.name}: predictions of {summary['model']}")
    document.paragraph(predictions.headline, size=15, style="B")
    document.paragraph(NOTICE, style="B")
    document.title_block(title_rows(title.described(), summary))
    _list_patients(document, predictions.patients, shown_in(PREDICTED_PATIENT_METRICS, Output.PDF))
    _list_failures(document, predictions.failures)
    _list_left_out(document, predictions.left_out)
    return bytes(document.output())


def _list_patients(
    document: Document,
    patients: Sequence[PatientResult],
    metrics: Sequence[Metric[Any, Value]],
    heading: str = "Patients",
) -> None:
    document.heading(heading)
    _say_if_cut(document, len(patients), MOST_PATIENTS, "patients.csv")
    document.rows(
        ("patient", *(metric.label for metric in metrics)),
        ((patient.patient, *_values(patient.metrics, metrics)) for patient in patients[:MOST_PATIENTS]),
        _widths(62, metrics, 118),
    )


def _widths(first: float, metrics: Sequence[GroupMetric], others: float) -> list[float]:
    """Of a table's columns, as shares: the first one is words, the others share what is left."""
    return [first, *[others / len(metrics)] * len(metrics)]


def _draw_plots(document: Document, drawings: Sequence[Drawing]) -> None:
    """Two a row."""
    document.heading("Plots")
    width = (document.epw - _GAP_MM) / 2
    height = width * 3 / 4
    for index, drawing in enumerate(drawings):
        if index % 2 == 0:
            if document.will_page_break(height):
                document.add_page()
            top = document.get_y()
        left = document.l_margin + index % 2 * (width + _GAP_MM)
        # Without its styles, which fpdf2 takes for a screen's: paper has the light colors of the attributes.
        plain = re.sub(r"<style>.*?</style>", "", drawing.svg, flags=re.DOTALL)
        document.image(io.BytesIO(plain.encode()), x=left, y=top, w=width)
        document.set_y(top + height + _GAP_MM if index % 2 or index == len(drawings) - 1 else top)


def _draw_gallery(document: Document, pictures: Sequence[Picture], gallery: Path) -> None:
    """Six a row, an order each; the legend in words, since a print may be gray."""
    side = (document.epw - _GAP_MM * (_PICTURES_A_ROW - 1)) / _PICTURES_A_ROW
    names = {"missed": "red", "extra": "green", "correct": "yellow"}
    legend = ", ".join(f"{names[name]}: {name}" for name, _ in LEGEND)
    for order, title in ORDERS.items():
        members = [picture for picture in pictures if picture.order == order]
        if not members:
            continue
        if document.will_page_break(side + 24):
            document.add_page()
        document.heading(title)
        document.paragraph(legend, size=8, muted=True)
        top = document.get_y()
        for index, picture in enumerate(members):
            left = document.l_margin + index * (side + _GAP_MM)
            document.image(gallery / picture.file, x=left, y=top, w=side, h=side, keep_aspect_ratio=True)
            document.set_xy(left, top + side + 1)
            size = f"Dice {picture.dice:.3f}" if picture.dice is not None else f"{picture.predicted_pixels:,} pixels"
            caption = document.choose_font(f"{image_words(picture.image)}\n{size}", size=6)
            document.multi_cell(side, 2.6, caption, align="L")
        document.set_y(top + side + 12)


def _list_failures(document: Document, failures: Sequence[Failure]) -> None:
    if not failures:
        return
    document.heading(f"Not evaluated: {len(failures):,} {'slice' if len(failures) == 1 else 'slices'}")
    _say_if_cut(document, len(failures), MOST_FAILURES, "report.json")
    for failure in failures[:MOST_FAILURES]:
        document.paragraph(failure.message, size=8, gap=0.5)


def _list_left_out(document: Document, left_out: Sequence[LeftOut]) -> None:
    if not left_out:
        return
    document.heading(f"Left out of the folder: {sum(group.count for group in left_out):,} files")
    for group in left_out[:MOST_FAILURES]:
        document.paragraph(group.sentence, size=8, gap=0.5)


def _say_if_cut(document: Document, count: int, most: int, file: str) -> None:
    if count > most:
        document.paragraph(f"The first {most:,} of {count:,}; all of them are in {file}.", size=8, muted=True)


def _values(values: Mapping[str, Value], metrics: Sequence[GroupMetric]) -> list[str]:
    return [_value(values[metric.name], metric) for metric in metrics]


def _value(value: Value, metric: Metric[Any, Any]) -> str:
    return metric.format(value, "none")


def _interval(interval: tuple[float, float] | None, metric: Metric[Any, Any]) -> str:
    return "none" if interval is None else " to ".join(_value(end, metric) for end in interval)
