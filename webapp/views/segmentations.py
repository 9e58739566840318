"""Cancel and retry, as forms."""

from flask import Blueprint, redirect, url_for
from werkzeug.wrappers import Response

from webapp.context import resources
from webapp.domain.scans import lookup, segmentations

bp = Blueprint("segmentations", __name__, url_prefix="/segmentations")


@bp.post("/<hex_id:segmentation_id>/cancel")
def cancel(segmentation_id: str) -> Response:
    """End an open segmentation, then show its scan."""
    segmentations.cancel(resources(), segmentation_id)
    return _to_scan(segmentation_id)


@bp.post("/<hex_id:segmentation_id>/retry")
def retry(segmentation_id: str) -> Response:
    """Queue it again, then show its scan."""
    segmentations.retry(resources(), segmentation_id)
    return _to_scan(segmentation_id)


def _to_scan(segmentation_id: str) -> Response:
    with resources().database.read() as session:
        scan_id = lookup.segmentation(session, segmentation_id).scan_id
    return redirect(url_for("scans.show", scan_id=scan_id), 303)
