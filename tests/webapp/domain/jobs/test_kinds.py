"""Which job a worker gets, on both databases: uploads first, oldest first, each once."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from tests.support.jobs import end_delays
from tests.support.resources import add_scan, row
from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import new_id
from webapp.domain.errors import StorageFull
from webapp.domain.evaluations.models import ChunkKind, Evaluation, EvaluationChunk, SourceKind
from webapp.domain.jobs import kinds
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Segmentation


def add_evaluation(resources: Resources, *positions: int) -> str:
    """A running evaluation with a queued chunk of cases at each position; its id."""
    with resources.database.write() as session:
        evaluation = Evaluation(
            id=new_id(), name="set", source=SourceKind.FOLDER, location="/nowhere", model="m", threshold=0.5,
            min_tumor_pixels=1, status=Status.RUNNING,
        )  # fmt: skip
        session.add(evaluation)
        session.flush()
        for position in positions:
            session.add(EvaluationChunk(evaluation_id=evaluation.id, kind=ChunkKind.CASES, position=position))
        return evaluation.id


def claim_all(resources: Resources) -> list[str]:
    """Claim until nothing is ready: the ids, in order."""
    claimed = []
    while (job := kinds.claim_next(resources, "w")) is not None:
        claimed.append(job.claim.id)
    return claimed


def test_uploads_go_before_chunks_and_the_oldest_first(resources: Resources) -> None:
    add_evaluation(resources, 64, 0, 128)
    scans = [add_scan(resources)[1] for _ in range(3)]
    with resources.database.write() as session:
        # Queued long before the uploads, all at one moment; and the last upload was really the first.
        session.execute(update(EvaluationChunk).values(created_at=datetime.now(UTC) - timedelta(seconds=60)))
        session.execute(update(Segmentation).where(Segmentation.id == scans[2]).values(created_at=database_now(-5)))
        chunks = session.scalars(select(EvaluationChunk.id).order_by(EvaluationChunk.position)).all()
    assert claim_all(resources) == [scans[2], scans[0], scans[1], *chunks]


def test_a_claimed_job_brings_its_input_and_its_limit(resources: Resources) -> None:
    scan_id, segmentation_id = add_scan(resources)
    job = kinds.claim_next(resources, "w")
    assert job is not None
    assert (job.claim.id, job.claim.attempt, job.input.scan_id) == (segmentation_id, 1, scan_id)
    assert job.timeout_s == resources.settings.job_timeout_s
    assert job.name == f"segmentation {segmentation_id} attempt 1"
    assert kinds.claim_next(resources, "w") is None


def test_a_released_job_lets_the_others_go_first_and_comes_back(resources: Resources) -> None:
    first, second = add_scan(resources)[1], add_scan(resources)[1]
    job = kinds.claim_next(resources, "w")
    assert job is not None and job.claim.id == first
    assert kinds.release(resources, job, StorageFull("The storage has no room left."))
    assert claim_all(resources) == [second]
    assert (row(resources, first).status, row(resources, first).releases) == (Status.QUEUED, 1)
    end_delays(resources)
    assert claim_all(resources) == [first]


def test_a_chunk_says_why_it_waits_and_a_segmentation_does_not(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    add_evaluation(resources, 0)
    for _ in range(2):
        job = kinds.claim_next(resources, "w")
        assert job is not None and kinds.release(resources, job, StorageFull("No room."))
    assert row(resources, segmentation_id).error_message is None
    with resources.database.read() as session:
        assert session.scalar(select(EvaluationChunk.error_message)) == "No room."


def test_two_workers_never_claim_one_row(resources: Resources, figure: Callable[[str], None]) -> None:
    """100 times, both at once for the same oldest row."""
    ids = {add_scan(resources)[1] for _ in range(60)}
    add_evaluation(resources, *range(40))
    barrier, claimed = threading.Barrier(2), ([], [])

    def work(mine: list[str]) -> None:
        for _ in range(50):
            barrier.wait()
            while (job := kinds.claim_next(resources, "w")) is None:
                pass  # a row that the other worker is just taking is skipped: nothing else may be visible yet
            mine.append(job.claim.id)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both = [*claimed[0], *claimed[1]]
    assert len(both) == len(set(both)) == 100 and ids < set(both)
    with resources.database.read() as session:
        attempts = session.scalars(select(Segmentation.attempt).union_all(select(EvaluationChunk.attempt))).all()
        assert set(attempts) == {1}
        assert session.scalar(select(func.count()).where(Segmentation.status == Status.QUEUED)) == 0
    figure(f"two workers at once: 100 rows claimed, each once, on {resources.database.engine.name}")


@pytest.mark.parametrize("status", [Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_only_queued_rows_are_claimed(resources: Resources, status: Status) -> None:
    add_scan(resources)
    lease = database_now(15) if status is Status.RUNNING else None
    with resources.database.write() as session:
        session.execute(update(Segmentation).values(status=status, lease_until=lease))
    assert kinds.claim_next(resources, "w") is None
