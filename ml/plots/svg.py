"""A small writer of SVG 1.1: axes, points, lines and text, readable by a screen reader, in light, dark and print.

Colors are given twice: as attributes (light), which hold where styles are not allowed, and as classes that follow
`prefers-color-scheme`. Numbers have two decimals, so that the same plot is the same file.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

LIGHT = {
    "ground": "#ffffff",
    "ink": "#14181d",
    "muted": "#55616d",
    "line": "#d3dae1",
    "accent": "#0b6ea8",
    "tumor": "#c8102e",
}
_DARK = {
    "ground": "#13171c",
    "ink": "#e8ecf1",
    "muted": "#9aa6b2",
    "line": "#28303a",
    "accent": "#5cc8ff",
    "tumor": "#ff6d85",
}
WIDTH, HEIGHT = 480, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 30, 40, 52
# Of an axis from 0 to 1, as (value, label).
UNIT_TICKS = tuple((tick / 4, f"{tick / 4:g}") for tick in range(5))
_FONT = "system-ui, sans-serif"


class Plot:
    """A plot being drawn: `title` and `description` are read to those who do not see it."""

    def __init__(self, title: str, description: str, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.title, self.description = title, description
        self.width, self.height = width, height
        self._parts: list[str] = []
        self.rectangle(0, 0, width, height, "ground")
        self.text(width / 2, 22, title, size=15, anchor="middle")

    def rectangle(
        self, x: float, y: float, width: float, height: float, color: str, opacity: float = 1, tip: str = ""
    ) -> None:
        """A filled rectangle, with a tool tip where there is one."""
        start = (
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" {_fill(color)}'
            f' fill-opacity="{opacity:g}"'
        )
        self._parts.append(f"{start}><title>{escape(tip)}</title></rect>" if tip else f"{start}/>")

    def line(self, points: Sequence[tuple[float, float]], color: str, width: float = 1, dashes: str = "") -> None:
        """A line through points, in pixels of the plot."""
        if len(points) < 2:
            return  # a reader of SVG may stumble over a line without an end, as the PDF's does
        places = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(
            f'<polyline points="{places}" fill="none" stroke="{LIGHT[color]}" class="s-{color}"'
            f' stroke-width="{width:g}"{dashed}/>'
        )

    def point(self, x: float, y: float, color: str, tip: str = "", radius: float = 3) -> None:
        """A dot with a tool tip."""
        title = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}" {_fill(color)} fill-opacity="0.7">{title}</circle>'
        )

    def text(
        self, x: float, y: float, text: str, color: str = "ink", size: int = 12, anchor: str = "start", turn: int = 0
    ) -> None:
        """Text at a place; anchor: start, middle or end; turn: degrees about the place."""
        turned = f' transform="rotate({turn} {x:.2f} {y:.2f})"' if turn else ""
        self._parts.append(
            f'<text x="{x:.2f}" y="{y:.2f}" font-family="{_FONT}" font-size="{size}" text-anchor="{anchor}"'
            f" {_fill(color)}{turned}>{escape(text)}</text>"
        )

    def render(self) -> str:
        """The whole SVG document."""
        head = f"<title>{escape(self.title)}</title><desc>{escape(self.description)}</desc>"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}"'
            f' height="{self.height}" role="img">{head}<style>{_style()}</style>{"".join(self._parts)}</svg>\n'
        )


class Axes:
    """Two axes in a plot. Values of x and y are mapped into it; `x_ticks` and `y_ticks` are (value, label)."""

    def __init__(
        self,
        plot: Plot,
        x_label: str,
        y_label: str,
        x_ticks: Sequence[tuple[float, str]],
        y_ticks: Sequence[tuple[float, str]] = UNIT_TICKS,
        x_range: tuple[float, float] = (0, 1),
    ) -> None:
        self._plot, self._x_range = plot, x_range
        for value, label in y_ticks:
            x, y = self.place(x_range[0], value)
            plot.line([(x, y), (plot.width - _RIGHT, y)], "line")
            plot.text(x - 8, y + 4, label, "muted", anchor="end")
        for value, label in x_ticks:
            x, y = self.place(value, 0)
            plot.line([(x, y), (x, y + 5)], "muted")
            plot.text(x, y + 18, label, "muted", anchor="middle")
        middle = (_LEFT + plot.width - _RIGHT) / 2
        plot.text(middle, plot.height - 12, x_label, anchor="middle")
        plot.text(16, (_TOP + plot.height - _BOTTOM) / 2, y_label, anchor="middle", turn=-90)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where the value (x, y) lies in the plot, in pixels; y from 0 to 1."""
        low, high = self._x_range
        across = self._plot.width - _LEFT - _RIGHT
        up = self._plot.height - _TOP - _BOTTOM
        return _LEFT + (x - low) / (high - low) * across, self._plot.height - _BOTTOM - y * up


def _fill(color: str) -> str:
    return f'fill="{LIGHT[color]}" class="f-{color}"'


def _style() -> str:
    rules = "".join(f".f-{name}{{fill:{value}}}.s-{name}{{stroke:{value}}}" for name, value in _DARK.items())
    return f"@media screen and (prefers-color-scheme:dark){{{rules}}}"
