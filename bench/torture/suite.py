"""A promise that tests of the suite show: pytest runs them in a process of its own, and its report is read."""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.torture.outcome import FALLS_SHORT, HOLDS, Outcome
from bench.torture.promises import Promise
from webapp.domain.settings import PROJECT_ROOT


@dataclass(frozen=True)
class Report:
    """A JUnit file's counts, the figures that tests measured, and the names of those that did not pass."""

    passed: int
    figures: Sequence[str]
    failed: Sequence[str]
    skipped: Sequence[str]


def read_report(path: Path) -> Report:
    """Read what pytest's `--junit-xml` wrote; nothing passed where there is no such file."""
    if not path.is_file():
        return Report(0, (), (), ())
    cases = list(ElementTree.parse(path).iter("testcase"))
    failed = [
        case.get("name", "") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = [case.get("name", "") for case in cases if case.find("skipped") is not None]
    figures = [
        item.get("value", "") for case in cases for item in case.iter("property") if item.get("name") == "figure"
    ]
    return Report(len(cases) - len(failed) - len(skipped), sorted(figures), failed, skipped)


def show(promise: Promise) -> Outcome:
    """Run a promise's tests, as often as promised. What was skipped is not shown, and falls short."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        path = Path(name, "report.xml")
        # xunit1: pytest's other form of the file has no place for a test's figures.
        options = ["-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junit-xml={path}"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *promise.tests],
            cwd=PROJECT_ROOT,
            env={**os.environ, "GLIOSCOPE_TEST_PROMISED": "1"},
            capture_output=True,
            text=True,
        )
        report = read_report(path)
    sys.stderr.write(done.stdout[-4000:] if done.returncode else "")
    return judge(promise, report, done.returncode, time.monotonic() - began)


def judge(promise: Promise, report: Report, code: int, seconds: float) -> Outcome:
    """Holds where all tests passed and at least one did."""
    is_shown = code == 0 and report.passed > 0 and not report.failed and not report.skipped
    figures = [f"{report.passed} tests passed in {seconds:.0f} s", *report.figures]
    figures += [f"failed: {name}" for name in report.failed] + [f"skipped: {name}" for name in report.skipped]
    if not is_shown and not report.failed and not report.skipped:
        figures.append(f"pytest ended with {code}")
    return Outcome(
        promise.name,
        promise.sentence,
        f'make torture TORTURE="--only {promise.name.replace(" ", "-")}"',
        figures,
        HOLDS if is_shown else FALLS_SHORT,
    )
