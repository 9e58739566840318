"""`make bench`, or `python -m bench [PART ...]`: measure this machine and print the figures.

Parts: uploads, history, engines; all of them by default.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import engines, history, uploads
from bench.figures import Table
from bench.machine import measure_noise, processor

START, END = "<!-- figures: written by `python -m bench --write` -->", "<!-- end of figures -->"


def main(arguments: list[str]) -> None:
    """Measure what is asked for, print it as it comes, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure a portal on this machine.")
    parser.add_argument("parts", nargs="*", metavar="PART", help="uploads, history, engines (default: all)")
    parser.add_argument("--scans", type=int, default=10_000, help="rows in the history (default: 10000; try 100000)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into this Markdown file")
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], Iterator[Table]]] = {
        "uploads": uploads.measure,
        "history": partial(history.measure, options.scans),
        "engines": engines.measure,
    }
    if unknown := set(options.parts) - parts.keys():
        parser.error(f"There is no part {', '.join(sorted(unknown))}; the parts are {', '.join(parts)}.")
    command = " ".join(["python -m bench", *options.parts, f"--scans {options.scans}"])
    head = f"{processor()}. {datetime.now(UTC):%Y-%m-%d}, `{command}`."
    tables = [measure_noise()]
    print(f"{head}\n\n{tables[0].to_markdown()}\n", flush=True)
    for name in options.parts or parts:
        for table in parts[name]():
            tables.append(table)
            print(f"{table.to_markdown()}\n", flush=True)
    if options.write is not None:
        write(options.write, "\n\n".join([head, *(table.to_markdown() for table in tables)]))


def write(path: Path, figures: str) -> None:
    """Put the figures between the marks of a Markdown file; a new file gets a title and the marks."""
    text = path.read_text() if path.exists() else f"# Performance\n\n{START}\n{END}\n"
    if START not in text or END not in text:
        raise SystemExit(f"{path} has no place for figures: it needs the lines {START} and {END}.")
    before, after = text.partition(START)[0], text.partition(END)[2]
    path.write_text(f"{before}{START}\n\n{figures}\n\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
