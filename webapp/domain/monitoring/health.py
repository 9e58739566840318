"""Readiness by name: what the portal needs, and whether it is there."""

from collections.abc import Callable

from webapp.domain.errors import PortalError
from webapp.domain.jobs import workers
from webapp.domain.resources import Portal

OK = "ok"


def readiness(portal: Portal) -> dict[str, str]:
    """For each part `ok`, or one sentence that says what is wrong."""
    checks: dict[str, Callable[[Portal], str]] = {
        "database": _database,
        "broker": _broker,
        "storage": _storage,
        "model": _model,
        "worker": _worker,
    }
    return {name: _said(check, portal) for name, check in checks.items()}


def has_worker(portal: Portal) -> bool:
    """Whether a worker lives; False where the database cannot say."""
    return _said(_worker, portal) == OK


def _said(check: Callable[[Portal], str], portal: Portal) -> str:
    try:
        return check(portal)
    except PortalError as error:
        return error.message


def _database(portal: Portal) -> str:
    portal.database.ping()
    return OK


def _broker(portal: Portal) -> str:
    return OK if portal.queue.is_reachable() else "The broker does not answer; queued jobs wait."


def _storage(portal: Portal) -> str:
    portal.storage.check()
    return OK


def _model(portal: Portal) -> str:
    return portal.catalog.default_problem() or OK


def _worker(portal: Portal) -> str:
    with portal.database.read() as session:
        count = workers.live_workers(session, portal.settings.lease_s)
    return OK if count else "No worker is running; queued jobs wait."
