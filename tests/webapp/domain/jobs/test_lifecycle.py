"""The life of a job, on both databases."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import event, select, text, update

from ml.measurements import Measures, SliceMeasure, Verdict
from tests.support.jobs import claim, end_delays
from tests.support.resources import add_scan, row
from webapp.domain.database.clock import database_now
from webapp.domain.errors import NotFound, WrongState
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.segmentations import RunFacts

MEASURES = Measures(Verdict.TUMOR_DETECTED, 5, 100, 5.0, 0.9, None, None, (SliceMeasure(0, 5, 0.9),))
LIMITS = {"max_attempts": 3, "timeout_s": 300.0}


def take(resources: Resources, segmentation_id: str, lease_s: float = 15.0) -> lifecycle.Claim | None:
    with resources.database.write() as session:
        return claim(session, Segmentation, segmentation_id, worker_id="w", lease_s=lease_s)


def complete(resources: Resources, claimed: lifecycle.Claim) -> bool:
    facts = RunFacts(f"scans/m{claimed.attempt}", "test", "1", min_tumor_pixels=4, doubt_rule=None, timings_ms={})
    return segmentations.complete(resources, claimed, MEASURES, facts)


def expire(resources: Resources, segmentation_id: str) -> None:
    """Let the lease be over, as if its worker had died."""
    with resources.database.write() as session:
        session.execute(
            update(Segmentation).where(Segmentation.id == segmentation_id).values(lease_until=database_now(-1))
        )


def recover_all(resources: Resources, **limits: float) -> int:
    with resources.database.read() as session:
        expired = lifecycle.expired_leases(session, Segmentation)
    with resources.database.write() as session:
        return sum(lifecycle.recover(session, Segmentation, lease, **(LIMITS | limits)) for lease in expired)


def test_of_two_runs_that_end_at_once_the_newer_one_is_shown(resources: Resources) -> None:
    """The older run's transaction begins while the newer one's is not committed yet."""
    scan_id, older = add_scan(resources)
    with resources.database.write() as session:
        newer = segmentations.add(session, scan_id, model="m", version="1", threshold=0.1).id
    first, second = take(resources, older), take(resources, newer)
    assert first is not None and second is not None
    thread = threading.Thread(target=complete, args=(resources, first))
    with resources.database.write() as session:
        assert lifecycle.complete(session, second)
        segmentations.refresh_displayed(session, scan_id)
        thread.start()
        _wait_for_a_lock(resources)
    thread.join()
    with resources.database.read() as session:
        assert session.get_one(Scan, scan_id).displayed_id == newer


def _wait_for_a_lock(resources: Resources) -> None:
    """Until another transaction waits for this one; on SQLite it cannot even begin."""
    deadline = time.monotonic() + 10
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    while not resources.database.is_sqlite:
        with resources.database.read() as session:
            if session.scalar(waiting):
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_job_is_claimed_once(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    first, second = take(resources, segmentation_id), take(resources, segmentation_id)
    assert first is not None and first.attempt == 1
    assert second is None


@pytest.mark.long
def test_two_workers_forced_on_one_job_a_hundred_times_give_one_result_each(
    resources: Resources, figure: Callable[[str], None]
) -> None:
    results = []
    for _ in range(100):
        _, segmentation_id = add_scan(resources)
        barrier, written = threading.Barrier(2), []

        def work(segmentation_id: str = segmentation_id, barrier=barrier, written=written) -> None:
            barrier.wait()
            claimed = take(resources, segmentation_id)
            written.append(claimed is not None and complete(resources, claimed))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        results.append(sorted(written))
    figure(f"two workers on one job: {sum(r == [False, True] for r in results)} of 100 gave exactly one result")
    assert results == [[False, True]] * 100


def test_a_result_under_a_lost_lease_changes_no_row(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    stale = take(resources, segmentation_id)
    expire(resources, segmentation_id)
    assert recover_all(resources) == 1
    newer = take(resources, segmentation_id)
    assert newer.attempt == 2
    assert not complete(resources, stale)
    assert row(resources, segmentation_id).status is Status.RUNNING
    assert complete(resources, newer)
    assert row(resources, segmentation_id).map_key == "scans/m2"
    assert not complete(resources, newer)


def test_a_heartbeat_renews_the_lease(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    claimed = take(resources, segmentation_id, lease_s=1)
    before = row(resources, segmentation_id).lease_until
    with resources.database.write() as session:
        assert lifecycle.extend(session, claimed, lease_s=60)
    assert row(resources, segmentation_id).lease_until > before


def test_a_live_lease_is_not_recovered(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    take(resources, segmentation_id)
    assert recover_all(resources) == 0


def test_a_lease_renewed_after_it_was_seen_expired_is_left_alone(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    claimed = take(resources, segmentation_id)
    expire(resources, segmentation_id)
    with resources.database.read() as session:
        (seen,) = lifecycle.expired_leases(session, Segmentation)
    with resources.database.write() as session:
        lifecycle.extend(session, claimed, lease_s=15)
    with resources.database.write() as session:
        assert not lifecycle.recover(session, Segmentation, seen, **LIMITS)
    assert complete(resources, claimed)


def test_the_third_lost_attempt_ends_as_poison_and_a_retry_starts_anew(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    for attempt in (1, 2, 3):
        assert take(resources, segmentation_id).attempt == attempt
        expire(resources, segmentation_id)
        assert recover_all(resources) == 1
    ended = row(resources, segmentation_id)
    assert (ended.status, ended.error_code) == (Status.FAILED, "poison")
    assert ended.finished_at is not None
    segmentations.retry(resources, segmentation_id)
    again = row(resources, segmentation_id)
    assert (again.status, again.error_code, again.finished_at) == (Status.QUEUED, None, None)
    assert take(resources, segmentation_id).attempt == 4
    expire(resources, segmentation_id)
    recover_all(resources)
    assert row(resources, segmentation_id).status is Status.QUEUED


def test_a_job_over_its_time_ends_as_timeout(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    take(resources, segmentation_id)
    with resources.database.write() as session:
        session.execute(update(Segmentation).values(started_at=database_now(-302), lease_until=database_now(-1)))
    assert recover_all(resources) == 1
    ended = row(resources, segmentation_id)
    assert (ended.status, ended.error_code) == (Status.FAILED, "timeout")


def test_hours_in_which_the_machine_slept_or_was_off_are_none_of_a_jobs_time(resources: Resources) -> None:
    """A lid that was closed, a power cut: the lease ended soon after the start, and is seen the next morning."""
    _, segmentation_id = add_scan(resources)
    take(resources, segmentation_id)
    with resources.database.write() as session:
        session.execute(
            update(Segmentation).values(started_at=database_now(-36_000), lease_until=database_now(-35_900))
        )
    assert recover_all(resources) == 1
    assert row(resources, segmentation_id).status is Status.QUEUED


def test_a_released_job_costs_no_attempt(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    for _ in range(5):
        with resources.database.write() as session:
            claimed = claim(session, Segmentation, segmentation_id, worker_id="w", lease_s=15)
            assert lifecycle.release(session, claimed)
        assert take(resources, segmentation_id) is None, "it waits"
        end_delays(resources)
    assert row(resources, segmentation_id).releases == 5
    take(resources, segmentation_id)
    expire(resources, segmentation_id)
    recover_all(resources)
    assert row(resources, segmentation_id).status is Status.QUEUED


def test_the_delay_of_a_release_doubles_up_to_five_minutes() -> None:
    assert [lifecycle.release_delay_s(count) for count in (0, 1, 2, 5, 6, 1000)] == [5, 10, 20, 160, 300, 300]


def test_a_released_job_waits_by_the_databases_clock_and_a_retry_forgets_it(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    with resources.database.write() as session:
        assert lifecycle.release(session, claim(session, Segmentation, segmentation_id), code="storage_full")
        left = session.scalar(select(Segmentation.not_before > database_now(4)))
        assert left and not session.scalar(select(Segmentation.not_before > database_now(5)))
    with resources.database.write() as session:
        session.execute(update(Segmentation).values(not_before=database_now(-0.01)))
    assert take(resources, segmentation_id) is not None
    segmentations.cancel(resources, segmentation_id)
    segmentations.retry(resources, segmentation_id)
    assert row(resources, segmentation_id).releases == 0
    assert take(resources, segmentation_id) is not None


@pytest.mark.parametrize("is_running", [False, True])
def test_a_cancelled_job_takes_no_result(resources: Resources, is_running: bool) -> None:
    _, segmentation_id = add_scan(resources)
    claimed = take(resources, segmentation_id) if is_running else None
    segmentations.cancel(resources, segmentation_id)
    assert row(resources, segmentation_id).status is Status.CANCELLED
    assert claimed is None or not complete(resources, claimed)
    with pytest.raises(WrongState, match="cancelled"):
        segmentations.cancel(resources, segmentation_id)


def test_a_finished_job_is_neither_cancelled_nor_tried_again(resources: Resources) -> None:
    _, segmentation_id = add_scan(resources)
    complete(resources, take(resources, segmentation_id))
    with pytest.raises(WrongState, match="succeeded"):
        segmentations.retry(resources, segmentation_id)
    with pytest.raises(WrongState, match="succeeded"):
        segmentations.cancel(resources, segmentation_id)
    with pytest.raises(NotFound):
        segmentations.retry(resources, "0" * 32)


def test_the_place_in_the_queue_counts_what_is_ahead(resources: Resources) -> None:
    ids = [add_scan(resources)[1] for _ in range(3)]
    with resources.database.read() as session:
        rows = [session.get_one(Segmentation, segmentation_id) for segmentation_id in ids]
        asked: list[str] = []
        event.listen(session.get_bind(), "before_cursor_execute", lambda *args: asked.append(args[2]))
        assert sorted(lifecycle.queue_position(session, item) or 0 for item in rows) == [1, 2, 3]
        assert len(asked) == 1  # one list for all of them
    take(resources, ids[0])
    with resources.database.read() as session:
        assert lifecycle.queue_position(session, session.get_one(Segmentation, ids[0])) is None


def test_a_scan_shows_the_newest_success_else_the_newest_run(resources: Resources) -> None:
    scan_id, first = add_scan(resources)

    def shown() -> str | None:
        with resources.database.read() as session:
            return session.get_one(Scan, scan_id).displayed_id

    assert shown() == first
    complete(resources, take(resources, first))
    second = segmentations.request(resources, scan_id, model=None, threshold=0.7)
    assert shown() == first
    complete(resources, take(resources, second))
    assert shown() == second


def test_a_double_click_makes_one_run(resources: Resources) -> None:
    scan_id, _ = add_scan(resources)
    first = segmentations.request(resources, scan_id, model=None, threshold=0.7)
    assert segmentations.request(resources, scan_id, model=None, threshold=0.7) == first
