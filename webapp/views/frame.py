"""What every page's frame shows: the section, whether a worker is there, the version."""

import time

from flask import Flask, g, request

from ml.version import VERSION
from webapp.context import resources
from webapp.domain.monitoring import health

SECTIONS = {
    "home": "portal",
    "scans": "history",
    "studies": "history",
    "evaluations": "evaluations",
    "models": "models",
}
# The dot may be as old as this; asking at every page would be a query more for nothing.
WORKER_SEEN_FOR_S = 2.0


def register(app: Flask) -> None:
    """Give the templates their globals."""
    seen: dict[str, tuple[float, bool]] = {}

    def worker_ready() -> bool:
        asked_at, is_ready = seen.get("worker", (float("-inf"), False))
        if time.monotonic() - asked_at > WORKER_SEEN_FOR_S:
            is_ready = health.has_worker(resources())
            seen["worker"] = (time.monotonic(), is_ready)
        return is_ready

    @app.context_processor
    def frame() -> dict[str, object]:
        return {
            "nav": SECTIONS.get(request.blueprint or "", ""),
            "worker_ready": worker_ready(),
            "version": VERSION,
            # None where there are no users.
            "viewer": g.get("identity"),
        }
