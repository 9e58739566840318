"""Endings: a worker says that a job has ended, and whoever waits for it looks at once.

A message of the broker, which nobody keeps: it may be lost, and says only when to look. The row is the truth.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis

logger = logging.getLogger(__name__)

CHANNEL = "glioscope-endings"
CONNECT_TIMEOUT_S = 1.0
# So long after it went away the broker is asked again; those who wait look by themselves meanwhile.
PAUSE_S = 1.0
# A silent connection is asked for a sign of life so often: a broker that vanished without a word is noticed.
SIGN_OF_LIFE_S = 10
# How soon a closed listener ends at the latest.
LISTEN_S = 1.0
_OFF = (redis.RedisError, OSError, ValueError)  # ValueError: of a connection that `close` has taken away


class Ending:
    """What one thread waits for."""

    def __init__(self, endings: "Endings") -> None:
        self._endings = endings
        self.happened = threading.Event()

    @property
    def is_announced(self) -> bool:
        """Whether the end would be heard of; where the broker is away, it would not."""
        return self._endings.is_listening

    def wait(self, seconds: float) -> None:
        """Come back when something was said since the last time, or after so many seconds."""
        self.happened.wait(seconds)
        self.happened.clear()


class Endings:
    """Both ends of the channel. One thread listens for all who wait in this process; the first of them starts it."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=CONNECT_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            health_check_interval=SIGN_OF_LIFE_S,
        )
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Ending]] = defaultdict(set)
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self.is_listening = False

    def announce(self, subject: str) -> None:
        """Say that a job of this scan or evaluation has ended. A broker that is away costs those who wait a moment."""
        with suppress(redis.RedisError, OSError):
            self._redis.publish(CHANNEL, subject)

    @contextmanager
    def of(self, subject: str) -> Iterator[Ending]:
        """Hear of the ends of this scan's or evaluation's jobs for the length of the block."""
        ending = Ending(self)
        with self._lock:
            self._waiting[subject].add(ending)
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="endings", daemon=True)
                self._thread.start()
        try:
            yield ending
        finally:
            with self._lock:
                self._waiting[subject].discard(ending)
                if not self._waiting[subject]:
                    del self._waiting[subject]

    def close(self) -> None:
        """Stop listening, and close the connections."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * LISTEN_S)
        self._redis.close()

    def _listen(self) -> None:
        has_said_so = False
        while not self._closed.is_set():
            try:
                with self._redis.pubsub() as channel:  # type: ignore[no-untyped-call] # redis-py's
                    channel.subscribe(CHANNEL)
                    while not self._closed.is_set():
                        self._hear(channel.get_message(timeout=LISTEN_S))
            except _OFF as error:
                if self.is_listening or not has_said_so:
                    logger.warning("ends of jobs are not heard of: %s", type(error).__name__)
                has_said_so = True
            except Exception:  # the thread must outlive it
                logger.exception("ends of jobs are not heard of")
            self.is_listening = False
            self._closed.wait(PAUSE_S)

    def _hear(self, message: dict[str, object] | None) -> None:
        if message is None:
            return
        if message["type"] == "subscribe":
            # What ended before was not heard of: whoever waits looks once more.
            self.is_listening = True
            subject = None
        elif message["type"] == "message" and isinstance(message["data"], bytes):
            subject = message["data"].decode(errors="replace")
        else:
            return
        with self._lock:
            heard = [self._waiting.get(subject, set())] if subject is not None else list(self._waiting.values())
            for ending in (ending for group in heard for ending in group):
                ending.happened.set()
