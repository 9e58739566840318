"""A folder of slices with masks, end to end: the scripts that one would write, and Glioscope's evaluation."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.aims import OUTSIDE, SLICES_A_SECOND, TIMES_PLAIN, TIMES_SCRIPT, TWO_WORKERS
from bench.figures import Table
from bench.slices import DATA
from ml.cards import find_package
from ml.datasets import Case, list_cases
from tests.support.portal_process import RunningPortal, running_portal
from webapp.domain.settings import PROJECT_ROOT, Settings

# The network of the scripts; command and portal run the default model.
MODEL = "unet-vgg16-lgg"
DEFAULT_MODEL = Settings.from_environment({}).default_model
# The scripts are slow: one of so many slices tells their speed as well.
SCRIPTS_TAKE_ONE_OF = 5
WORKER = (
    "-m celery --quiet --app worker.app worker --pool prefork --without-gossip --without-mingle --without-heartbeat"
)
FINISH_S = 3600.0


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation took, from the request to its report, what its cases spent in the engine, and the processor
    time of all processes of the portal."""

    seconds: float
    engine_s: float
    processor_s: float
    slices: int

    @property
    def rate(self) -> float:
        """Slices a second."""
        return self.slices / self.seconds

    @property
    def busy_cores(self) -> float:
        """Processors that were at work, in the mean."""
        return self.processor_s / self.seconds


def measure(slices: int) -> Iterator[Table]:
    """Two tables. Needs the LGG data in GLIOSCOPE_TEST_DATA; none without."""
    if not (DATA / "lgg").is_dir():
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        cases = _copy_patients(folder / "data", slices)
        yield _against_scripts(folder, cases)
        yield _workers(folder, len(cases))


def _copy_patients(folder: Path, slices: int) -> tuple[Case, ...]:
    """Whole patients, spread over the data set, until there are so many slices; the last one is cut short."""
    found = list_cases(DATA / "lgg")
    patients = sorted({case.patient for case in found})
    wanted: list[Case] = []
    step = max(1, len(patients) * 35 // slices)
    for patient in [*patients[::step], *patients[1::step]]:
        wanted += [case for case in found if case.patient == patient]
    for case in wanted[:slices]:
        for path in (case.image, case.mask):
            target = folder / case.patient / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return list_cases(folder)


def _against_scripts(folder: Path, cases: Sequence[Case]) -> Table:
    from bench import scripts  # torch and matplotlib: the other parts measure a process without them

    package = find_package(MODEL, [PROJECT_ROOT / "ml" / "weights"])
    few = cases[::SCRIPTS_TAKE_ONE_OF]
    network = scripts.load_network(package)
    scripts.run_plain(network, cases[:2])  # the first ones allocate, and draw fonts
    plain = len(few) / scripts.run_plain(network, few)
    kind = scripts.choose_type()
    batched = len(few) / scripts.run_batched(network, few, kind)
    commanded = len(cases) / _run_command(folder)
    with running_portal(folder / "one", GLIOSCOPE_EVALUATION_ROOTS=str(folder)) as portal:
        evaluate(portal, _first_patient(folder))
        served = evaluate(portal, folder / "data")
    rows = [
        ("plain pipeline", plain),
        ("engineer's script", batched),
        ("python -m ml evaluate", commanded),
        ("portal, one worker", served.rate),
    ]
    outside = 1 - served.engine_s / served.seconds
    note = (
        f"{DEFAULT_MODEL} in command and portal, {MODEL} in the scripts. From the request to the report: every file"
        " checked and digested, cases scored with surface distances, maps and masks stored."
        f" The scripts took {len(few)} of the slices; the engineer's ran in {str(kind)[6:]}."
        f" The command's time includes its start. {outside:.1%} of the portal's time was not the engine's: the check"
        " before, the report after, and what did not overlap."
    )
    return Table(
        f"A folder of {len(cases)} slices with masks",
        ("who evaluates", "slices a second", "times plain", "times engineer's"),
        tuple((name, f"{rate:.2f}", f"{rate / plain:.1f}", f"{rate / batched:.1f}") for name, rate in rows),
        note,
        {
            SLICES_A_SECOND: served.rate,
            TIMES_PLAIN: served.rate / plain,
            TIMES_SCRIPT: served.rate / batched,
            OUTSIDE: outside,
        },
    )


def _workers(folder: Path, slices: int) -> Table:
    """One and two workers, each with one thread."""
    environ = {"GLIOSCOPE_EVALUATION_ROOTS": str(folder), "GLIOSCOPE_WORKER_THREADS": "1"}
    with running_portal(folder / "threads", **environ) as portal:
        evaluate(portal, _first_patient(folder))
        alone = evaluate(portal, folder / "data")
        with _second_worker(portal, folder / "threads", environ) as second:
            evaluate(portal, _first_patient(folder), second.pid)
            both = evaluate(portal, folder / "data", second.pid)
    rows = (("one worker", alone), ("two workers", both))
    cores = len(os.sched_getaffinity(0))
    return Table(
        f"Workers of one thread, the same {slices} slices",
        ("workers", "slices a second", "times one worker", "processor ms a slice", "busy cores"),
        tuple(
            (
                name,
                f"{found.rate:.2f}",
                f"{found.rate / alone.rate:.2f}",
                f"{1000 * found.processor_s / found.slices:.1f}",
                f"{found.busy_cores:.2f}",
            )
            for name, found in rows
        ),
        "A worker of one thread keeps more than one core busy: files are read, and masks compared and written, while"
        f" its network computes. Two of them on {cores} cores are at most"
        f" {min(2.0, cores / alone.busy_cores):.2f} times as fast as one, were a slice's processor time the same.",
        {TWO_WORKERS: both.rate / alone.rate},
    )


def _first_patient(folder: Path) -> Path:
    """A data set of one patient, to warm up with."""
    few = folder / "few"
    if not few.exists():
        patient = min(path for path in (folder / "data").iterdir() if path.is_dir())
        shutil.copytree(patient, few / patient.name)
    return few


def evaluate(portal: RunningPortal, data: Path, *others: int) -> Evaluated:
    """Evaluate a folder through the API, from the request to the report. others: processes beside the portal's own."""
    roots = (portal.process.pid, *others)
    worked, began = _processor_s(roots), time.perf_counter()
    status, answer = portal.json("POST", "/api/v1/evaluations", {"path": str(data)})
    assert status == 202, answer
    path = f"/api/v1/evaluations/{answer['id']}"
    while time.perf_counter() - began < FINISH_S:
        _, answer = portal.json("GET", f"{path}?wait=30")
        if answer["status"] not in ("queued", "running"):
            break
    seconds, worked = time.perf_counter() - began, _processor_s(roots) - worked
    assert answer["status"] == "succeeded", answer
    lines = portal.call("GET", f"{path}/metrics.csv")[1].decode().splitlines()
    column = lines[0].split(",").index("seconds")
    taken = [float(line.split(",")[column]) for line in lines[1:]]
    return Evaluated(seconds, sum(taken), worked, len(taken))


def _processor_s(roots: Sequence[int]) -> float:
    """Of these processes and all below them, of those that have ended and were waited for, too."""
    total = 0.0
    for root in map(psutil.Process, roots):
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # user, system, children's user, children's system
    return total


def _run_command(folder: Path) -> float:
    command = f"-m ml evaluate {folder / 'data'} --model {DEFAULT_MODEL} --out {folder / 'report'}"
    began = time.perf_counter()
    subprocess.run([sys.executable, *command.split()], cwd=PROJECT_ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


@contextmanager
def _second_worker(portal: RunningPortal, folder: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Another worker on the portal's instance, ready when this is entered."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLIOSCOPE_")}
    environment |= {"GLIOSCOPE_INSTANCE": str(folder / "instance"), **environ}
    before = _live_workers(portal)
    process = subprocess.Popen(
        [sys.executable, *WORKER.split(), "--loglevel", "ERROR"],
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while _live_workers(portal) <= before:
            assert time.monotonic() < deadline and process.poll() is None, "the second worker did not start"
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _live_workers(portal: RunningPortal) -> int:
    lines = portal.call("GET", "/metrics")[1].decode().splitlines()
    return int(float(next(line for line in lines if line.startswith("glioscope_live_workers ")).split()[1]))
