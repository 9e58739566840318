"""Upload to finished result while an evaluation runs, beside the same with nothing else to do."""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.clients import finish_scan
from bench.figures import Table, median, ms, p95
from bench.slices import DATA, slices
from tests.support.portal_process import RunningPortal, running_portal

UPLOADS = 30
# People do not upload in step with the evaluation's groups of slices.
LONGEST_PAUSE_S = 0.5
# The check of thousands of slices at the lowest priority comes first.
STARTED_S = 600.0


def measure(count: int) -> Iterator[Table]:
    """One table for one worker, one for two. Needs the LGG data in GLIOSCOPE_TEST_DATA; none without.

    count: slices of the evaluation.
    """
    if (DATA / "lgg").is_dir():
        yield _measure(count, "one worker for both", GLIOSCOPE_BATCH_WORKER="off")
        yield _measure(count, "a worker for each", GLIOSCOPE_BATCH_WORKER="on")


@dataclass(frozen=True)
class Uploads:
    """Seconds of each upload with nothing else to do, beside an evaluation's check, and beside its slices.

    done: slices that the evaluation had done by the last upload beside it.
    """

    idle: Sequence[float]
    beside_check: Sequence[float]
    beside_cases: Sequence[float]
    done: int


def compare(count: int, **environ: str) -> Uploads:
    """Uploads to a portal of its own, one after the other, before, beside and after an evaluation of real slices.

    count: slices of the evaluation. environ: settings of the portal. Raises AssertionError where the evaluation ends
    before the uploads do.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        _repeat_patients(folder / "data", count)
        with running_portal(folder / "portal", GLIOSCOPE_EVALUATION_ROOTS=str(folder), **environ) as portal:
            for item in slices(8):
                finish_scan(portal, item)
            idle = _upload(portal, seed=1)
            evaluation = _start(portal, folder / "data")
            beside_check = _upload(portal, seed=2)
            _wait_for_cases(portal, evaluation)
            beside_cases = _upload(portal, seed=3)
            found = portal.json("GET", evaluation)[1]
            assert found["status"] == "running", "the evaluation ended before the uploads did: give it more slices"
            portal.json("POST", f"{evaluation}/cancel")
            idle += _upload(portal, seed=4)
    return Uploads(idle, beside_check, beside_cases, found["progress"]["done"])


def _measure(count: int, workers: str, **environ: str) -> Table:
    seen = compare(count, **environ)
    idle = seen.idle
    rows = [("nothing else", idle), ("an evaluation's check", seen.beside_check), ("its slices", seen.beside_cases)]
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return Table(
        f"Upload to finished result beside an evaluation of {count} slices, {workers}",
        ("what else runs", "median ms", "p95 ms", "most ms", "median / idle", "p95 / idle"),
        tuple(
            (
                what,
                ms(median(taken)),
                ms(p95(taken)),
                ms(max(taken)),
                f"{median(taken) / median(idle):.2f}",
                f"{p95(taken) / p95(idle):.2f}",
            )
            for what, taken in rows
        ),
        f"{UPLOADS} uploads of a slice in a row over HTTP, pauses up to {LONGEST_PAUSE_S:g} s; idle before and after"
        f" the evaluation, which had done {seen.done} slices by then. Load average {load}.",
    )


def _repeat_patients(folder: Path, count: int) -> None:
    """The LGG patients under new names, again and again, until there are so many slices."""
    patients = sorted(path for path in (DATA / "lgg").iterdir() if path.is_dir())
    left, turn = count, 0
    while left > 0:
        for patient in patients:
            images = sorted(path for path in patient.glob("*.webp") if not path.stem.endswith("_mask"))[:left]
            target = folder / f"{patient.name}_{turn}"
            target.mkdir(parents=True, exist_ok=True)
            for image in images:
                for path in (image, *patient.glob(f"{image.stem}_mask.*")):
                    shutil.copy(path, target / path.name)
            left -= len(images)
            if left <= 0:
                break
        turn += 1


def _start(portal: RunningPortal, data: Path) -> str:
    """Start an evaluation; gives its address."""
    status, answer = portal.json("POST", "/api/v1/evaluations", {"path": str(data)})
    assert status == 202, answer
    return f"/api/v1/evaluations/{answer['id']}"


def _wait_for_cases(portal: RunningPortal, evaluation: str) -> None:
    """Wait until the first slices are done."""
    deadline = time.monotonic() + STARTED_S
    while (found := portal.json("GET", evaluation)[1]["progress"])["stage"] == "checking" or not found["done"]:
        assert time.monotonic() < deadline, "the evaluation did not get to its slices"
        time.sleep(0.2)


def _upload(portal: RunningPortal, *, seed: int) -> list[float]:
    """Seconds from upload to result, one slice after the other."""
    chance = random.Random(seed)
    seconds = []
    for item in slices(UPLOADS):
        time.sleep(chance.uniform(0, LONGEST_PAUSE_S))
        began = time.perf_counter()
        finish_scan(portal, item)
        seconds.append(time.perf_counter() - began)
    return seconds
