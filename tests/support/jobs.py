"""One certain job, claimed or run: a worker itself takes whichever is next."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from webapp.domain.evaluations.models import EvaluationChunk
from webapp.domain.jobs import kinds, lifecycle
from webapp.domain.jobs.kinds import EVALUATION_CHUNK, SEGMENTATION
from webapp.domain.jobs.lifecycle import Claim
from webapp.domain.jobs.models import JobColumns
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Segmentation
from webapp.domain.scans.segmentations import SegmentationInput
from worker.jobs import runner
from worker.process.runtime import Runtime


def claim(
    session: Session, table: type[JobColumns], job_id: str, *, worker_id: str = "w", lease_s: float = 15
) -> Claim | None:
    """The claim of one row, as a worker would have it; None where it is not ready."""
    return lifecycle.claim_next(session, table, table.id == job_id, worker_id=worker_id, lease_s=lease_s)


def claim_segmentation(resources: Resources, segmentation_id: str) -> tuple[Claim, SegmentationInput]:
    """The claim of a queued segmentation, and its input."""
    job = kinds.claim(resources, SEGMENTATION, "test", Segmentation.id == segmentation_id)
    assert job is not None
    return job.claim, job.input


def run_segmentation(runtime: Runtime, segmentation_id: str) -> None:
    """Run a segmentation; where it is not ready there is nothing to do."""
    job = kinds.claim(runtime.resources, SEGMENTATION, runtime.worker_id, Segmentation.id == segmentation_id)
    if job is not None:
        runner.run(runtime, job)


def run_chunk(runtime: Runtime, chunk_id: str) -> None:
    """Run a chunk of an evaluation; where it is not ready there is nothing to do."""
    job = kinds.claim(runtime.resources, EVALUATION_CHUNK, runtime.worker_id, EvaluationChunk.id == chunk_id)
    if job is not None:
        runner.run(runtime, job)


def end_delays(resources: Resources) -> None:
    """Let released jobs be ready now."""
    with resources.database.write() as session:
        for kind in kinds.KINDS:
            session.execute(update(kind.table).values(not_before=None))
