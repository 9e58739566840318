"""Pages of a report on paper: A4 upright, the notice and the page's number on every page.

fpdf2 writes it: pure Python, and it draws the plots' own SVG. Its built-in fonts know Latin-1 alone; other letters
of a name become question marks here, and stand whole in every other file.
"""

import logging
from collections.abc import Iterable, Sequence

from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout, XPos, YPos

from ml.rendering.panels import NOTICE

_MARGIN_MM = 15
# A heading with less room below it begins a new page.
_UNDER_A_HEADING_MM = 35
INK, MUTED = (0x14, 0x18, 0x1D), (0x4A, 0x55, 0x60)
_LABEL_MM = 36

# It names each tag of an SVG that it does not draw; title and desc are words for screen readers.
logging.getLogger("fpdf.svg").setLevel(logging.ERROR)


class Document(FPDF):
    """A4 upright, the notice and the page's number on every page."""

    def __init__(self, title: str) -> None:
        super().__init__(format="A4")
        self.set_margin(_MARGIN_MM)
        self.set_auto_page_break(True, margin=20)
        self.set_title(title)
        self.set_creator("Glioscope")
        self.set_lang("en")
        self.add_page()

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font("helvetica", size=8)
        self.set_text_color(*MUTED)
        self.cell(0, 5, f"{NOTICE}   Page {self.page_no()}", align="C")

    def paragraph(self, text: str, *, size: float = 10, style: str = "", muted: bool = False, gap: float = 1.5) -> None:
        self.set_font("helvetica", style=style, size=size)
        self.set_text_color(*(MUTED if muted else INK))
        self.multi_cell(0, size * 0.48, latin(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(gap)

    def heading(self, text: str) -> None:
        if self.will_page_break(_UNDER_A_HEADING_MM):
            self.add_page()
        self.ln(2)
        self.paragraph(text, size=13, style="B", gap=1)

    def title_block(self, rows: Sequence[tuple[str, str]]) -> None:
        """Labels and values, one under the other."""
        for label, value in rows:
            self.set_font("helvetica", size=9)
            self.set_text_color(*MUTED)
            self.cell(_LABEL_MM, 4.4, latin(label))
            self.set_text_color(*INK)
            self.multi_cell(0, 4.4, latin(value), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(1)

    def rows(self, heads: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[float]) -> None:
        """A table; its first column is words, the others are numbers, but for a last one named "aggregation"."""
        self.set_font("helvetica", size=8)
        self.set_text_color(*INK)
        align = ["LEFT", *["RIGHT"] * (len(heads) - 1)]
        if heads[-1] == "aggregation":
            align[-1] = "LEFT"
        with self.table(
            col_widths=tuple(widths),
            text_align=tuple(align),
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            line_height=4.2,
            headings_style=FontFace(emphasis="BOLD"),
        ) as table:
            table.row([latin(head) for head in heads])
            for row in rows:
                table.row([latin(cell) for cell in row])
        self.ln(2)


def latin(text: str) -> str:
    """The text in the letters that the built-in fonts have."""
    return text.encode("latin-1", "replace").decode("latin-1")
