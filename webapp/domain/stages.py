"""How long the stages of an upload took in this process, for its metrics: the last ones of each, and nothing of whose.

A worker's stages stand in the rows of its runs, `timings_ms`.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

# Of each stage.
KEPT = 500


class Stage(StrEnum):
    """What the web process does of an upload: its body, its reading in the sandbox, files and rows on the disk, and the
    time from a run's end until whoever waits for it knows."""

    RECEIVE = "receive"
    DECODE = "decode"
    ADMIT = "admit"
    WAKE = "wake"


class Stages:
    """The last times of each stage. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[Stage, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Note how long the block takes, unless it raises."""
        began = time.perf_counter()
        yield
        self.note(stage, time.perf_counter() - began)

    def note(self, stage: Stage, seconds: float) -> None:
        """One more."""
        with self._lock:
            self._seconds[stage].append(seconds)

    def recent(self) -> dict[Stage, list[float]]:
        """Seconds, of the stages that there were."""
        with self._lock:
            return {stage: list(seconds) for stage, seconds in self._seconds.items()}
