"""Readiness by name: what the portal needs, and whether it is there."""

from collections.abc import Callable

from webapp.domain.errors import PortalError
from webapp.domain.jobs import workers
from webapp.domain.jobs.broker import BATCH, INTERACTIVE
from webapp.domain.resources import Resources

OK = "ok"


def readiness(resources: Resources) -> dict[str, str]:
    """For each part `ok`, or one sentence that says what is wrong."""
    checks: dict[str, Callable[[Resources], str]] = {
        "database": _database,
        "broker": _broker,
        "storage": _storage,
        "model": _model,
        "worker": _worker,
    }
    return {name: _answer(check, resources) for name, check in checks.items()}


def has_worker(resources: Resources) -> bool:
    """Whether a worker of uploads lives; False where the database cannot say."""
    return _answer(_worker, resources) == OK


def has_batch_worker(resources: Resources) -> bool:
    """Whether a worker of evaluations lives. Raises DatabaseUnavailable."""
    return _count_of(resources, BATCH) > 0


def _answer(check: Callable[[Resources], str], resources: Resources) -> str:
    try:
        return check(resources)
    except PortalError as error:
        return error.message


def _database(resources: Resources) -> str:
    resources.database.ping()
    return OK


def _broker(resources: Resources) -> str:
    return OK if resources.queue.is_reachable() else "The broker does not answer; queued jobs wait."


def _storage(resources: Resources) -> str:
    resources.storage.check()
    return OK


def _model(resources: Resources) -> str:
    return resources.catalog.default_problem() or OK


def _worker(resources: Resources) -> str:
    return OK if _count_of(resources, INTERACTIVE) else "No worker is running; queued jobs wait."


def _count_of(resources: Resources, queue: str) -> int:
    with resources.database.read() as session:
        return workers.live_workers(session, resources.settings.lease_s, queue)
