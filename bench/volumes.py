"""A volume from upload to result over HTTP, beside the network's own time for its slices; and the processes' memory."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil

from bench.figures import Table, megabytes
from bench.uploads import role
from ml.engines import load_engine
from ml.engines.context import Context
from ml.scans import Limits, read_scan
from ml.skull import infer_stripped
from tests.support import volume_files
from tests.support.portal_process import RunningPortal, running_portal
from webapp.domain.settings import PROJECT_ROOT, Settings

# As scanners make them: slices, rows, columns, of 1 mm.
VOLUME = (180, 256, 256)
LOOK_EVERY_S = 0.1
LONGEST_S = 900.0


def volume() -> bytes:
    """A packed NIfTI file of that size: a head with tumors, and noise."""
    rng = np.random.default_rng(7)
    shape = (VOLUME[2], VOLUME[1], VOLUME[0])
    affine = volume_files.affine_of("LPS", (1.0, 1.0, 1.0), shape)
    voxels = volume_files.head(affine, shape).astype(np.float32)
    return volume_files.nifti((voxels * rng.uniform(0.8, 1.2, shape)).astype(np.int16), affine)


def measure() -> Iterator[Table]:
    """Times of one volume, then the most memory that each process took."""
    data = volume()
    settings = Settings.from_environment({})
    with tempfile.TemporaryDirectory(prefix="bench-") as name, running_portal(Path(name)) as portal:
        portal.wait(portal.upload(_small(), "first.nii.gz")["id"])  # the first one compiles and allocates
        with _memory(portal) as most:
            began = time.perf_counter()
            scan = portal.upload(data, "volume.nii.gz")
            answered = time.perf_counter() - began
            done = portal.wait(scan["id"], LONGEST_S)["segmentation"]
            finished = time.perf_counter() - began
        assert done["status"] == "succeeded", done
        path = Path(name, "volume.nii.gz")
        path.write_bytes(data)
        read = read_scan(path, Limits(max_slices=settings.max_slices))
    engine = load_engine(PROJECT_ROOT / "ml" / "weights" / settings.default_model, "openvino")
    engine.warm_up()
    is_stripped = "skull_stripped" in read.warnings
    began = time.perf_counter()
    infer_stripped(engine, read.pixels) if is_stripped else engine.infer(
        read.pixels, Context.of_stack(len(read.pixels))
    )
    alone = time.perf_counter() - began
    stages = done["timings_ms"]
    rows = [
        ("upload to answer: received, read, stored", answered, answered / alone),
        *((f"worker: {stage}", taken / 1000, taken / 1000 / alone) for stage, taken in stages.items()),
        ("upload to result", finished, finished / alone),
        (f"the engine alone, {len(read.pixels)} slices at a time", alone, 1.0),
    ]
    yield Table(
        f"A volume of {VOLUME[2]} x {VOLUME[1]} x {VOLUME[0]} ({len(data) / 1e6:.1f} MB), {settings.default_model}",
        ("what", "s", "/ the engine alone"),
        tuple((what, f"{seconds:.2f}", f"{ratio:.2f}") for what, seconds, ratio in rows),
    )
    yield Table(
        "The most memory that its processes took meanwhile",
        ("process", "RSS MB"),
        tuple((what, megabytes(size)) for what, size in sorted(most.items())),
        f"Looked at every {LOOK_EVERY_S:g} s; pages that processes share are counted in each.",
    )


def _small() -> bytes:
    shape = (64, 64, 8)
    affine = volume_files.affine_of("LPS", (4.0, 4.0, 20.0), shape)
    return volume_files.nifti(volume_files.head(affine, shape), affine)


@contextmanager
def _memory(portal: RunningPortal) -> Iterator[dict[str, int]]:
    """The largest resident size of each kind of process while the block runs, bytes."""
    most: dict[str, int] = {}
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_EVERY_S):
            for process in portal.processes():
                with suppress(psutil.Error):  # a child that has just ended
                    kind = role(process)
                    most[kind] = max(most.get(kind, 0), process.memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield most
    finally:
        is_over.set()
        watcher.join()
