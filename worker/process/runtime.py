"""The state of one worker process: the portal's services, loaded models, the reader of cases, the worker's row."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import numpy as np

from ml.cards import PackageError
from ml.datasets.case_reader import CaseReader
from ml.datasets.checking.file_checks import FileChecker
from ml.engines import Engine, EngineError
from ml.masks import tumor_mask
from webapp.domain.jobs.broker import BATCH, served
from webapp.domain.resources import Resources
from webapp.domain.settings import Settings
from worker.process.broker_watchdog import ConsumerSample
from worker.process.engines import LoadedEngines
from worker.process.presence import Presence

logger = logging.getLogger(__name__)

# What a person waits for goes first on the processor: pages and answers, then uploads, then evaluations. Of a core that
# two of them want, the more urgent one gets nearly all (9 parts of 10, 7 of 8; man 7 sched). 19 is the most.
NICENESS = 10
BATCH_NICENESS = 19
# Its start takes 0.4 s of processor time, as much as the check of 100 slices; it holds 50 MB until then.
FILE_CHECKER_IDLE_S = 300.0


class Runtime:
    """One worker process's services and models."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.worker_id = f"{socket.gethostname()[:30]}-{os.getpid()}-{uuid4().hex[:8]}"
        # Both start their process at the first chunk of an evaluation.
        self.file_checker = FileChecker(idle_s=FILE_CHECKER_IDLE_S)
        self.case_reader = CaseReader(resources.settings.job_timeout_s)
        self._engines = LoadedEngines(resources.settings)
        self._presence: Presence | None = None
        self._messages_taken = 0
        self._is_busy = False

    def engine(self, model: str) -> Engine:
        """The model, loaded where it is not. Raises PackageError, EngineError."""
        return self._engines.get(model)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Wraps the handling of one message."""
        self._messages_taken += 1
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False

    def start(self) -> None:
        """Load the default model, then register this worker as ready. Raises PackageError, EngineError."""
        model = self.resources.settings.default_model
        engine = self.engine(model)
        # SciPy is imported at the first labeling; the first scan should not wait for it.
        tumor_mask(np.full((1, 8, 8), 255, dtype=np.uint8), threshold=0.5, min_tumor_pixels=2)
        self._presence = Presence(
            self.resources, self.worker_id, engine=engine.name, model=model, sample=self._consumer_sample
        )
        self._presence.start()
        logger.info("ready: model %s, engine %s, worker %s", model, engine.name, self.worker_id)

    def stop(self) -> None:
        """Unregister and close."""
        if self._presence is not None:
            self._presence.stop()
        self.case_reader.close()
        self.file_checker.close()
        self.resources.close()

    def _consumer_sample(self) -> ConsumerSample:
        return ConsumerSample(
            self.resources.queue.length(*served(self.resources.settings.worker_jobs)),
            self._messages_taken,
            self._is_busy,
        )


def niceness_of(settings: Settings) -> int:
    """Of a worker's process, beside the 0 of the web process."""
    return BATCH_NICENESS if settings.worker_jobs == BATCH else NICENESS


_runtime: Runtime | None = None


def current() -> Runtime:
    """This process's runtime. Raises RuntimeError where none was opened."""
    if _runtime is None:
        raise RuntimeError("no runtime was opened in this process; the pool's start signal opens one")
    return _runtime


def open_in_this_process(settings: Settings) -> None:
    """Open the runtime, or end the process, which its parent replaces after a while.

    Celery would write down what went wrong and keep a process that takes messages and has nothing to do them with.
    """
    global _runtime
    # Before the model is loaded: its threads inherit it.
    os.setpriority(os.PRIO_PROCESS, 0, max(niceness_of(settings), os.getpriority(os.PRIO_PROCESS, 0)))
    try:
        runtime = Runtime(Resources.open(settings))
        runtime.start()
    except (PackageError, EngineError) as error:
        logger.critical("the model cannot be loaded: %s", error)
        os._exit(1)
    except Exception:
        logger.critical("this worker cannot start", exc_info=True)
        os._exit(1)
    _runtime = runtime


def close_in_this_process() -> None:
    """Close the runtime, where there is one."""
    if _runtime is not None:
        _runtime.stop()
