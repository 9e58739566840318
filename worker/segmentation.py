"""What a worker does with a job: claim, predict, store, complete. Celery's concerns are in `worker.tasks`."""

import logging
import time
from dataclasses import dataclass

import numpy as np
from celery.exceptions import SoftTimeLimitExceeded

from ml.cards.card import Card, PackageError
from ml.engines import Engine, EngineError, Inference
from ml.masks import measure, min_pixels_on_grid, tumor_mask
from ml.ood.detector import warnings_of
from webapp.domain.errors import DatabaseUnavailable, StorageFull, StorageUnavailable
from webapp.domain.jobs import lifecycle
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.segmentations import Work
from webapp.domain.storage.arrays import read_array, write_array
from webapp.domain.storage.keys import map_key, stack_key
from worker.jobs.lease import Heartbeat, LeaseLost
from worker.process.engines import Runtime

logger = logging.getLogger(__name__)

# Slices between two looks at the lease: half a second on a CPU.
SLICES_AT_ONCE = 8
# Between two tries to write a finished result into a database that is away.
COMMIT_PAUSE_S = 0.5

MESSAGES = {
    "out_of_memory": "The scan is too large for this machine's memory; send fewer slices, or use a larger machine.",
    "timeout": "Processing took longer than it may; send fewer slices, or raise GLIOSCOPE_JOB_TIMEOUT_S.",
    "model_unavailable": "The model cannot be loaded; its package must be restored on the server.",
    "internal": "Processing failed by a fault of this software; the server's log has it under this segmentation's id.",
}


@dataclass(frozen=True)
class Prediction:
    """A probability map, uint8 (N, H, W), where it is stored, what made it, and codes of what a reader must know."""

    q: np.ndarray
    key: str
    engine: str
    card: Card
    infer_ms: float
    warnings: tuple[str, ...]


def run_segmentation(runtime: Runtime, segmentation_id: str) -> None:
    """Claim a segmentation and run it to an end; where it cannot be claimed there is nothing to do."""
    started = time.monotonic()
    resources = runtime.resources
    claimed = segmentations.claim(resources, segmentation_id, runtime.worker_id)
    if claimed is None:
        return
    held, work = claimed
    try:
        with Heartbeat(resources, held) as heartbeat:
            prediction = _predict(runtime, held, work, heartbeat)
            _complete(resources, held, work, prediction, started)
    except LeaseLost:
        logger.info("segmentation %s attempt %d: lease lost, result discarded", held.id, held.attempt)
        _discard(resources, held, work)
    except (StorageFull, StorageUnavailable, DatabaseUnavailable) as error:
        # The machine's fault, not the scan's: it goes back into the queue and is tried again when the sweeper says so.
        logger.warning("segmentation %s attempt %d: %s, released", held.id, held.attempt, error.code)
        _release(resources, held)
    except MemoryError:
        _fail(resources, held, "out_of_memory")
    except SoftTimeLimitExceeded:
        _fail(resources, held, "timeout")
    except (PackageError, EngineError):
        logger.exception("segmentation %s attempt %d", held.id, held.attempt)
        _fail(resources, held, "model_unavailable")
    except Exception:
        logger.exception("segmentation %s attempt %d", held.id, held.attempt)
        _fail(resources, held, "internal")


def _predict(runtime: Runtime, held: lifecycle.Claim, work: Work, heartbeat: Heartbeat) -> Prediction:
    """The network's map, stored; or the stored map of the run whose threshold was changed."""
    resources = runtime.resources
    engine = runtime.engine(work.model)
    if work.map_key is not None:
        q = np.asarray(read_array(resources.storage, work.map_key))
        return Prediction(q, work.map_key, work.map_engine or engine.name, engine.card, 0.0, work.map_warnings)
    pixels = read_array(resources.storage, stack_key(work.scan_id))  # (N, H, W, 3)
    began = time.monotonic()
    try:
        found = _infer_stack(engine, pixels, heartbeat, SLICES_AT_ONCE)
    except MemoryError:
        logger.warning("segmentation %s: out of memory, tried again slice by slice", held.id)
        found = _infer_stack(engine, pixels, heartbeat, 1)
    infer_ms = (time.monotonic() - began) * 1000
    key = map_key(work.scan_id, held.id, held.attempt)
    heartbeat.check()
    write_array(resources.storage, key, found.q)
    return Prediction(found.q, key, engine.name, engine.card, infer_ms, warnings_of(found.is_out_of_distribution))


def _infer_stack(engine: Engine, pixels: np.ndarray, heartbeat: Heartbeat, at_once: int) -> Inference:
    """What the model says of pixels, uint8 (N, H, W, 3), with a look at the lease between pieces. Raises LeaseLost."""
    q = np.empty(pixels.shape[:3], dtype=np.uint8)
    checked: list[np.ndarray] = []
    for start in range(0, len(pixels), at_once):
        heartbeat.check()
        part = slice(start, start + at_once)
        found = engine.infer(np.ascontiguousarray(pixels[part]))
        q[part] = found.q
        if found.is_out_of_distribution is not None:
            checked.append(found.is_out_of_distribution)
    return Inference(q, is_out_of_distribution=np.concatenate(checked) if checked else None)


def _complete(resources: Resources, held: lifecycle.Claim, work: Work, prediction: Prediction, started: float) -> None:
    """Measure and write the result. Raises LeaseLost where the row is not this attempt's any more."""
    card = prediction.card
    _, height, width = prediction.q.shape
    min_pixels = min_pixels_on_grid(card.min_tumor_pixels, card.input.size, height, width)
    measures = measure(prediction.q, tumor_mask(prediction.q, work.threshold, min_pixels), work.spacing_mm)
    total_ms = work.waited_ms + (time.monotonic() - started) * 1000
    timings = {"queued": work.waited_ms, "infer": prediction.infer_ms, "total": total_ms}
    deadline = time.monotonic() + resources.settings.lease_s
    while True:
        try:
            is_written = segmentations.complete(
                resources,
                held,
                measures,
                engine=prediction.engine,
                model_version=card.version,
                map_key=prediction.key,
                min_tumor_pixels=min_pixels,
                timings_ms={name: round(value, 1) for name, value in timings.items()},
                warnings=list(prediction.warnings),
            )
            break
        except DatabaseUnavailable:
            # The result is kept and written as soon as the database is back, within the lease.
            if time.monotonic() > deadline:
                raise
            time.sleep(COMMIT_PAUSE_S)
    if not is_written:
        raise LeaseLost
    logger.info("segmentation %s attempt %d: succeeded in %.0f ms", held.id, held.attempt, total_ms)


def _discard(resources: Resources, held: lifecycle.Claim, work: Work) -> None:
    """Remove the map that nobody will read; where that fails, the sweeper removes it."""
    try:
        resources.storage.delete(map_key(work.scan_id, held.id, held.attempt))
    except (StorageFull, StorageUnavailable) as error:
        logger.warning("segmentation %s: its discarded map stays for the sweeper: %s", held.id, error.code)


def _release(resources: Resources, held: lifecycle.Claim) -> None:
    try:
        with resources.database.write() as session:
            lifecycle.release(session, held)
    except DatabaseUnavailable:
        logger.warning("segmentation %s: not released, its lease will end", held.id)


def _fail(resources: Resources, held: lifecycle.Claim, code: str) -> None:
    try:
        with resources.database.write() as session:
            lifecycle.fail(session, held, code=code, message=MESSAGES[code])
    except DatabaseUnavailable:
        logger.warning("segmentation %s: its failure was not written, its lease will end", held.id)
