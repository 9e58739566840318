"""Reports as one HTML file that needs nothing else, to be mailed, printed or kept."""

import base64
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ml.datasets.volume_slices import image_words
from ml.evaluation.gallery import ORDERS
from ml.evaluation.predictions import Predictions
from ml.evaluation.report import Report, headline, summary_of
from ml.metrics.registry import (
    DATA_SET_METRICS,
    PREDICTED_PATIENT_METRICS,
    SIZE_METRICS,
    Metric,
    Output,
    patient_metrics,
    shown_in,
)
from ml.metrics.slices import Value
from ml.rendering.error_overlay import LEGEND
from ml.rendering.panels import NOTICE
from ml.reports.gallery import Picture
from ml.reports.plots import Drawing
from ml.reports.title import Title, title_rows


def render_page(
    report: Report, drawings: Sequence[Drawing], pictures: Sequence[Picture], gallery: Path, title: Title
) -> str:
    """`report.html`. gallery: the folder with the pictures' files."""
    summary = summary_of(report)
    return _fill_template(
        "report.html",
        report=report,
        left_out=report.left_out,
        headline=headline(report),
        summary=summary,
        title_rows=title_rows(title.described(), summary),
        estimates=[
            (metric, report.metric(metric.name))
            for metric in shown_in(DATA_SET_METRICS, Output.HTML, has_volumes=report.has_volumes)
        ],
        size_metrics=shown_in(SIZE_METRICS, Output.HTML),
        patient_metrics=patient_metrics(Output.HTML, has_volumes=report.has_volumes),
        drawings=[(drawing, _data_uri("image/svg+xml", drawing.svg.encode())) for drawing in drawings],
        galleries=[
            (title, [(picture, _data_uri("image/png", (gallery / picture.file).read_bytes())) for picture in members])
            for order, title in ORDERS.items()
            if (members := [picture for picture in pictures if picture.order == order])
        ],
        legend=[(name, "#{:02x}{:02x}{:02x}".format(*color)) for name, color in LEGEND],
    )


def render_predictions(predictions: Predictions, title: Title) -> str:
    """`report.html` of slices without expert masks."""
    return _fill_template(
        "predictions.html",
        headline=predictions.headline,
        summary=predictions.summary,
        title_rows=title_rows(title.described(), predictions.summary),
        patients=predictions.patients,
        patient_metrics=shown_in(PREDICTED_PATIENT_METRICS, Output.HTML),
        failures=[item.message for item in predictions.failures],
        left_out=predictions.left_out,
    )


def _fill_template(name: str, **values: Any) -> str:
    """A template of this folder, with the notice that every page has."""
    return _environment().get_template(name).render(notice=NOTICE, **values)


@cache
def _environment() -> Environment:
    """Made once: it keeps the templates that it has compiled, which takes longer than to fill them."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["value"] = _value
    environment.filters["image_words"] = image_words
    return environment


def _value(value: Value, metric: Metric[Any, Any]) -> str:
    return metric.format(value, "not defined")


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
