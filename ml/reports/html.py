"""Reports as one HTML file that needs nothing else, to be mailed, printed or kept."""

import base64
from pathlib import Path
from typing import Any
from xml.sax.saxutils import unescape

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ml.metrics.labels import FIGURES
from ml.rendering.error_overlay import LEGEND
from ml.rendering.panels import NOTICE
from ml.reports.gallery import Picture
from ml.reports.json import Report, headline, summary_of

_ORDERS = (
    ("worst", "Worst slices with tumor"),
    ("false_alarm", "Largest false alarms"),
    ("best", "Best slices with tumor"),
)


def render_page(report: Report, drawings: tuple[str, ...], pictures: tuple[Picture, ...], gallery: Path) -> str:
    """`report.html`. drawings: SVG documents; gallery: the folder with the pictures' files."""
    return fill_template(
        "report.html",
        report=report,
        headline=headline(report),
        summary=summary_of(report),
        names=FIGURES,
        drawings=[_data_uri("image/svg+xml", svg.encode()) for svg in drawings],
        descriptions=[_description(svg) for svg in drawings],
        galleries=[
            (title, [(picture, _data_uri("image/png", (gallery / picture.file).read_bytes())) for picture in members])
            for order, title in _ORDERS
            if (members := [picture for picture in pictures if picture.order == order])
        ],
        legend=[(name, "#{:02x}{:02x}{:02x}".format(*colour)) for name, colour in LEGEND],
    )


def fill_template(name: str, **values: Any) -> str:
    """A template of this folder, with the notice that every page has."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["number"] = _number
    return environment.get_template(name).render(notice=NOTICE, **values)


def _number(value: float | None, digits: int = 3) -> str:
    """A figure for people; what is not defined says so."""
    return "not defined" if value is None else f"{value:.{digits}f}"


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _description(svg: str) -> str:
    """The words of a figure, for those who do not see it."""
    return unescape(svg.split("<desc>")[1].split("</desc>")[0])
