"""A chunk of cases: read them in a sandboxed child, run the engine, compare, and commit in small groups."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

from ml.cards import Card
from ml.datasets.case import Case
from ml.datasets.case_reader import ChunkReader, Digests, UnreadCase
from ml.datasets.loading import LoadedCase
from ml.engines import Engine, EngineError
from ml.evaluation.run import CHUNK, CaseResult, score_cases
from ml.evaluation.scoring import Failure
from webapp.domain.evaluations import chunks
from webapp.domain.evaluations.case_rows import case_row, failed_row
from webapp.domain.evaluations.chunks import ChunkInput
from webapp.domain.evaluations.manifest import ListedCase
from webapp.domain.evaluations.maps import write_maps
from webapp.domain.evaluations.sources import is_inside
from webapp.domain.jobs.kinds import ClaimedJob
from webapp.domain.resources import Resources
from webapp.domain.storage.keys import group_key
from worker.evaluation.considerate_engine import ConsiderateEngine
from worker.jobs.lease import Lease
from worker.jobs.step import StepAside
from worker.process.runtime import Runtime

logger = logging.getLogger(__name__)

# Cases of one commit: as many as go to the engine together.
GROUP = CHUNK


def run_cases(runtime: Runtime, job: ClaimedJob[ChunkInput], lease: Lease, step_aside: StepAside) -> None:
    """Do the unfinished cases of a chunk. Raises LeaseLost, StorageFull, MemoryError, EngineError, PackageError."""
    work = job.input
    engine = runtime.engine(work.model)
    card = engine.card
    if (card.release, card.min_tumor_pixels) != (work.model_version, work.min_tumor_pixels):
        raise EngineError(f"{work.model} is {card.release} now and was {work.model_version}; evaluate again.")
    considerate = ConsiderateEngine(engine, step_aside, runtime.resources.settings.worker_threads)
    left = list(work.cases)
    for at_once in (GROUP, 1):
        try:
            _run(runtime, considerate, job, left, at_once, lease)
            break
        except MemoryError:
            if at_once == 1:
                raise
            logger.warning("%s: out of memory, tried again slice by slice", job.name)
    lease.commit(lambda: chunks.complete_cases(runtime.resources, job.claim, work, engine=engine.name))


def _run(
    runtime: Runtime,
    engine: Engine,
    job: ClaimedJob[ChunkInput],
    left: list[ListedCase],
    at_once: int,
    lease: Lease,
) -> None:
    """The cases in `left`, which is emptied from its front as groups are written."""
    resources, work = runtime.resources, job.input
    folder = work.data_folder
    if folder is None:
        rows = [failed_row(work.evaluation_id, listed, "folder_refused", work.refusal) for listed in left]
        lease.commit(lambda: chunks.write_cases(resources, job.claim, work, rows))
        return
    listed = tuple(left)
    by_image = {one.case(folder).image: one for one in listed}
    # A group is written while the engine works on the next one; one group at a time, in order.
    with runtime.case_reader.chunk(work.boundaries) as reader, ThreadPoolExecutor(1) as writer:

        def read(case: Case) -> LoadedCase | Failure:
            return _read(reader, case, by_image[case.image], work)

        def keep(group: Sequence[ListedCase], results: Sequence[CaseResult]) -> None:
            _keep(resources, job, lease, engine.card, group, results)
            del left[: len(group)]

        done = 0
        before: Future[None] | None = None
        for results in score_cases(
            engine, [one.case(folder) for one in listed], work.threshold, chunk=at_once, read=read
        ):
            lease.check()
            if before is not None:
                before.result()
            group = listed[done : done + len(results)]
            done += len(results)
            before = writer.submit(copy_context().run, keep, group, results)
        if before is not None:
            before.result()


def _read(reader: ChunkReader, case: Case, listed: ListedCase, work: ChunkInput) -> LoadedCase | Failure:
    """One case, its links checked again first: what was a file at the check may be a link by now."""
    if listed.refusal is not None:
        return Failure(case, listed.refusal, listed.refusal_code or "internal")
    for path in case.files:
        if not is_inside(path, work.boundaries):
            return Failure(case, f"{case.patient}/{path.name} leads out of the allowed roots by now.", "outside_roots")
    found = reader.read(case, Digests(listed.image_sha256, listed.mask_sha256))
    return Failure(case, found.message, found.code) if isinstance(found, UnreadCase) else found


def _keep(
    resources: Resources,
    job: ClaimedJob[ChunkInput],
    lease: Lease,
    card: Card,
    listed: Sequence[ListedCase],
    results: Sequence[CaseResult],
) -> None:
    """Store maps and truths, then write the rows that name them. Raises LeaseLost; no file is left behind then."""
    work = job.input
    key = group_key(work.evaluation_id, listed[0].position, job.claim.attempt)
    is_stored = write_maps(
        resources,
        key,
        ((case.position, item.probability_u8, item.truth) for case, item in zip(listed, results, strict=True)),
    )
    rows = [
        case_row(work.evaluation_id, case, found, key if is_stored else None, card)
        for case, found in zip(listed, results, strict=True)
    ]
    lease.commit(lambda: chunks.write_cases(resources, job.claim, work, rows), stored=key if is_stored else None)
