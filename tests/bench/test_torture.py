"""`make torture` names tests that exist and says what they found; load and soak hold on a small scale."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.torture import command, load, soak, suite
from bench.torture.outcome import FALLS_SHORT, HOLDS, REPORTED
from bench.torture.promises import PROMISES, Promise
from tests.support.portal_process import RunningPortal, running_portal
from tests.support.resources import MODEL, png_bytes
from tests.support.small_model import write_small_model
from webapp.domain.settings import PROJECT_ROOT


def test_every_test_of_a_promise_exists() -> None:
    for promise in PROMISES:
        for node in promise.tests:
            path, _, name = node.partition("::")
            text = (PROJECT_ROOT / path).read_text()
            assert re.search(rf"^def {name}\(" if name else r"^def test_", text, re.M), node
    names = [promise.name for promise in PROMISES]
    assert len(set(names)) == len(names)


# The fault, and the line of the table that shows it. Each has its own.
FAULTS = {
    "web killed in an upload": "durable",
    "web killed between commit and publish": "unpublished",
    "broker down at submission": "broker-away",
    "Redis flushed or restarted": "redis",
    "database locked": "database-locked",
    "PostgreSQL restarted": "postgresql",
    "disk full": "full-disk",
    "storage down": "storage-away",
    "slow clients": "slow-clients",
    "double click": "double-click",
    "clock jumps by an hour": "clock",
    "deploy in the middle of jobs": "deploy",
    "model missing or its hash wrong": "model",
    "out of memory": "memory",
    "hang": "hang",
    "one bad file in a batch": "bad-file",
    "deleted while running": "deleted",
}
OTHERS = [
    "lost", "recovery", "duplicates", "poison", "stuck", "parsing", "bad-input", "calls", "commits", "isolation",
    "access", "deletion", "logs", "starts", "backups", "queues", "machines", "load", "soak",
]  # fmt: skip


def test_every_fault_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:
    results = tmp_path / "torture.jsonl"
    monkeypatch.setattr(suite, "show", lambda promise, **_: suite.judge(promise, suite.Report(1, (), (), ()), 0, 1.0))
    command.main(["--only", "lost", "--results", str(results)])
    lines = re.findall(r'--only ([a-z-]+)"', capsys.readouterr().out)
    assert sorted(lines) == sorted([*FAULTS.values(), *OTHERS])


def test_a_figure_is_recorded(figure) -> None:
    figure("seven of seven")


def test_a_promise_is_shown_by_pytest_itself_with_its_figures() -> None:
    outcome = suite.show(Promise("p", "it works", ("tests/bench/test_torture.py::test_a_figure_is_recorded",)))
    assert outcome.verdict == HOLDS and outcome.figures[1:] == ["seven of seven"], outcome


PASSED = '<testcase name="a"><properties><property name="figure" value="7 of 7"/></properties></testcase>'
FAILED = '<testcase name="b"><failure/></testcase>'
SKIPPED = '<testcase name="c"><skipped/></testcase>'


@pytest.mark.parametrize(
    ("cases", "code", "verdict", "words"),
    [
        (PASSED, 0, HOLDS, "7 of 7"),
        (PASSED + FAILED, 1, FALLS_SHORT, "failed: b"),
        (PASSED + SKIPPED, 0, FALLS_SHORT, "skipped: c"),
        ("", 5, FALLS_SHORT, "pytest ended with 5"),
    ],
)
def test_a_promise_holds_where_all_its_tests_passed(
    tmp_path: Path, cases: str, code: int, verdict: str, words: str
) -> None:
    path = tmp_path / "report.xml"
    path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    outcome = suite.judge(Promise("p", "it works", ()), suite.read_report(path), code, 1.0)
    assert outcome.verdict == verdict and words in "; ".join(outcome.figures)


def test_one_broken_promise_is_the_exit_status(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def show(promise: Promise, *, is_quick: bool) -> object:
        is_broken = promise.name == "poison"
        report = suite.Report(1, ("a figure",), ("test_x",) if is_broken else (), ())
        return suite.judge(promise, report, int(is_broken), 1.0)

    monkeypatch.setattr(suite, "show", show)
    assert command.main(["--only", "lost", "full-disk"]) == 0
    assert command.main(["--only", "lost", "poison"]) == 1
    table = capsys.readouterr().out
    assert "| verdict" in table and "failed: test_x" in table and FALLS_SHORT in table
    with pytest.raises(SystemExit):
        command.main(["--only", "nothing"])


def test_what_was_shown_is_kept_and_the_table_names_what_was_not(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
) -> None:
    shown: list[str] = []

    def show(promise: Promise, *, is_quick: bool) -> object:
        assert is_quick
        shown.append(promise.name)
        if promise.name == "memory" and shown.count("memory") == 1:
            raise KeyboardInterrupt
        return suite.judge(promise, suite.Report(1, ("a figure",), (), ()), 0, 1.0)

    monkeypatch.setattr(suite, "show", show)
    monkeypatch.setattr(command, "PROMISES", [item for item in PROMISES if item.name in ("lost", "clock", "memory")])
    monkeypatch.setattr(load, "measure", lambda *_: pytest.fail("load was to be interrupted before"))
    arguments = ["--quick", "--results", str(tmp_path / "torture.jsonl")]
    assert command.main(arguments) == 130
    assert shown == ["lost", "clock", "memory"] and len(re.findall(r"not run +\|", capsys.readouterr().out)) == 3
    assert command.main([*arguments, "--only", "memory"]) == 0
    assert shown[3:] == ["memory"] and len(re.findall(r"not run +\|", capsys.readouterr().out)) == 2
    monkeypatch.setattr(command, "_parts", lambda _: {"lost": command.Part("", lambda: pytest.fail("again"))})
    assert command.main(arguments) == 0


@pytest.mark.long
def test_a_run_that_is_ended_leaves_no_process() -> None:
    arguments = ["--only", "load", "--clients", "3", "--seconds", "300"]
    with subprocess.Popen(
        [sys.executable, "-m", "bench", "torture", *arguments], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        started = psutil.Process(process.pid)
        deadline = time.monotonic() + 120
        while not any("celery" in item.cmdline() for item in started.children(recursive=True)):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        children = started.children(recursive=True)
        process.terminate()
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130 and re.search(r"not run +\|", output)
    assert psutil.wait_procs(children, timeout=5)[1] == []


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    folder = tmp_path_factory.mktemp("torture")
    small = {"GLIOSCOPE_MODELS": str(write_small_model(folder / "models")), "GLIOSCOPE_MODEL": MODEL}
    with running_portal(folder, **small) as portal:
        yield portal


ITEMS = [(f"{side}.png", png_bytes(side, side)) for side in (48, 64)]


@pytest.mark.long
def test_a_few_clients_who_upload_and_read_meet_no_error(portal: RunningPortal, figure) -> None:
    outcome = load.measure(portal, ITEMS, clients=8, seconds=8)
    figure(f"load: {'; '.join(outcome.figures)}")
    assert outcome.verdict == HOLDS, (outcome, portal.log())


@pytest.mark.long
def test_a_short_soak_ends_with_a_result_for_each_scan(portal: RunningPortal, figure) -> None:
    outcome = soak.measure(portal, ITEMS, scans=100)
    figure(f"soak: {'; '.join(outcome.figures)}")
    assert outcome.verdict == REPORTED and outcome.figures[0].startswith("100 scans")


@pytest.mark.parametrize(("sizes", "growth"), [([5, 10, *[10] * 18], 0.0), ([5, 10, 10, *[10] * 15, 11, 11], 0.1)])
def test_growth_begins_after_the_first_tenth(sizes: list[int], growth: float) -> None:
    assert soak.growth_of(sizes) == pytest.approx(growth)
