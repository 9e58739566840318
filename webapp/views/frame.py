"""What every page's frame shows: the section, whether a worker is there, the version."""

import time
from dataclasses import dataclass

from flask import Flask, g, request

from ml.version import VERSION
from webapp.context import may, resources
from webapp.domain.monitoring import health
from webapp.domain.settings import Settings
from webapp.schemas import labels
from webapp.views.marked import marked

SECTIONS = {
    "home": "portal",
    "scans": "history",
    "studies": "history",
    "evaluations": "evaluations",
    "models": "models",
}
# The dot may be as old as this; asking at every page would be a query more for nothing.
WORKER_SEEN_FOR_S = 2.0


@dataclass(frozen=True)
class Demo:
    """What a public demonstration says of itself."""

    minutes: int
    most_scans: int
    max_upload_mb: int

    @property
    def kept_words(self) -> str:
        """For how long it keeps a scan."""
        return "an hour" if self.minutes == 60 else f"{self.minutes} minutes"


def register(app: Flask) -> None:
    """Give the templates their globals."""
    app.jinja_env.globals["may"] = may
    app.jinja_env.filters["marked"] = marked
    app.jinja_env.filters["threshold"] = labels.threshold
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
            # None where this is no public demonstration.
            "demo": _demo(resources().settings),
            # After so many days scans and evaluations go by themselves; None: never.
            "kept_days": resources().settings.retention_days,
        }


def _demo(settings: Settings) -> Demo | None:
    if settings.auth != "demo":
        return None
    return Demo(settings.demo_minutes, settings.demo_scans, settings.max_upload_bytes // 1_000_000)
