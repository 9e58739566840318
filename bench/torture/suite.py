"""A promise that tests of the suite show: pytest runs them in a process of its own, and its report is read."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.torture.outcome import FALLS_SHORT, HOLDS, Outcome, command_of
from bench.torture.promises import Promise
from webapp.domain.settings import PROJECT_ROOT

# Tests that are interrupted end their portals first.
END_S = 120.0


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


def show(promise: Promise, *, is_quick: bool = False) -> Outcome:
    """Run a promise's tests, as often as promised. What was skipped is not shown, and falls short.

    is_quick: as seldom as the suite does.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        path = Path(name, "report.xml")
        # xunit1: pytest's other form of the file has no place for a test's figures.
        options = ["-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junit-xml={path}"]
        code, output = _run_pytest([*options, *promise.tests], is_quick=is_quick)
        report = read_report(path)
    sys.stderr.write(output[-4000:] if code else "")
    return judge(promise, report, code, time.monotonic() - began)


def _run_pytest(arguments: Sequence[str], *, is_quick: bool) -> tuple[int, str]:
    """Exit status and output. Where this process is interrupted pytest is, too, and ends what its tests started."""
    environ = {**os.environ, "GLIOSCOPE_TEST_PROMISED": "" if is_quick else "1"}
    command = [sys.executable, "-m", "pytest", *arguments]
    # In a session of its own a terminal's Ctrl-C does not reach it, and it is interrupted once.
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=END_S)
            except subprocess.TimeoutExpired:
                # With what its tests started, which is in sessions of its own.
                for item in [*psutil.Process(process.pid).children(recursive=True), process]:
                    with suppress(psutil.NoSuchProcess):
                        item.kill()
            raise
    return process.returncode, output


def name_of(promise: Promise) -> str:
    """As `--only` takes it."""
    return promise.name.replace(" ", "-")


def judge(promise: Promise, report: Report, code: int, seconds: float) -> Outcome:
    """Holds where all tests passed and at least one did."""
    is_shown = code == 0 and report.passed > 0 and not report.failed and not report.skipped
    figures = [f"{report.passed} tests passed in {seconds:.0f} s", *report.figures]
    figures += [f"failed: {name}" for name in report.failed] + [f"skipped: {name}" for name in report.skipped]
    if not is_shown and not report.failed and not report.skipped:
        figures.append(f"pytest ended with {code}")
    return Outcome(
        name_of(promise),
        promise.sentence,
        command_of(name_of(promise)),
        figures,
        HOLDS if is_shown else FALLS_SHORT,
    )
