"""Where figures are kept: docs/performance.md has a row for each class of processors, a page beside it the tables."""

from collections.abc import Mapping
from pathlib import Path

from bench.aims import SLICES_A_SECOND, TIMES_PLAIN, TIMES_SCRIPT, UPLOAD
from bench.machine import Machine

START, END = "<!-- a row for each class of processors: written by `python -m bench --write` -->", "<!-- end of rows -->"
HEAD = (
    "| processor | instruction set | measured | slices a second | times the published way | times the engineer's script"
    " | upload, plain view / portal |",
    "|---|---|---|---:|---:|---:|---:|",
)
# What the row states, with the digits after the point.
_COLUMNS = ((SLICES_A_SECOND, 1), (TIMES_PLAIN, 1), (TIMES_SCRIPT, 1), (UPLOAD, 1))


def write(document: Path, machine: Machine, day: str, facts: Mapping[str, float], text: str) -> Path:
    """Put a run's tables into the machine's own page, `DOCUMENT without suffix/MACHINE.md`, and its row into the
    document. A run without an evaluated folder leaves the row as it is. Gives the page.

    Raises SystemExit where the document has no place for rows.
    """
    page = document.with_suffix("") / f"{machine.slug}.md"
    before = document.read_text() if document.exists() else f"# Performance\n\n{START}\n{END}\n"
    if START not in before or END not in before:
        raise SystemExit(f"{document} has no place for rows: it needs the lines {START} and {END}.")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"# Figures: {machine}\n\n{text}\n")
    if TIMES_PLAIN in facts or not document.exists():
        link = f"{page.parent.name}/{page.name}"
        document.write_text(_with_row(before, link, _row(machine, day, facts, link)))
    return page


def _row(machine: Machine, day: str, facts: Mapping[str, float], link: str) -> str:
    figures = [f"{facts[name]:.{digits}f}" if name in facts else "" for name, digits in _COLUMNS]
    name = f"[{machine.model}, {machine.cores} cores]({link})"
    return "| " + " | ".join([name, machine.instructions, day, *figures]) + " |"


def _with_row(text: str, link: str, row: str) -> str:
    """The document with one row of that page, in its old place or at the end."""
    before, _, rest = text.partition(START)
    between, _, after = rest.partition(END)
    rows = [line for line in between.strip().splitlines() if line not in HEAD]
    places = [index for index, line in enumerate(rows) if f"]({link})" in line]
    rows[places[0] if places else len(rows) : places[0] + 1 if places else len(rows)] = [row]
    return "\n".join([f"{before}{START}", "", *HEAD, *rows, "", f"{END}{after}"])
