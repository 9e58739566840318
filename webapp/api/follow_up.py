"""/api/v1/studies/{id}/follow-up: one patient's studies over time."""

from typing import Any

from flask import Response

from webapp.api.blueprints import blueprint
from webapp.context import resources
from webapp.domain.scans import follow_up
from webapp.domain.scans.follow_up_plot import plot_of
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.follow_up import FollowUpSchema, dump_follow_up

blp = blueprint("follow-up", "studies", "One patient's studies over time.")


@blp.get("/<hex_id:study_id>/follow-up")
@blp.answers(200, FollowUpSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.doc(operationId="get_follow_up")
def show(study_id: str) -> dict[str, Any]:
    """The studies of this study's patient in the order of their dates, their volumes, and what changed.

    A change has the range that the error on the model's card allows; where none can be told it says why. Studies are of
    one patient by the pseudonym of their DICOM series, or by the `patient` that was entered for them.
    """
    with resources().database.read() as session:
        return dump_follow_up(follow_up.of_study(resources(), session, study_id))


@blp.get("/<hex_id:study_id>/follow-up.svg")
@blp.sends("image/svg+xml")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: no study has a date and a volume")
@blp.doc(operationId="get_follow_up_plot")
def plot(study_id: str) -> Response:
    """Volumes over time as a plot; a line joins what can be compared."""
    with resources().database.read() as session:
        svg = plot_of(follow_up.of_study(resources(), session, study_id))
    response = Response(svg, mimetype="image/svg+xml")
    response.headers["Cache-Control"] = "private, no-cache"
    return response
