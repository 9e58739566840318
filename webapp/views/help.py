"""How to read a result, and what the words mean: from the registries that the results themselves are made of."""

from flask import Blueprint, render_template

from webapp.context import resources
from webapp.schemas import labels
from webapp.schemas.warnings import WARNINGS

bp = Blueprint("help", __name__)


@bp.get("/help")
def show() -> str:
    """One page; nothing of it depends on a stored scan."""
    catalog = resources().catalog
    return render_template(
        "help.html",
        warnings=sorted(WARNINGS.values(), key=lambda warning: (warning.tone != "warn", warning.chip is None)),
        model=catalog.default_name,
        surface_tolerance=labels.SURFACE_TOLERANCE,
    )
