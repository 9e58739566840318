"""`make torture` names tests that exist and says what they found; load and soak hold on a small scale."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench import mixed_work
from bench.torture import beside, command, load, soak, suite
from bench.torture.outcome import FALLS_SHORT, HOLDS, NOT_RUN, REPORTED, Outcome, command_of
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
    "access", "deletion", "logs", "starts", "backups", "queues", "machines", "load", "beside", "soak",
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
    assert shown == ["lost", "clock", "memory"] and len(re.findall(r"not run +\|", capsys.readouterr().out)) == 4
    assert command.main([*arguments, "--only", "memory"]) == 0
    assert shown[3:] == ["memory"] and len(re.findall(r"not run +\|", capsys.readouterr().out)) == 3
    monkeypatch.setattr(command, "_parts", lambda _: {"lost": command.Part("", lambda: pytest.fail("again"))})
    assert command.main(arguments) == 0


def test_a_part_that_fails_or_hangs_falls_short_and_the_others_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
) -> None:
    def fail() -> Outcome:
        raise ConnectionError("the portal did not start")

    def hang() -> Outcome:
        threading.Event().wait()
        raise AssertionError

    held = Outcome("last", "c", command_of("last"), ("a figure",), HOLDS)
    parts = {
        "fails": command.Part("a", fail),
        "hangs": command.Part("b", hang, limit_s=0.2),
        "last": command.Part("c", lambda: held),
    }
    monkeypatch.setattr(command, "_parts", lambda _: parts)
    results = tmp_path / "torture.jsonl"
    assert command.main(["--results", str(results)]) == 1
    table = capsys.readouterr().out
    assert "ConnectionError: the portal did not start" in table and "ended at its limit of 0.2 s" in table
    rows = command.read(results)
    assert [row.verdict for row in rows.values()] == [FALLS_SHORT, FALLS_SHORT, HOLDS]
    assert list(rows) == list(parts)


def test_each_part_has_a_limit_that_a_slow_machine_keeps() -> None:
    options = command._options([])
    parts = command._parts(options)
    assert all(part.limit_s >= 900 for part in parts.values())
    assert parts["load"].limit_s > options.seconds and parts["soak"].limit_s > options.scans


def test_tests_that_do_not_end_are_ended_with_what_they_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "test_hang.py").write_text(
        "import pathlib, signal, subprocess, time\n"
        "def test_it():\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "    child = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
        "    pathlib.Path(__file__).with_name('pid.new').write_text(str(child.pid))\n"
        "    pathlib.Path(__file__).with_name('pid.new').rename(pathlib.Path(__file__).with_name('pid'))\n"
        "    time.sleep(300)\n"
    )
    monkeypatch.setattr(suite, "END_S", 0.5)
    told = tmp_path / "pid"

    def ring() -> None:
        while not told.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGALRM)

    threading.Thread(target=ring, daemon=True).start()
    outcome = command._show("p", command.Part("it ends", lambda: suite.show(Promise("p", "", (str(tmp_path),)))))
    assert outcome.verdict == FALLS_SHORT and "limit" in outcome.figures[0]
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in (int(told.read_text()),) if psutil.pid_exists(pid)], 5)
    assert alive == []


@pytest.mark.parametrize(("most", "verdict"), [(None, REPORTED), (2.0, HOLDS), (1.4, FALLS_SHORT)])
def test_uploads_beside_an_evaluation_are_held_against_uploads_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, most: float | None, verdict: str
) -> None:
    (tmp_path / "lgg").mkdir()
    monkeypatch.setattr(beside, "DATA", tmp_path)
    seen = mixed_work.Uploads([0.1] * 20, [0.1] * 20, [0.15] * 20, done=700)
    monkeypatch.setattr(beside, "compare", lambda count, **_: seen)
    outcome = beside.measure(3000, most)
    assert outcome.verdict == verdict
    assert "3000 slices, 700 of them done" in outcome.figures[0] and "(1.50 of idle)" in outcome.figures[3]
    monkeypatch.setattr(beside, "DATA", tmp_path / "none")
    assert beside.measure(3000, most).verdict == NOT_RUN


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
