"""The models' pages: what each card says."""

from flask import Blueprint, render_template

from webapp.context import resources
from webapp.domain.catalog.comparison import compared_with_default, headlines
from webapp.schemas import metrics
from webapp.schemas.models import dump_model, group_metrics

bp = Blueprint("models", __name__, url_prefix="/models")


@bp.get("")
def index() -> str:
    """All models, and how one of them did beside the one that is used where none is chosen."""
    catalog = resources().catalog
    entries = catalog.entries()
    usable = [entry.card for entry in entries if entry.card is not None and entry.problem is None]
    return render_template(
        "models/list.html",
        cards=[dump_model(entry) for entry in entries],
        headlines={card.name: headlines(card) for card in usable},
        default_name=catalog.default_name,
        compared=compared_with_default(usable, catalog.default_name),
        metrics=metrics,
    )


@bp.get("/<name>")
def show(name: str) -> str:
    """One card."""
    card = dump_model(resources().catalog.entry(name))
    return render_template(
        "models/show.html", card=card, groups=group_metrics(card.get("metrics", ())), metrics=metrics
    )
