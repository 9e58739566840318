"""`make bench`, or `python -m bench [PART ...]`: measure this machine and print the figures.

Parts: engines, evaluations, uploads, history and pages by default; mixed (uploads beside an evaluation); volumes;
viewer, which needs a Chromium; recipes, which trains each one for some minutes.
`python -m bench gpu` has options of its own: it trains all that ships, and measures it (`bench.gpu`). So has `python -m
bench torture`: every promise of the product with its figure (`bench.torture`).
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import evaluation_pages, evaluations, history, mixed_work, uploads
from bench.aims import aims_table, facts_of, verdict
from bench.figures import Table
from bench.machine import measure_noise, this_machine
from bench.pages import write

BY_DEFAULT = ("engines", "evaluations", "uploads", "history", "pages")


def main(arguments: list[str]) -> None:
    """Measure what is asked for, print it as it comes, and write it where that is asked for."""
    if arguments[:1] == ["gpu"]:
        from bench.gpu import command  # torch

        command.main(arguments[1:])
        return
    if arguments[:1] == ["torture"]:
        from bench.torture import command as torture

        sys.exit(torture.main(arguments[1:]))
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure a portal on this machine.")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(BY_DEFAULT)} (default), mixed, volumes, viewer, recipes"
    )
    parser.add_argument("--slices", type=int, default=200, help="of the evaluated folder (default: 200; try 1000)")
    parser.add_argument("--scans", type=int, default=10_000, help="rows in the history (default: 10000; try 100000)")
    parser.add_argument("--cases", type=int, default=10_000, help="of the evaluation whose pages are opened (as above)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="docs/performance.md: its row of this machine")
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], Iterator[Table]]] = {
        "engines": _measure_engines,
        "evaluations": partial(evaluations.measure, options.slices),
        "uploads": uploads.measure,
        "history": partial(history.measure, options.scans),
        "pages": partial(evaluation_pages.measure, options.cases),
        "mixed": partial(mixed_work.measure, options.slices),
        "volumes": _measure_volumes,
        "viewer": _measure_viewer,
        "recipes": _measure_recipes,
    }
    if unknown := set(options.parts) - parts.keys():
        parser.error(f"There is no part {', '.join(sorted(unknown))}; the parts are {', '.join(parts)}.")
    sizes = f"--slices {options.slices} --scans {options.scans} --cases {options.cases}"
    command = " ".join(["python -m bench", *options.parts, sizes])
    machine, today = this_machine(), f"{datetime.now(UTC):%Y-%m-%d}"
    head = f"{machine}. {today}, `{command}`."
    tables = [measure_noise()]
    print(f"{head}\n\n{tables[0].to_markdown()}\n", flush=True)
    for name in options.parts or BY_DEFAULT:
        for table in parts[name]():
            tables.append(table)
            print(f"{table.to_markdown()}\n", flush=True)
    facts = facts_of(tables)
    tables.append(aims_table(facts, multiplies_8_bit=machine.multiplies_8_bit))
    last = verdict(facts, multiplies_8_bit=machine.multiplies_8_bit)
    if options.write is not None:
        text = "\n\n".join([head, *(table.to_markdown() for table in tables), last])
        print(f"Written: {write(options.write, machine, today, facts, text)}\n")
    print(f"{tables[-1].to_markdown()}\n\n{last}", flush=True)


def _measure_engines() -> Iterator[Table]:
    from bench import engines  # OpenVINO, and torch

    return engines.measure()


def _measure_volumes() -> Iterator[Table]:
    from bench import volumes  # OpenVINO, and what reads a file

    return volumes.measure()


def _measure_viewer() -> Iterator[Table]:
    from bench import viewer  # Playwright

    return viewer.measure()


def _measure_recipes() -> Iterator[Table]:
    from bench import recipes  # torch and Lightning: the other parts measure a process without them

    return recipes.measure()


if __name__ == "__main__":
    main(sys.argv[1:])
