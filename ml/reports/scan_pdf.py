"""The report of one scan on one or two pages: verdict with its doubt, key pictures, figures, the model's card."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from fpdf.enums import XPos, YPos

from ml.rendering.panels import NOTICE
from ml.reports.document import MUTED, Document

_GAP_MM = 4
_LARGEST_SIDE_MM = 57
_LONGEST = 240  # characters of a value, three lines
_LONGEST_CELL = 90
_ROOM_MM = 16
# What two pages have room for; the rest is counted.
MOST_PICTURES, MOST_NOTES, MOST_LESIONS, MOST_METRICS, MOST_LIMITS = 3, 6, 8, 6, 5


@dataclass(frozen=True)
class KeyPicture:
    """A slice, without and with its mask. scan, overlay: PNG."""

    caption: str
    scan: bytes
    overlay: bytes


@dataclass(frozen=True)
class ScanReport:
    """All that stands in the report, in words. lesions: rows under `lesion_heads`; metrics: figure, value, patients."""

    name: str
    verdict: str
    doubts: Sequence[str]
    facts: Sequence[tuple[str, str]]
    figures: Sequence[tuple[str, str]]
    figures_head: str
    pictures: Sequence[KeyPicture]
    lesion_count: int
    lesion_heads: Sequence[str]
    lesions: Sequence[Sequence[str]]
    notes: Sequence[str]
    model: Sequence[tuple[str, str]]
    metrics: Sequence[Sequence[str]]
    limits: Sequence[str]


def scan_pdf(report: ScanReport) -> bytes:
    """The whole document."""
    document = Document(report.name)
    document.paragraph(report.name, size=15, style="B", gap=0.5)
    document.paragraph(NOTICE, style="B")
    document.paragraph(report.verdict, size=13, style="B")
    for doubt in report.doubts:
        document.paragraph(doubt, style="B")
    _draw_pictures(document, report.pictures[:MOST_PICTURES])
    document.heading(report.figures_head)
    document.title_block(report.figures)
    _list_lesions(document, report)
    document.heading("The scan")
    document.title_block(_short(report.facts))
    _list_notes(document, report.notes)
    document.heading("The model")
    document.title_block(_short(report.model))
    if report.metrics:
        rows = [[_cut(cell, _LONGEST_CELL) for cell in row] for row in report.metrics[:MOST_METRICS]]
        document.rows(("how good it was", "value", "patients", "aggregation"), rows, (52, 44, 18, 66))
    for limit in report.limits[:MOST_LIMITS]:
        if document.page_no() > 1 and document.will_page_break(_ROOM_MM):
            break  # the model's page has them all
        document.paragraph(f"- {limit}", size=8, gap=0.4)
    return bytes(document.output())


def _short(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(label, _cut(value, _LONGEST)) for label, value in rows]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3].rstrip() + "..."


def _draw_pictures(document: Document, pictures: Sequence[KeyPicture]) -> None:
    """Slices side by side, each above itself with the mask."""
    if not pictures:
        return
    side = min(_LARGEST_SIDE_MM, (document.epw - _GAP_MM * (MOST_PICTURES - 1)) / MOST_PICTURES)
    top = document.get_y()
    for index, picture in enumerate(pictures):
        left = document.l_margin + index * (side + _GAP_MM)
        for row, png in enumerate((picture.scan, picture.overlay)):
            y = top + row * (side + 1)
            document.image(io.BytesIO(png), x=left, y=y, w=side, h=side, keep_aspect_ratio=True)
        document.set_xy(left, top + 2 * side + 2)
        document.set_text_color(*MUTED)
        document.cell(side, 4, document.choose_font(picture.caption, size=8), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    document.set_y(top + 2 * side + 7)


def _list_lesions(document: Document, report: ScanReport) -> None:
    if not report.lesions:
        return
    document.rows(
        report.lesion_heads,
        report.lesions[:MOST_LESIONS],
        [document.epw / len(report.lesion_heads)] * len(report.lesion_heads),
    )
    if report.lesion_count > MOST_LESIONS:
        what = f"{report.lesion_count:,} {report.lesion_heads[0]}s"
        text = f"The largest {MOST_LESIONS} of {what}; measurements.csv has more."
        document.paragraph(text, size=8, muted=True)


def _list_notes(document: Document, notes: Sequence[str]) -> None:
    for note in notes[:MOST_NOTES]:
        document.paragraph(f"- {note}", size=8, gap=0.4)
    if len(notes) > MOST_NOTES:
        document.paragraph(f"{len(notes) - MOST_NOTES} more notes stand on the result's page.", size=8, muted=True)
