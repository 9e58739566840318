"""For machines: is the process alive, is the portal ready."""

from flask import Blueprint, Response, jsonify

from webapp.context import resources
from webapp.domain.monitoring import health

bp = Blueprint("system", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    """200 while the process lives; it asks nobody."""
    return jsonify({"status": "ok"})


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Each part by name: 200 where all are there, else 503."""
    parts = health.readiness(resources())
    is_ready = all(state == health.OK for state in parts.values())
    return jsonify({"status": "ok" if is_ready else "unavailable", **parts}), 200 if is_ready else 503
