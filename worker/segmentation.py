"""The step of a segmentation: predict, store the map, measure, write the result."""

import logging
import time
from dataclasses import dataclass

import numpy as np

from ml.cards import Card
from ml.engines import Engine, Inference
from ml.engines.context import Context
from ml.masks import apply_rule, rule_on_grid
from ml.measurements import measure
from ml.skull import infer_stripped, stripped_warnings
from webapp.domain.errors import DatabaseUnavailable
from webapp.domain.jobs.kinds import ClaimedJob
from webapp.domain.jobs.lifecycle import Claim
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.segmentations import RunFacts, SegmentationInput
from webapp.domain.storage.arrays import read_array, write_array
from webapp.domain.storage.keys import map_key, stack_key
from worker.jobs.lease import Lease
from worker.jobs.step import StepAside
from worker.process.runtime import Runtime

logger = logging.getLogger(__name__)

# Slices between two checks of the lease: half a second on a CPU.
SLICES_AT_ONCE = 8
# Between two notes of how far a stack is: a write costs the database more than a slice is worth.
NOTE_EVERY_S = 1.0


@dataclass(frozen=True)
class Prediction:
    """A probability map, uint8 (N, H, W), its storage key, the engine and card that made it, how long it took to
    compute and to store it, and codes of warnings.

    is_first_look: bool (N,), slices that the first member of a cascade answered alone; None for other models.
    """

    probability_u8: np.ndarray
    key: str
    engine: str | None
    card: Card
    infer_ms: float
    store_ms: float
    warnings: tuple[str, ...]
    is_first_look: np.ndarray | None = None


def run(runtime: Runtime, job: ClaimedJob[SegmentationInput], lease: Lease, _step_aside: StepAside) -> None:
    """Run a segmentation to its result.

    Raises LeaseLost, StorageFull, StorageUnavailable, DatabaseUnavailable, MemoryError, PackageError, EngineError,
    InvalidInput (the model of a stored map is gone).
    """
    began = time.monotonic()
    # Opened once: that the scan is deleted meanwhile is noticed when its result is written.
    pixels = read_array(runtime.resources.storage, stack_key(job.input.scan_id))  # (N, H, W, 3)
    prediction = _predict(runtime, job, lease, pixels)
    _complete(runtime.resources, job, lease, prediction, pixels, began)


def _predict(runtime: Runtime, job: ClaimedJob[SegmentationInput], lease: Lease, pixels: np.ndarray) -> Prediction:
    """The network's map, which is stored here; or the stored map of the run whose threshold was changed, where the
    model's package is still the one that made it."""
    resources, work = runtime.resources, job.input
    # The card alone is needed where no network runs, and no engine is loaded for it.
    if work.map_key is not None and (card := resources.catalog.card(work.model)).release == work.map_version:
        probability_u8 = np.asarray(read_array(resources.storage, work.map_key))
        alone = np.isin(np.arange(len(probability_u8)), work.map_first_looks)
        return Prediction(probability_u8, work.map_key, work.map_engine, card, 0.0, 0.0, work.map_warnings, alone)
    engine = runtime.engine(work.model)
    progress = _Progress(resources, job.claim)
    began, began_ns = time.monotonic(), time.time_ns()
    try:
        found = _infer_stack(engine, pixels, job, lease, progress, SLICES_AT_ONCE)
    except MemoryError:
        logger.warning("%s: out of memory, tried again slice by slice", job.name)
        found = _infer_stack(engine, pixels, job, lease, progress, 1)
    infer_ms = (time.monotonic() - began) * 1000
    resources.traces.add(job.trace, "predict", began_ns, time.time_ns(), engine=engine.name, slices=len(pixels))
    key = map_key(work.scan_id, job.claim.id, job.claim.attempt)
    lease.check()
    began = time.monotonic()
    write_array(resources.storage, key, found.probability_u8)
    store_ms = (time.monotonic() - began) * 1000
    stated = work.sequence if engine.card.input.flair_channel is not None else None
    is_flair = None if stated is None else stated.is_flair
    warnings = found.warnings_beside(is_flair)
    if work.is_skull_stripped:
        warnings += stripped_warnings(engine, is_flair)
    return Prediction(
        found.probability_u8, key, engine.name, engine.card, infer_ms, store_ms, warnings, found.is_first_look
    )


class _Progress:
    """Notes how many slices are done, now and then: a short job has none."""

    def __init__(self, resources: Resources, claim: Claim) -> None:
        self._resources = resources
        self._claim = claim
        self._noted_at = time.monotonic()

    def note(self, done: int) -> None:
        if time.monotonic() - self._noted_at < NOTE_EVERY_S:
            return
        try:
            segmentations.note_progress(self._resources, self._claim, done)
        except DatabaseUnavailable:
            logger.warning("job %s: how far it is could not be noted", self._claim.id)
        self._noted_at = time.monotonic()


def _infer_stack(
    engine: Engine,
    pixels: np.ndarray,
    job: ClaimedJob[SegmentationInput],
    lease: Lease,
    progress: _Progress,
    at_once: int,
) -> Inference:
    """The model's answer for pixels, uint8 (N, H, W, 3); the lease is checked between pieces. Raises LeaseLost."""
    is_stripped = job.input.is_skull_stripped
    neighbors = 0 if is_stripped else engine.card.neighbors
    parts, done = [], 0
    for given, context in Context.of_stack(len(pixels)).pieces(at_once, neighbors):
        lease.check()
        shown = np.ascontiguousarray(pixels[given])
        parts.append(infer_stripped(engine, shown) if is_stripped else engine.infer(shown, context))
        done += context.stop - context.start
        progress.note(done)
    return Inference.join(parts)


def _complete(
    resources: Resources,
    job: ClaimedJob[SegmentationInput],
    lease: Lease,
    prediction: Prediction,
    pixels: np.ndarray,
    began: float,
) -> None:
    """Measure and write the result. Raises LeaseLost where the claim is not valid any more."""
    card, work = prediction.card, job.input
    probability_u8 = prediction.probability_u8
    _, height, width = probability_u8.shape
    rule = rule_on_grid(card, work.threshold, height, width)
    masks = apply_rule(probability_u8, rule, is_stack=True)
    # Areas and volume follow from the spacing that the scan has when the result is written.
    measures = measure(probability_u8, masks, None, prediction.warnings, pixels, prediction.is_first_look)
    total_ms = work.waited_ms + (time.monotonic() - began) * 1000
    timings = {"queued": work.waited_ms, "infer": prediction.infer_ms, "store": prediction.store_ms, "total": total_ms}
    facts = RunFacts(
        map_key=prediction.key,
        engine=prediction.engine,
        model_version=card.release,
        min_tumor_pixels=rule.min_tumor_pixels,
        doubt_rule=rule.doubt,
        timings_ms={name: round(value, 1) for name, value in timings.items()},
        warnings=prediction.warnings,
    )
    lease.commit(
        lambda: segmentations.complete(resources, job.claim, measures, facts),
        # Another run's map stays, whatever becomes of this one.
        stored=None if prediction.key == work.map_key else prediction.key,
    )
