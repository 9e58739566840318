"""The broker: Celery's settings, and the messages that wake a worker. It knows no Flask and no worker.

A message is a wake-up and carries nothing: a worker that gets one claims the next row. It may be lost, doubled or late;
the row is the truth.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from celery import Celery
from kombu.entity import Exchange
from kombu.entity import Queue as BrokerQueue
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

WAKE_UP = "glioscope.wake_up"
# Messages from before an update name these tasks and carry a job's id. They are taken as wake-ups, too.
OLD_TASK_NAMES = ("glioscope.run_segmentation", "glioscope.run_evaluation_chunk")
# By the jobs that a message of it announces: those that a person waits for, and those that nobody does. Workers of the
# versions before listen to both.
INTERACTIVE, BATCH = "interactive", "batch"
QUEUES: Mapping[str, str] = {INTERACTIVE: "glioscope", BATCH: "glioscope-evaluations"}

# A submission waits for the broker at most this long; what was not published then is published by the sweeper.
PUBLISH_TIMEOUT_S = 1.0
# After a failed publish the broker is left alone for as long, so that an upload of many files waits once.
PAUSE_AFTER_FAILURE_S = 2.0


def served(worker_jobs: str) -> tuple[str, ...]:
    """The names in QUEUES that a worker of this setting, `GLIOSCOPE_WORKER_JOBS`, serves."""
    return (worker_jobs,) if worker_jobs in QUEUES else tuple(QUEUES)


def celery_settings(redis_url: str, queues: Sequence[str] = tuple(QUEUES)) -> dict[str, Any]:
    """The settings that publisher and worker share. queues: the names in QUEUES that are listened to."""
    return {
        # Celery and redis-py name a Unix socket differently.
        "broker_url": redis_url.replace("unix://", "redis+socket://", 1),
        "task_default_queue": QUEUES[queues[0]],
        "task_queues": [_broker_queue(QUEUES[name]) for name in queues],
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "broker_connection_retry_on_startup": True,
        # Early: an unacknowledged message of a killed worker comes back after the visibility timeout, a second copy
        # of a job that the sweeper has requeued long before (measured: 91 s against 15 s of lease).
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        # A busy worker takes no message, so that an idle one gets it.
        "worker_disable_prefetch": True,
        "enable_utc": True,
    }


def _broker_queue(name: str) -> BrokerQueue:
    return BrokerQueue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call] # kombu's


class Queue:
    """The publishing end of the broker: of the web, the sweeper, and a worker that wakes the next one."""

    def __init__(self, redis_url: str) -> None:
        self._celery = Celery("glioscope-producer", set_as_current=False)
        self._celery.conf.update(
            celery_settings(redis_url),
            broker_transport_options={
                "socket_timeout": PUBLISH_TIMEOUT_S,
                "socket_connect_timeout": PUBLISH_TIMEOUT_S,
                "max_retries": 1,
                "interval_start": 0,
                "interval_step": 0,
                "interval_max": 0,
            },
        )
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=PUBLISH_TIMEOUT_S, socket_connect_timeout=PUBLISH_TIMEOUT_S
        )
        self._lock = threading.Lock()
        self._paused_until = 0.0
        # Why it did not answer last; empty once it does.
        self._said = ""

    def publish(self, name: str) -> bool:
        """Wake a worker of a queue. False where the broker did not take the message; the sweeper will publish one."""
        if time.monotonic() < self._paused_until:
            return False
        try:
            self._celery.send_task(WAKE_UP, queue=QUEUES[name], retry=False, ignore_result=True)
        except (OperationalError, redis.RedisError, OSError) as error:
            logger.warning("the broker did not take a message: %s", _words(error))
            with self._lock:
                self._paused_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
            return False
        return True

    def length(self, *names: str) -> int | None:
        """Messages that no worker has taken yet, in these queues or in all; None where the broker is away."""
        try:
            found = sum(int(self._redis.llen(QUEUES[name])) for name in names or QUEUES)
        except (redis.RedisError, OSError) as error:
            self._say(_words(error))
            return None
        self._said = ""
        return found

    def lengths(self) -> dict[str, int | None]:
        """As `length`, of each queue, asked for together."""
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for queue in QUEUES.values():
                    pipeline.llen(queue)
                found: dict[str, int | None] = dict(zip(QUEUES, map(int, pipeline.execute()), strict=True))
        except (redis.RedisError, OSError) as error:
            self._say(_words(error))
            return dict.fromkeys(QUEUES)
        self._said = ""
        return found

    def is_reachable(self) -> bool:
        """Whether the broker answers."""
        try:
            self._redis.ping()
        except (redis.RedisError, OSError) as error:
            self._say(_words(error))
            return False
        self._said = ""
        return True

    def _say(self, words: str) -> None:
        """Log why the broker does not answer: once, until it does."""
        if words != self._said:
            self._said = words
            logger.warning("the broker does not answer: %s", words)

    def close(self) -> None:
        """Close the connections; a forked child calls this before its first message."""
        self._celery.close()
        self._redis.close()


def _words(error: Exception) -> str:
    """The driver's own: away, a wrong password, a name that is unknown. It names no password."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(": ")
