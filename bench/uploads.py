"""Upload to finished result over HTTP, beside the plain view; and what the portal's processes then hold in memory."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil

from bench.aims import UPLOAD
from bench.clients import ask_plain, finish_scan, plain_server, timed
from bench.figures import Table, median, megabytes, ms, p95
from bench.slices import CHECKPOINT, slices
from tests.support.portal_process import RunningPortal, running_portal
from webapp.domain.settings import PROJECT_ROOT

SLICES = 60
BLOCK = 6
MANY_CLIENTS = 8
IMPORTS = 5

# Words of a command line, and what the process is; the first that fits.
PROCESSES = (
    ("redis-server", "Redis"),
    ("worker.app", "worker"),
    ("worker.recovery.sweeper", "sweeper"),
    ("ml.sandbox.server", "decode server"),
    ("wsgi:app", "web"),
)


def measure() -> Iterator[Table]:
    """Latency at one and at several clients, then memory."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        portal = stack.enter_context(running_portal(Path(name)))
        jobs = {"portal": partial(finish_scan, portal)}
        if CHECKPOINT.is_file():
            port = _free_port()
            stack.enter_context(plain_server(CHECKPOINT, port))
            jobs["plain view"] = partial(ask_plain, port)
        for job in jobs.values():
            timed(job, slices(8), clients=1)  # the first ones import and allocate
        yield _latency(jobs, 1)
        yield _latency(jobs, MANY_CLIENTS)
        yield _memory(portal)
    yield _import_time()


def _latency(jobs: dict, clients: int) -> Table:
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    spans = dict.fromkeys(jobs, 0.0)
    block = max(BLOCK, 2 * clients)
    items = slices(SLICES)
    for start in range(0, SLICES, block):  # interleaved: both see the same moments of the machine
        for name, job in jobs.items():
            taken, span = timed(job, items[start : start + block], clients)
            seconds[name] += taken
            spans[name] += span
    own = seconds["portal"]
    rows = tuple(
        (name, ms(median(taken)), ms(p95(taken)), f"{SLICES / spans[name]:.1f}", f"{median(taken) / median(own):.1f}")
        for name, taken in seconds.items()
    )
    note = (
        "" if CHECKPOINT.is_file() else "The plain view was left out: GLIOSCOPE_TEST_DATA has no bootstrap checkpoint."
    )
    head = ("who answers", "median ms", "p95 ms", "slices a second", "median / portal's")
    title = f"Upload to finished result over HTTP, {SLICES} slices, {clients} client{'s' if clients > 1 else ''}"
    facts = {UPLOAD: median(seconds["plain view"]) / median(own)} if clients == 1 and "plain view" in seconds else {}
    return Table(title, head, rows, note, facts)


def _memory(portal: RunningPortal) -> Table:
    rows = []
    for process in portal.processes():
        try:
            memory = process.memory_full_info()
            # gunicorn's arbiter and Celery's main process are called as their children are.
            name = role(process)
            kind = f"{name}, parent" if name in map(role, process.children()) else name
        except psutil.Error:  # a decode child that has just ended
            continue
        rows.append((kind, megabytes(memory.rss), megabytes(memory.pss)))
    count = portal.json("GET", "/api/v1/scans?limit=200")[1]["scans"]
    note = "PSS counts a page shared by n processes as 1/n: the sum of the column is what the portal takes."
    head = ("process", "RSS MB", "PSS MB")
    return Table(f"Memory after {len(count)} scans", head, tuple(sorted(rows)), note)


def role(process: psutil.Process) -> str:
    """Which of the portal's processes it is, in words."""
    line = " ".join(process.cmdline())
    return next((role for word, role in PROCESSES if word in line), "other")


def _import_time() -> Table:
    seconds = []
    code = "import time; t = time.perf_counter(); import wsgi; print(time.perf_counter() - t)"
    for _ in range(IMPORTS):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            environ = {"PATH": "", "GLIOSCOPE_INSTANCE": name}
            answer = subprocess.run(
                [sys.executable, "-c", code], cwd=PROJECT_ROOT, env=environ, check=True, capture_output=True
            )
            seconds.append(float(answer.stdout))
    row = ("import wsgi", ms(min(seconds)), ms(median(seconds)))
    return Table("Start", ("what", "least ms", "median ms"), (row,))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
