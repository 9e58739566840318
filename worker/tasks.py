"""The Celery task: a message wakes the worker, which claims the next job itself."""

import logging

from webapp.domain.errors import DatabaseUnavailable
from webapp.domain.jobs.broker import OLD_TASK_NAMES, WAKE_UP
from worker.app import app
from worker.jobs import runner
from worker.process import runtime

logger = logging.getLogger(__name__)


def wake_up(*_ids: str) -> None:
    """Run the next job, whichever it is. Messages of earlier versions carry a job's id, which is not needed."""
    own = runtime.current()
    with own.working():
        try:
            runner.run_next(own)
        except DatabaseUnavailable as error:
            logger.warning("no job was claimed: %s; the sweeper will publish another message", error.code)


for name in (WAKE_UP, *OLD_TASK_NAMES):
    app.task(name=name)(wake_up)
