"""What one worker process holds: the portal's services, its loaded models, and the sign that it lives."""

import logging
import os
import signal
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import numpy as np

from ml.cards.card import PackageError, find_package, load_card
from ml.datasets.case_reader import CaseReader
from ml.engines import Engine, EngineError, load_engine
from ml.masks import tumor_mask
from webapp.domain.errors import PortalError
from webapp.domain.jobs import workers
from webapp.domain.resources import Resources
from webapp.domain.settings import Settings
from worker.process.broker_watchdog import DeafnessWatch, Look

logger = logging.getLogger(__name__)

# A loaded int8 model takes some 200 MB; more than two at once are seldom asked for.
MOST_MODELS = 2


class Runtime:
    """One worker process's services and models."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.worker_id = f"{socket.gethostname()[:30]}-{os.getpid()}-{uuid4().hex[:8]}"
        # Starts its process at the first chunk of an evaluation.
        self.case_reader = CaseReader(resources.settings.job_timeout_s)
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._stopped = threading.Event()
        self._beating: threading.Thread | None = None
        self._messages_taken = 0
        self._is_busy = False

    def engine(self, model: str) -> Engine:
        """The loaded model, loading it where it is not. Raises PackageError, EngineError."""
        if model in self._engines:
            self._engines.move_to_end(model)
            return self._engines[model]
        settings = self.resources.settings
        engine = load_engine(
            find_package(model, settings.model_directories),
            settings.engine,
            settings.worker_threads,
            settings.instance_dir / "compiled",
        )
        engine.warm_up()
        self._engines[model] = engine
        while len(self._engines) > MOST_MODELS:
            self._engines.popitem(last=False)
        return engine

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around everything that a message makes this process do."""
        self._messages_taken += 1
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False

    def start(self) -> None:
        """Load the default model, then say that this worker is ready, and go on saying it."""
        model = self.resources.settings.default_model
        engine = self.engine(model)
        # SciPy is imported at the first labelling; the first patient should not wait for it.
        tumor_mask(np.full((1, 8, 8), 255, dtype=np.uint8), threshold=0.5, min_tumor_pixels=2)
        self._beating = threading.Thread(target=self._beat, args=(engine.name, model), name="presence", daemon=True)
        self._beating.start()
        logger.info("ready: model %s, engine %s, worker %s", model, engine.name, self.worker_id)

    def stop(self) -> None:
        """Withdraw and close."""
        self._stopped.set()
        if self._beating is not None:
            self._beating.join(timeout=5)
        try:
            workers.withdraw(self.resources, self.worker_id)
        except PortalError as error:
            logger.warning("this worker could not withdraw: %s", error.code)
        self.case_reader.close()
        self.resources.close()

    def _beat(self, engine: str, model: str) -> None:
        watch, signals, parent = DeafnessWatch(), iter((signal.SIGTERM,)), os.getppid()
        while True:
            try:
                workers.announce(self.resources, self.worker_id, engine=engine, model=model)
            except PortalError as error:
                logger.warning("the sign of life was not written: %s", error.code)
            if self._stopped.wait(self.resources.settings.heartbeat_s):
                return
            look = Look(self.resources.queue.length(), self._messages_taken, self._is_busy)
            if watch.is_deaf(look):
                logger.error("this worker does not hear its broker any more and is ended, to be started anew")
                # Asked first, then made to; leases and the sweeper are there for just this.
                if os.getppid() != parent:  # it is gone, and what has its place is a stranger
                    os._exit(1)
                os.kill(parent, next(signals, signal.SIGKILL))


_runtime: Runtime | None = None


def current() -> Runtime:
    """This process's runtime. Raises RuntimeError where none was opened."""
    if _runtime is None:
        raise RuntimeError("no runtime was opened in this process; the pool's start signal opens one")
    return _runtime


def open_in_this_process(settings: Settings) -> None:
    """Open the runtime; it ends the process where the model cannot be loaded."""
    global _runtime
    runtime = Runtime(Resources.open(settings))
    try:
        runtime.start()
    except (PackageError, EngineError) as error:
        logger.critical("the model cannot be loaded: %s", error)
        os._exit(1)
    _runtime = runtime


def close_in_this_process() -> None:
    """Close the runtime, where there is one."""
    if _runtime is not None:
        _runtime.stop()


def check_default_model(settings: Settings) -> None:
    """End the worker, before it takes any job, where the default model is missing or its card cannot be read."""
    try:
        load_card(find_package(settings.default_model, settings.model_directories))
    except PackageError as error:
        logger.critical("the worker does not start: %s", error)
        sys.exit(1)
