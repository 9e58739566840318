"""The form of a study's name, tags and notes."""

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from webapp.context import resources
from webapp.domain.errors import NotFound, PortalError
from webapp.domain.scans import patients, studies
from webapp.domain.scans.dates import contradiction
from webapp.domain.scans.studies import StudyChange
from webapp.domain.scans.tag_lines import tags_of
from webapp.views.history import history_page

bp = Blueprint("studies", __name__, url_prefix="/studies")


@bp.post("/<hex_id:study_id>")
def change(study_id: str) -> Response | tuple[str, int]:
    """Save what was written; where that cannot be, the page comes again with it."""
    typed = _typed()
    revision = request.form.get("revision", "")
    wanted = StudyChange(
        name=typed.get("name"),
        notes=typed.get("notes"),
        tags=tags_of(typed["tags"]) if "tags" in typed else None,
        date=typed.get("date"),
        patient=typed.get("patient"),
        revision=int(revision) if revision.isdecimal() and len(revision) < 10 else None,
    )
    with resources().database.read() as session:
        studies.get(session, study_id)
    try:
        studies.change(resources(), study_id, wanted)
    except NotFound:
        raise  # it went with its last scan just now
    except PortalError as error:
        return history_page({"study": study_id}, typed=typed, problem=error.message), error.status
    with resources().database.read() as session:
        study = studies.find(session, study_id)
        problem = study and contradiction(study.date, patients.years_of_study(session, study_id))
    flash("The study is saved.", "info")
    if problem and "date" in typed:
        flash(problem, "warn")
    return redirect(url_for("scans.index", study=study_id), 303)


def _typed() -> dict[str, str]:
    """The fields that are not as the page showed them (`read_NAME`): the others stay as somebody else left them."""
    form = request.form
    return {
        name: form[name]
        for name in ("name", "tags", "notes", "date", "patient")
        if name in form and _plain(form[name]) != _plain(form.get(f"read_{name}"))
    }


def _plain(text: str | None) -> str | None:
    """As it was before a browser sent it: lines of a form end with CR LF."""
    return None if text is None else text.replace("\r\n", "\n").strip()
