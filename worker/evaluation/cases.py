"""A chunk of cases: read them in a sandboxed child, run the engine, compare, and write them down in small groups."""

import logging
import time
from collections.abc import Callable, Sequence

from ml.cards import Card
from ml.datasets.case import Case
from ml.datasets.case_reader import ChunkReader, Digests, UnreadCase
from ml.datasets.loading import LoadedCase
from ml.engines import Engine, EngineError
from ml.evaluation.run import CHUNK, CaseResult, score_cases
from ml.evaluation.scoring import Failure
from webapp.domain.errors import DatabaseUnavailable
from webapp.domain.evaluations import chunks
from webapp.domain.evaluations.case_rows import case_row, failed_row
from webapp.domain.evaluations.chunks import Work
from webapp.domain.evaluations.manifest import ListedCase
from webapp.domain.evaluations.maps import write_maps
from webapp.domain.evaluations.models import EvaluationCase
from webapp.domain.evaluations.sources import is_inside
from webapp.domain.jobs import lifecycle
from webapp.domain.resources import Resources
from webapp.domain.storage.keys import group_key
from worker.jobs.lease import Heartbeat, LeaseLost
from worker.process.engines import Runtime
from worker.segmentation import COMMIT_PAUSE_S

logger = logging.getLogger(__name__)

# Cases of one commit: as many as go to the engine together. A crash costs so many at most.
GROUP = CHUNK


def run_cases(
    runtime: Runtime, held: lifecycle.Claim, work: Work, heartbeat: Heartbeat, step_aside: Callable[[], None]
) -> None:
    """Do the unfinished cases of a chunk. Raises LeaseLost, StorageFull, MemoryError, EngineError, PackageError."""
    engine = runtime.engine(work.model)
    card = engine.card
    if (card.version, card.min_tumor_pixels) != (work.model_version, work.min_tumor_pixels):
        raise EngineError(f"{work.model} is {card.version} now and was {work.model_version}; evaluate again.")
    left = list(work.cases)
    for at_once in (GROUP, 1):
        try:
            _run(runtime, engine, held, work, left, at_once, heartbeat, step_aside)
            break
        except MemoryError:
            if at_once == 1:
                raise
            logger.warning("chunk %s: out of memory, tried again slice by slice", held.id)
    if not chunks.complete_cases(runtime.resources, held, work, engine=engine.name):
        raise LeaseLost


def _run(
    runtime: Runtime,
    engine: Engine,
    held: lifecycle.Claim,
    work: Work,
    left: list[ListedCase],
    at_once: int,
    heartbeat: Heartbeat,
    step_aside: Callable[[], None],
) -> None:
    """The cases in `left`, which is emptied from its front as groups are written."""
    folder = work.data_folder
    with runtime.case_reader.chunk() as reader:
        by_image = {listed.case(folder).image: listed for listed in left} if folder is not None else {}

        def read(case: Case) -> LoadedCase | Failure:
            return _read(reader, case, by_image[case.image], work)

        if folder is None:
            rows = [failed_row(work.evaluation_id, listed, "folder_refused", work.refusal) for listed in left]
            _write(runtime.resources, held, work, rows)
            return
        for results in score_cases(
            engine, [listed.case(folder) for listed in left], work.threshold, chunk=at_once, read=read
        ):
            heartbeat.check()
            _keep(runtime.resources, held, work, engine.card, left[: len(results)], results)
            del left[: len(results)]
            step_aside()


def _read(reader: ChunkReader, case: Case, listed: ListedCase, work: Work) -> LoadedCase | Failure:
    """One case, its links looked at again first: what was a file at the check may be a link by now."""
    if listed.refusal is not None:
        return Failure(case, listed.refusal, listed.refusal_code or "internal")
    for path in (case.image, case.mask):
        if path is not None and not is_inside(path, work.boundaries):
            return Failure(case, f"{case.patient}/{path.name} leads out of the allowed roots by now.", "outside_roots")
    found = reader.read(case, Digests(listed.image_sha256, listed.mask_sha256))
    return Failure(case, found.message, found.code) if isinstance(found, UnreadCase) else found


def _keep(
    resources: Resources,
    held: lifecycle.Claim,
    work: Work,
    card: Card,
    listed: Sequence[ListedCase],
    results: Sequence[CaseResult],
) -> None:
    """Store maps and truths, then write the rows that name them. Raises LeaseLost, and leaves no file then."""
    key = group_key(work.evaluation_id, listed[0].position, held.attempt)
    is_stored = write_maps(
        resources,
        key,
        ((case.position, item.probability_u8, item.truth) for case, item in zip(listed, results, strict=True)),
    )
    rows = [
        case_row(work.evaluation_id, case, found, key if is_stored else None, card)
        for case, found in zip(listed, results, strict=True)
    ]
    try:
        _write(resources, held, work, rows)
    except LeaseLost:
        if is_stored:
            resources.storage.delete(key)
        raise


def _write(resources: Resources, held: lifecycle.Claim, work: Work, rows: list[EvaluationCase]) -> None:
    """Write rows under the lease, waiting for a database that is away as long as the lease may last."""
    deadline = time.monotonic() + resources.settings.lease_s
    while True:
        try:
            if not chunks.write_cases(resources, held, work, rows):
                raise LeaseLost
            return
        except DatabaseUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(COMMIT_PAUSE_S)
