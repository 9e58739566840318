"""The audit log in the browser: of administrators, and of whoever sits at a portal without users."""

import json
from collections.abc import Iterator

from flask import Blueprint, Response, render_template, request, stream_with_context

from webapp import audit_trail
from webapp.context import resources
from webapp.domain.accounts import audit, users
from webapp.domain.database import ownership

bp = Blueprint("audit", __name__)

LINES = 100


@bp.get("/admin/audit")
def show() -> str:
    """The newest lines of the audit log."""
    before = request.args.get("before", "")
    with resources().database.read() as rows:
        shown = audit.newest(rows, LINES, int(before) if before.isdecimal() and len(before) < 10 else None)
        failed = audit.failed_logins(rows)
        names = {ownership.LOCAL: ownership.LOCAL} | {user.id: user.name for user in users.every(rows)}
    return render_template(
        "accounts/audit.html",
        entries=shown,
        failed=failed,
        has_logins=resources().settings.auth != "local",
        names=names,
        has_more=len(shown) == LINES,
        days=resources().settings.audit_days,
    )


@bp.get("/admin/audit.jsonl")
def export() -> Response:
    """Every line as JSON, one a line."""

    def lines() -> Iterator[str]:
        with resources().database.read() as rows:
            for entry in audit.every(rows):
                yield json.dumps(audit.as_json(entry), sort_keys=True) + "\n"

    audit_trail.record("audit.export", "200")
    response = Response(stream_with_context(lines()), mimetype="application/jsonl")
    response.headers.set("Content-Disposition", "attachment", filename="audit.jsonl")
    return response
