"""Pages of a report on paper: A4 upright, the notice and the page's number on every page.

fpdf2 writes it: pure Python, and it draws the plots' own SVG. Its built-in fonts know Latin-1 alone; a text with other
letters of European languages is set in DejaVu Sans. What neither has (Chinese, Arabic, ...) becomes question marks
here, and stands whole in every other file.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from fontTools.ttLib import TTFont
from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout, XPos, YPos

from ml.rendering.panels import NOTICE

_MARGIN_MM = 15
# A heading with less room below it begins a new page.
_UNDER_A_HEADING_MM = 35
INK, MUTED = (0x14, 0x18, 0x1D), (0x4A, 0x55, 0x60)
_LABEL_MM = 36
_PLAIN, _WIDE = "helvetica", "dejavu"
_FONTS = {style: Path(__file__).parent / "fonts" / f"DejaVuSans{end}.ttf" for style, end in (("", ""), ("B", "-Bold"))}

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

    def choose_font(self, text: str, *, size: float, style: str = "") -> str:
        """Set the font that has the text's letters, style "" or "B"; the text in those that it has."""
        family, shown = self._in_letters(text, style)
        self.set_font(family, style=style, size=size)
        return shown

    def _in_letters(self, text: str, style: str = "") -> tuple[str, str]:
        """The family of fonts for a text, and the text in its letters."""
        plain = text.encode("latin-1", "replace").decode("latin-1")
        if plain == text:
            return _PLAIN, text
        wide = "".join(letter if ord(letter) in _wide_letters() or letter.isspace() else "?" for letter in text)
        if wide == plain:
            return _PLAIN, plain
        if f"{_WIDE}{style}" not in self.fonts:  # one that is not used would stay open
            self.add_font(_WIDE, style=style, fname=_FONTS[style])
        return _WIDE, wide

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font(_PLAIN, size=8)
        self.set_text_color(*MUTED)
        self.cell(0, 5, f"{NOTICE}   Page {self.page_no()}", align="C")

    def paragraph(self, text: str, *, size: float = 10, style: str = "", muted: bool = False, gap: float = 1.5) -> None:
        self.set_text_color(*(MUTED if muted else INK))
        shown = self.choose_font(text, size=size, style=style)
        self.multi_cell(0, size * 0.48, shown, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(gap)

    def heading(self, text: str) -> None:
        if self.will_page_break(_UNDER_A_HEADING_MM):
            self.add_page()
        self.ln(2)
        self.paragraph(text, size=13, style="B", gap=1)

    def title_block(self, rows: Sequence[tuple[str, str]]) -> None:
        """Labels and values, one under the other."""
        for label, value in rows:
            self.set_text_color(*MUTED)
            self.cell(_LABEL_MM, 4.4, self.choose_font(label, size=9))
            self.set_text_color(*INK)
            self.multi_cell(0, 4.4, self.choose_font(value, size=9), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(1)

    def rows(self, heads: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[float]) -> None:
        """A table; its first column is words, the others are numbers, but for a last one named "aggregation"."""
        self.set_font(_PLAIN, size=8)
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
            table.row(heads)
            for cells in rows:
                row = table.row()
                for cell in cells:
                    family, shown = self._in_letters(cell)
                    row.cell(shown, style=FontFace(family=family))
        self.ln(2)


@cache
def _wide_letters() -> frozenset[int]:
    """What the fonts of our own have, plain and bold."""
    known = []
    for path in _FONTS.values():
        with TTFont(path, lazy=True) as font:
            known.append(frozenset(font.getBestCmap()))
    return frozenset.intersection(*known)
