"""A case of an evaluation as the result page's viewer takes a scan and its run."""

from typing import Any

from flask import url_for

from webapp.domain.evaluations.models import Evaluation, EvaluationCase
from webapp.domain.resources import Resources
from webapp.schemas import channels

# With an expert's mask what went wrong is seen first, without one what was found.
LAYERS_OF_TRUTH = (
    ("errors", "Errors"),
    ("overlay", "Overlay"),
    ("scan", "Scan"),
    ("mask", "Model's mask"),
    ("truth", "Expert's mask"),
    ("heatmap", "Probability"),
)
LAYERS = (("overlay", "Overlay"), ("scan", "Scan"), ("mask", "Model's mask"), ("heatmap", "Probability"))


def describe(resources: Resources, evaluation: Evaluation, case: EvaluationCase) -> dict[str, Any]:
    """What `templates/scans/result/viewer.html` needs; of a case that failed, which has no pictures, less is used."""
    card = resources.catalog.readable_card(evaluation.model)
    picture = url_for("api-evaluations.picture", evaluation_id=evaluation.id, position=case.position, kind="scan")
    return {
        "picture_address": picture.removesuffix("scan.png") + "{picture}.png",
        "case_layers": list(LAYERS_OF_TRUTH if case.has_truth else LAYERS),
        "scan": {
            "width": case.width,
            "height": case.height,
            "slice_count": 1,
            "spacing_mm": None,
            "truth": {"slices": [0]} if case.has_truth else None,
        },
        "run": {
            "threshold": evaluation.threshold,
            "min_tumor_pixels": case.min_tumor_pixels,
            "doubt_rule": case.doubt_rule,
            "slices": [
                {
                    "uncounted_pixels": case.metric("uncounted_pixels"),
                    "dropped": case.dropped or [],
                    "is_first_look": bool(case.is_first_look),
                }
            ],
        },
        "has_depth": card is not None and card.depth is not None,
        "slice_index": 0,
        "channels": channels.names_of(card),
        "channel": channels.first_shown(card),
        "pinned": False,
        "planes": None,  # a case is one slice
    }
