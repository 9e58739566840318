"""The queue: task names, the broker's settings, and the hints that the web sends. It knows no Flask and no worker.

A hint carries an id and nothing else. It may be lost, doubled or late: the row is the truth.
"""

import logging
import threading
import time
from typing import Any

import redis
from celery import Celery
from kombu import Exchange
from kombu import Queue as BrokerQueue
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

RUN_SEGMENTATION = "glioscope.run_segmentation"
RUN_EVALUATION_CHUNK = "glioscope.run_evaluation_chunk"
QUEUE_NAME = "glioscope"
# Behind the other one in the alphabet: a worker looks into its queues in that order (`queue_order_strategy` below), so
# a person's upload goes before an evaluation's chunks.
EVALUATION_QUEUE_NAME = "glioscope-evaluations"
QUEUE_OF = {RUN_SEGMENTATION: QUEUE_NAME, RUN_EVALUATION_CHUNK: EVALUATION_QUEUE_NAME}

# A submission waits for the broker at most this long; then the sweeper publishes what was not.
PUBLISH_TIMEOUT_S = 1.0
# After a failed publish the broker is left alone for as long, so that an upload of many files waits once.
PAUSE_AFTER_FAILURE_S = 2.0


def celery_settings(redis_url: str) -> dict[str, Any]:
    """What producer and worker must agree on."""
    return {
        # Celery names a Unix socket otherwise than redis-py does.
        "broker_url": redis_url.replace("unix://", "redis+socket://", 1),
        "task_default_queue": QUEUE_NAME,
        "task_queues": [BrokerQueue(name, Exchange(name), routing_key=name) for name in QUEUE_OF.values()],
        "broker_transport_options": {"queue_order_strategy": "sorted"},
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "broker_connection_retry_on_startup": True,
        # Early: an unacknowledged message of a killed worker comes back after the visibility timeout, a second copy
        # of a job that the sweeper has requeued long before (measured: 91 s against 15 s of lease).
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        "enable_utc": True,
    }


class Queue:
    """The web's and the sweeper's end of the broker."""

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

    def hint(self, task: str, job_id: str) -> bool:
        """Tell a worker to look at a job. False where the broker did not take it; the sweeper will say it again."""
        if time.monotonic() < self._paused_until:
            return False
        try:
            self._celery.send_task(task, args=[job_id], queue=QUEUE_OF[task], retry=False, ignore_result=True)
        except (OperationalError, redis.RedisError, OSError) as error:
            logger.warning("the broker did not take a hint: %s", type(error).__name__)
            with self._lock:
                self._paused_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
            return False
        return True

    def length(self, *names: str) -> int | None:
        """Hints that no worker has taken yet, of all queues or the named ones; None where the broker is away."""
        try:
            return sum(int(self._redis.llen(name)) for name in names or QUEUE_OF.values())
        except (redis.RedisError, OSError):
            return None

    def is_reachable(self) -> bool:
        """Whether the broker answers."""
        try:
            return bool(self._redis.ping())
        except (redis.RedisError, OSError):
            return False

    def close(self) -> None:
        """Close the connections; a forked child calls this before its first hint."""
        self._celery.close()
        self._redis.close()
