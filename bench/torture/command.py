"""`python -m bench torture`: show every promise, print one table, and end with 1 where one falls short."""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.clients import finish_scan
from bench.slices import slices
from bench.torture import load, soak, suite
from bench.torture.outcome import FALLS_SHORT, Outcome, table
from bench.torture.promises import PROMISES
from tests.support.portal_process import RunningPortal, running_portal

SLICES = 60


def main(arguments: Sequence[str]) -> int:
    """The exit status: 1 where a promise falls short."""
    parser = argparse.ArgumentParser(prog="python -m bench torture", description="Show what the product promises.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these promises alone")
    parser.add_argument("--clients", type=int, default=50, help="of the load (default: 50)")
    parser.add_argument("--seconds", type=float, default=120, help="of the load (default: 120)")
    parser.add_argument("--scans", type=int, default=5000, help="of the soak (default: 5000)")
    options = parser.parse_args(arguments)

    def measure_load() -> Outcome:
        with _portal() as portal:
            return load.measure(portal, slices(SLICES), options.clients, options.seconds)

    def measure_soak() -> Outcome:
        with _portal() as portal:
            return soak.measure(portal, slices(SLICES), options.scans)

    shown: dict[str, Callable[[], Outcome]] = {
        promise.name.replace(" ", "-"): lambda promise=promise: suite.show(promise) for promise in PROMISES
    }
    shown |= {"load": measure_load, "soak": measure_soak}
    if unknown := set(options.only or ()) - shown.keys():
        parser.error(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(shown)}.")
    outcomes = []
    for name in options.only or shown:
        outcome = shown[name]()
        outcomes.append(outcome)
        print(f"{outcome.verdict}: {outcome.sentence}: {'; '.join(outcome.figures)}", flush=True)
    average = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{table(outcomes).to_markdown()}\n\nLoad average at the end {average}, {os.cpu_count()} processors.")
    return int(any(outcome.verdict == FALLS_SHORT for outcome in outcomes))


@contextmanager
def _portal() -> Iterator[RunningPortal]:
    """A portal as `make run` starts it, warm."""
    with tempfile.TemporaryDirectory(prefix="torture-") as name, running_portal(Path(name)) as portal:
        for item in slices(8):
            finish_scan(portal, item)
        yield portal
