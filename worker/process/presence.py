"""The thread that registers this worker with every heartbeat, and ends it where its consumer receives nothing."""

import logging
import os
import signal
import threading
from collections.abc import Callable

from webapp.domain.errors import PortalError
from webapp.domain.jobs import workers
from webapp.domain.resources import Resources
from worker.process.broker_watchdog import BrokerWatchdog, ConsumerSample

logger = logging.getLogger(__name__)


class Presence:
    """A worker's row, updated while the process lives.

    engine, model: what the row says is loaded. sample: how the consumer is doing.
    """

    def __init__(
        self, resources: Resources, worker_id: str, *, engine: str, model: str, sample: Callable[[], ConsumerSample]
    ) -> None:
        self._resources = resources
        self._worker_id = worker_id
        self._engine = engine
        self._model = model
        self._sample = sample
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Register the worker, and keep its row up to date."""
        self._thread.start()

    def stop(self) -> None:
        """Remove the worker's row."""
        self._stopped.set()
        self._thread.join(timeout=5)
        try:
            workers.unregister_worker(self._resources, self._worker_id)
        except PortalError as error:
            logger.warning("this worker's row was not removed: %s", error.code)

    def _run(self) -> None:
        # Terminated first, then killed: the sweeper requeues what it was doing.
        watchdog, signals, parent = BrokerWatchdog(), iter((signal.SIGTERM,)), os.getppid()
        while True:
            try:
                workers.register_worker(self._resources, self._worker_id, engine=self._engine, model=self._model)
            except PortalError as error:
                logger.warning("this worker was not registered: %s", error.code)
            except Exception:  # the thread must outlive it, or the worker would count as dead until its end
                logger.exception("this worker was not registered")
            if self._stopped.wait(self._resources.settings.heartbeat_s):
                return
            if watchdog.is_disconnected(self._sample()):
                logger.error("this worker receives no messages any more; it is ended, to be started again")
                if os.getppid() != parent:  # the parent is dead: the process id would be that of another one
                    os._exit(1)
                os.kill(parent, next(signals, signal.SIGKILL))
