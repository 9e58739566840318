"""Redis forgets everything, or is restarted, while scans come in and an evaluation runs: nothing is lost."""

import itertools
import random
import signal
import threading
from collections.abc import Callable

import pytest
import redis

from tests.faults.test_broker import broker
from tests.faults.test_restarts import begin, finish, positions
from tests.support.portal_process import RunningPortal, suspended
from tests.support.repetitions import repeated
from tests.support.resources import png_bytes
from webapp.domain.jobs.broker import QUEUES
from webapp.domain.settings import Settings

pytestmark = pytest.mark.long

SUBMISSIONS = repeated(60, promised=200)
CASES = 80
LONGEST_PAUSE_S = 0.15
# Every so many, Redis is restarted instead of flushed.
RESTART_EVERY = 5


def connection(portal: RunningPortal) -> redis.Redis:
    """To the portal's own Redis."""
    settings = Settings.from_environment({"GLIOSCOPE_INSTANCE": str(portal.folder / "instance")})
    return redis.Redis.from_url(settings.redis_url, socket_timeout=5)


def test_messages_that_a_flush_took_are_published_again(portal: RunningPortal) -> None:
    portal.wait_until_ready()
    with connection(portal) as client:
        with suspended(portal.processes("celery", "worker.app")), suspended(portal.processes("recovery.sweeper")):
            # Whoever waits for a message is forgotten, so that all of them lie in the queue.
            client.client_kill_filter(_type="normal", skipme=True)
            ids = [portal.upload(png_bytes(64, 64))["id"] for _ in range(5)]
            with client.pipeline(transaction=True) as at_once:
                lay, _, lie = at_once.llen(QUEUES["interactive"]).flushall().llen(QUEUES["interactive"]).execute()
        assert (lay, lie) == (len(ids), 0)
    statuses = [portal.wait(scan_id)["segmentation"]["status"] for scan_id in ids]
    assert statuses == ["succeeded"] * len(ids), portal.log()


def test_no_job_is_lost_while_redis_is_flushed_and_restarted(
    portal: RunningPortal, figure: Callable[[str], None]
) -> None:
    portal.wait_until_ready()
    evaluation_id = begin(portal, "flushed", CASES)
    stopped, pauses, flushes, restarts = threading.Event(), random.Random(11), [], []

    def flush_at_random() -> None:
        for number in itertools.count(1):
            if stopped.wait(pauses.uniform(0.02, LONGEST_PAUSE_S)):
                return
            process = broker(portal)
            if process is None:
                continue  # it is just starting
            if number % RESTART_EVERY == 0:
                process.send_signal(signal.SIGTERM)
                restarts.append(number)
                continue
            try:
                with connection(portal) as client:
                    client.flushall()
            except redis.RedisError:
                continue
            flushes.append(number)

    flusher = threading.Thread(target=flush_at_random)
    flusher.start()
    try:
        ids = [portal.upload(png_bytes(64, 64))["id"] for _ in range(SUBMISSIONS)]
    finally:
        stopped.set()
        flusher.join()
    statuses = [portal.wait(scan_id, 120)["segmentation"]["status"] for scan_id in ids]
    evaluation = finish(portal, evaluation_id)
    figure(
        f"Redis flushed {len(flushes)} times and restarted {len(restarts)} times during {SUBMISSIONS} submissions and"
        f" an evaluation of {CASES} cases: {statuses.count('succeeded')} scans and"
        f" {len(positions(portal, evaluation_id))} cases have their result"
    )
    assert flushes and restarts
    assert statuses == ["succeeded"] * SUBMISSIONS, portal.log()
    assert evaluation["status"] == "succeeded", portal.log()
    assert positions(portal, evaluation_id) == list(range(CASES))
