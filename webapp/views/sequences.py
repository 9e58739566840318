"""The form that reads several sequences of a study together."""

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from webapp.context import resources
from webapp.domain.database.orm import is_id
from webapp.domain.errors import PortalError
from webapp.domain.scans import joining, proposal
from webapp.schemas.labels import SEQUENCES

bp = Blueprint("sequences", __name__, url_prefix="/sequences")

NONE = ("", "none")


@bp.post("")
def join() -> Response:
    """Read the chosen scans together, and show the new one; or say why that cannot be."""
    chosen = {name: request.form.get(name, "") for name in ("flair", "t1", "t1_post")}
    try:
        made = joining.join(resources(), chosen["flair"], proposal.choice_of(**chosen)) if chosen["flair"] else None
    except PortalError as error:
        if error.status >= 500:
            raise
        flash(error.message, "error")
        return redirect(_back(), 303)
    if made is None:
        flash("Choose the FLAIR series: its grid is the new scan's.", "error")
        return redirect(_back(), 303)
    return redirect(url_for("scans.show", scan_id=made), 303)


def form_of(session: Session, study_id: str | None) -> dict[str, Any] | None:
    """What the form offers and proposes; None where the study has less than two volumes."""
    found = proposal.propose(session, study_id)
    if found is None:
        return None
    options = [
        (scan_id, f"{name} ({SEQUENCES[kind.value]})" if kind else name) for scan_id, name, kind in found.volumes
    ]
    return {
        "selects": [
            ("flair", "FLAIR", options, found.flair),
            ("t1", "T1", [NONE, *options], found.t1),
            ("t1_post", "T1 with contrast", [NONE, *options], found.t1_post),
        ],
        "is_whole": found.flair is not None,
    }


def _back() -> str:
    """The page that the form was on; an id that is none leads to the history."""
    scan_id, study_id = request.form.get("scan", ""), request.form.get("study", "")
    if is_id(scan_id):
        return url_for("scans.show", scan_id=scan_id)
    return url_for("scans.index", study=study_id if is_id(study_id) else None)
