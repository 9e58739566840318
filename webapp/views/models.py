"""The models' pages: what each card says."""

from flask import Blueprint, render_template

from webapp.context import portal
from webapp.presentation import model_json

bp = Blueprint("models", __name__, url_prefix="/models")


@bp.get("")
def index() -> str:
    """All models."""
    return render_template("models.html", cards=[model_json(entry) for entry in portal().catalog.entries()])


@bp.get("/<name>")
def show(name: str) -> str:
    """One card."""
    return render_template("model.html", card=model_json(portal().catalog.entry(name)))
