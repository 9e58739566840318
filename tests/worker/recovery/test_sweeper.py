"""The sweeper brings back what a crash left, and nothing else."""

import os
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from tests.support.resources import add_scan, make_settings, row, upload
from tests.support.servers import redis_server
from webapp.domain.database import migration
from webapp.domain.database.clock import database_now
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Portal
from webapp.domain.scans.models import Segmentation
from webapp.domain.storage.keys import scan_prefix
from webapp.domain.uploads import idempotency
from worker.recovery.sweeper import Sweeper, tidy


@pytest.fixture
def portal(tmp_path) -> Iterator[Portal]:
    with redis_server() as url:
        portal = Portal.open(
            make_settings(
                tmp_path, REDIS_URL=url, GLIOSCOPE_LEASE_S="1", GLIOSCOPE_HEARTBEAT_S="0.2", GLIOSCOPE_SWEEP_S="0.1"
            )
        )
        migration.upgrade(portal.settings.database_url)
        yield portal
        portal.close()


def lose(portal: Portal) -> str:
    """A job whose worker took it and died."""
    _, segmentation_id = add_scan(portal)
    with portal.database.write() as session:
        lifecycle.claim(session, Segmentation, segmentation_id, worker_id="dead", lease_s=15)
    with portal.database.write() as session:
        session.execute(update(Segmentation).values(lease_until=database_now(-1)))
    return segmentation_id


def test_a_lost_job_is_queued_again_after_a_heartbeat_and_hinted(portal) -> None:
    segmentation_id = lose(portal)
    sweeper = Sweeper(portal)
    assert sweeper.sweep().recovered == 0
    assert row(portal, segmentation_id).status is Status.RUNNING
    time.sleep(portal.settings.heartbeat_s)
    assert sweeper.sweep().recovered == 1
    assert row(portal, segmentation_id).status is Status.QUEUED
    assert portal.queue.length() == 1


def test_a_live_job_survives_a_clock_that_jumps_ahead(portal) -> None:
    """All leases are over at once; the live worker renews its own within a heartbeat, and keeps its job."""
    _, segmentation_id = add_scan(portal)
    with portal.database.write() as session:
        held = lifecycle.claim(session, Segmentation, segmentation_id, worker_id="live", lease_s=15)
        session.execute(update(Segmentation).values(lease_until=database_now(-3600)))
    sweeper = Sweeper(portal)
    sweeper.sweep()
    with portal.database.write() as session:
        assert lifecycle.extend(session, held, lease_s=15, timeout_s=300)
    time.sleep(portal.settings.heartbeat_s)
    assert sweeper.sweep().recovered == 0
    assert row(portal, segmentation_id).status is Status.RUNNING


def test_a_lost_hint_is_sent_again_once(portal) -> None:
    add_scan(portal)
    sweeper = Sweeper(portal)
    assert sweeper.sweep().hinted == 0, "a fresh row's own hint may still be on its way"
    time.sleep(portal.settings.sweep_s + 0.05)
    assert sweeper.sweep().hinted == 1
    assert sweeper.sweep().hinted == 0, "the broker holds a hint now"


def test_files_without_a_row_go_and_files_with_one_stay(portal) -> None:
    accepted = upload(portal)
    kept = set(portal.storage.keys(older_than_s=0))
    orphan = portal.storage.temporary_file()
    portal.storage.put(orphan, f"{scan_prefix('f' * 32)}/original")
    stale_map = portal.storage.temporary_file()
    portal.storage.put(stale_map, f"{scan_prefix(accepted.scan_id)}/{accepted.segmentation_id}.1.npy")
    left_by_a_crash = portal.storage.temporary_file()
    assert tidy(portal, older_than_s=60) == 0
    assert tidy(portal, older_than_s=0) == 3
    assert set(portal.storage.keys(older_than_s=0)) == kept
    assert not left_by_a_crash.exists()


def test_keys_past_their_day_are_forgotten(portal) -> None:
    def use() -> dict[str, object]:
        return idempotency.once(portal, scope="s", key="k", body_sha256="b", work=lambda: {"made": os.urandom(4).hex()})

    first = use()
    assert use() == first
    with portal.database.write() as session:
        session.execute(update(idempotency.IdempotencyKey).values(created_at=database_now(-idempotency.KEPT_S - 1)))
    tidy(portal, older_than_s=3600)
    assert use() != first
