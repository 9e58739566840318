"""/api/v1/segmentations: cancel and retry."""

from typing import Any

from webapp.api.blueprints import blueprint
from webapp.context import resources
from webapp.domain.scans import lookup, segmentations
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.fields import dump
from webapp.schemas.segmentations import SegmentationSchema

blp = blueprint("segmentations", "segmentations", "Cancel a run, or try it again.")


@blp.post("/<hex_id:segmentation_id>/cancel")
@blp.answers(200, SegmentationSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="wrong_state: it has ended already")
@blp.doc(operationId="cancel_segmentation")
def cancel(segmentation_id: str) -> dict[str, Any]:
    """End a queued or running segmentation."""
    segmentations.cancel(resources(), segmentation_id)
    return _described(segmentation_id)


@blp.post("/<hex_id:segmentation_id>/retry")
@blp.answers(200, SegmentationSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="wrong_state: it has neither failed nor been cancelled")
@blp.doc(operationId="retry_segmentation")
def retry(segmentation_id: str) -> dict[str, Any]:
    """Queue a failed or cancelled segmentation again."""
    segmentations.retry(resources(), segmentation_id)
    return _described(segmentation_id)


def _described(segmentation_id: str) -> dict[str, Any]:
    with resources().database.read() as session:
        return dump(SegmentationSchema, lookup.segmentation(session, segmentation_id))
