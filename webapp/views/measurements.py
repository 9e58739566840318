"""The form of a spacing that a scan's file does not state."""

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from webapp.context import resources
from webapp.domain.errors import InvalidInput, WrongState
from webapp.domain.scans import spacing

bp = Blueprint("measurements", __name__, url_prefix="/scans")

_FIELDS = ("slice_mm", "row_mm", "column_mm")
_LONGEST = 20


@bp.post("/<hex_id:scan_id>/spacing")
def enter_spacing(scan_id: str) -> Response:
    """Enter the distances of slices, rows and columns, change them, or take them away."""
    try:
        spacing.enter(resources(), scan_id, None if request.form.get("remove") == "yes" else _typed())
    except InvalidInput as error:
        flash(error.message, "error")
        # What was typed stands in the fields again, to be mended.
        typed: dict[str, Any] = {name: request.form[name][:_LONGEST] for name in _FIELDS if request.form.get(name)}
        return redirect(url_for("scans.show", scan_id=scan_id, _anchor="spacing", **typed), 303)
    except WrongState as error:
        flash(error.message, "error")
    return redirect(url_for("scans.show", scan_id=scan_id, _anchor="measurements"), 303)


def _typed() -> list[float | None]:
    """What stands in the fields; None where one is empty. Raises InvalidInput."""
    texts = [request.form.get(name, "").strip().replace(",", ".") for name in _FIELDS]
    try:
        return [float(text) if text else None for text in texts]
    except ValueError:
        raise InvalidInput("Distances are numbers of millimeters, such as 0.94.") from None
