"""The models' pages: what each card says."""

from flask import Blueprint, render_template

from webapp.context import portal
from webapp.model_presentation import group_figures
from webapp.presentation import model_json

bp = Blueprint("models", __name__, url_prefix="/models")


@bp.get("")
def index() -> str:
    """All models."""
    return render_template("models.html", cards=[model_json(entry) for entry in portal().catalog.entries()])


@bp.get("/<name>")
def show(name: str) -> str:
    """One card."""
    card = model_json(portal().catalog.entry(name))
    return render_template("model.html", card=card, groups=group_figures(card.get("metrics", ())))
