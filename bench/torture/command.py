"""`python -m bench torture`: show every promise, print one table, and end with 1 where one falls short.

A part that fails, or does not end within its limit, falls short; the others are shown all the same."""

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.clients import finish_scan
from bench.slices import slices
from bench.torture import beside, load, soak, suite
from bench.torture.outcome import FALLS_SHORT, NOT_RUN, Outcome, command_of, keep, read, table
from bench.torture.promises import PROMISES
from tests.support.portal_process import RunningPortal, running_portal

SLICES = 60
PROMISED = {"clients": 50, "seconds": 120.0, "scans": 5000, "slices": 3000}
QUICK = {"clients": 10, "seconds": 20.0, "scans": 200, "slices": 1000}
# What a part may take before it is ended as one that falls short, so that the next has its turn. A quiet machine of two
# cores needs a tenth of it or less.
SUITE_LIMIT_S = 1800.0
PORTAL_LIMIT_S = 900.0
SCAN_LIMIT_S = 1.0


def main(arguments: Sequence[str]) -> int:
    """The exit status: 1 where a promise falls short, 130 where it was interrupted.

    SIGTERM interrupts as Ctrl-C does: what was started is ended, and what is known by then is printed.
    """
    options = _options(arguments)
    shown = _parts(options)
    if unknown := set(options.only or ()) - shown.keys():
        sys.exit(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(shown)}.")
    outcomes = read(options.results)
    began, code = time.monotonic(), 0
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        for name in options.only or [name for name in shown if name not in outcomes]:
            outcome = outcomes[name] = _show(name, shown[name])
            if options.results and outcome.verdict != NOT_RUN:
                keep(outcome, options.results)
            print(f"{outcome.verdict}: {outcome.sentence}: {'; '.join(outcome.figures)}", flush=True)
    except KeyboardInterrupt:
        code = 130
    finally:
        signal.signal(signal.SIGTERM, before)
    nothing = {name: Outcome(name, part.sentence, command_of(name), (), NOT_RUN) for name, part in shown.items()}
    rows = [outcomes.get(name, unknown) for name, unknown in nothing.items()]
    average = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"\n{table(rows).to_markdown()}\n\nThis run: {(time.monotonic() - began) / 60:.0f} min. Load average at the end"
        f" {average}, {os.cpu_count()} processors."
    )
    return code or int(any(outcome.verdict == FALLS_SHORT for outcome in rows))


@dataclass(frozen=True)
class Part:
    """sentence: what is promised. show: what finds out. limit_s: how long it may take."""

    sentence: str
    show: Callable[[], Outcome]
    limit_s: float = SUITE_LIMIT_S


class TimeUp(Exception):
    """A part has not ended within its limit."""


def _show(name: str, part: Part) -> Outcome:
    """What became of a part; one that fails or hangs falls short, and keeps no other from its turn."""
    began = time.monotonic()
    try:
        with _limit(part.limit_s):
            return part.show()
    except TimeUp:
        figure = f"ended at its limit of {part.limit_s:g} s"
    except Exception as error:  # noqa: BLE001 # whatever it is, the others are still to be shown
        traceback.print_exc()
        said = f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")
        figure = f"broke off after {time.monotonic() - began:.0f} s: {said}"
    return Outcome(name, part.sentence, command_of(name), (figure,), FALLS_SHORT)


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raises TimeUp in the main thread after so many seconds, once."""

    def end(*_: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, end)
    others = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *others)
        signal.signal(signal.SIGALRM, before)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench torture", description="Show what the product promises.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these promises alone, also where they are kept")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="keep each outcome there, and show only what is not there yet"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="repeat as seldom as the suite does; 10 clients for 20 s, 200 scans, an evaluation of 1,000 slices",
    )
    parser.add_argument("--clients", type=int, help="of the load (default: 50)")
    parser.add_argument("--seconds", type=float, help="of the load (default: 120)")
    parser.add_argument("--scans", type=int, help="of the soak (default: 5000)")
    parser.add_argument("--slices", type=int, help="of the evaluation that uploads are sent beside (default: 3000)")
    parser.add_argument(
        "--reads-p95-ms", type=float, metavar="MS", help="the load falls short where reads take longer (default: any)"
    )
    parser.add_argument(
        "--uploads-p95-ratio",
        type=float,
        metavar="N",
        help="uploads beside an evaluation fall short where p95 is over N times that of alone (default: any)",
    )
    options = parser.parse_args(arguments)
    sizes = QUICK if options.quick else PROMISED
    for name, value in sizes.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _parts(options: argparse.Namespace) -> dict[str, Part]:
    """By their names, in the table's order."""

    def measure_load() -> Outcome:
        with _portal() as portal:
            return load.measure(portal, slices(SLICES), options.clients, options.seconds, options.reads_p95_ms)

    def measure_soak() -> Outcome:
        with _portal() as portal:
            return soak.measure(portal, slices(SLICES), options.scans)

    parts = {
        suite.name_of(promise): Part(promise.sentence, partial(suite.show, promise, is_quick=options.quick))
        for promise in PROMISES
    }
    measure_beside = partial(beside.measure, options.slices, options.uploads_p95_ratio)
    return {
        **parts,
        "load": Part(load.SENTENCE, measure_load, PORTAL_LIMIT_S + options.seconds),
        "beside": Part(beside.SENTENCE, measure_beside, PORTAL_LIMIT_S + options.slices * SCAN_LIMIT_S),
        "soak": Part(soak.SENTENCE, measure_soak, PORTAL_LIMIT_S + options.scans * SCAN_LIMIT_S),
    }


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what ends now is not disturbed again
    raise KeyboardInterrupt


@contextmanager
def _portal() -> Iterator[RunningPortal]:
    """A portal as `make run` starts it, warm."""
    with tempfile.TemporaryDirectory(prefix="torture-") as name, running_portal(Path(name)) as portal:
        for item in slices(8):
            finish_scan(portal, item)
        yield portal
