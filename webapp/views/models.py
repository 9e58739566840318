"""The models' pages: what each card says."""

from flask import Blueprint, render_template

from webapp.context import resources
from webapp.schemas import metrics
from webapp.schemas.models import dump_model, group_metrics

bp = Blueprint("models", __name__, url_prefix="/models")


@bp.get("")
def index() -> str:
    """All models."""
    return render_template(
        "models/list.html", cards=[dump_model(entry) for entry in resources().catalog.entries()], metrics=metrics
    )


@bp.get("/<name>")
def show(name: str) -> str:
    """One card."""
    card = dump_model(resources().catalog.entry(name))
    return render_template(
        "models/show.html", card=card, groups=group_metrics(card.get("metrics", ())), metrics=metrics
    )
