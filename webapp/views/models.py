"""The models' pages: what each card says."""

from flask import Blueprint, render_template

from webapp.context import resources
from webapp.schemas.models import group_figures
from webapp.schemas.scans import model_json

bp = Blueprint("models", __name__, url_prefix="/models")


@bp.get("")
def index() -> str:
    """All models."""
    return render_template("models/list.html", cards=[model_json(entry) for entry in resources().catalog.entries()])


@bp.get("/<name>")
def show(name: str) -> str:
    """One card."""
    card = model_json(resources().catalog.entry(name))
    return render_template("models/show.html", card=card, groups=group_figures(card.get("metrics", ())))
