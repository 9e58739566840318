"""/api/v1/scans/{id}: what a run amounts to in millimeters, lesion by lesion."""

from typing import Any

from flask import Response

from webapp.api.blueprints import blueprint
from webapp.context import resources
from webapp.domain.scans import lookup, measurements
from webapp.downloads import file_names
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.measurements import MeasurementsSchema, dump_measurements, measurements_csv
from webapp.schemas.segmentations import RunChoiceSchema

blp = blueprint("measurements", "scans", "Volume, lesions and diameters.")


@blp.get("/<hex_id:scan_id>/measurements.json")
@blp.arguments(RunChoiceSchema, location="query")
@blp.answers(200, MeasurementsSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no result yet")
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: a stored array is missing")
@blp.doc(operationId="get_measurements")
def as_json(query: dict[str, Any], scan_id: str) -> dict[str, Any]:
    """Volume, area of each slice, and the lesions with volume, slices, diameters, side and place.

    In mm where the spacing is known, from the file or entered (`spacing_source`); else in pixels.
    """
    return _measured(scan_id, query.get("segmentation"))[1]


@blp.get("/<hex_id:scan_id>/measurements.csv")
@blp.arguments(RunChoiceSchema, location="query")
@blp.sends("text/csv")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no result yet")
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: a stored array is missing")
@blp.doc(operationId="get_measurement_table")
def as_csv(query: dict[str, Any], scan_id: str) -> Response:
    """A row for the whole mask (`lesion` is "all"), and one for each lesion."""
    stem, described = _measured(scan_id, query.get("segmentation"))
    response = Response(measurements_csv(described), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", **file_names(f"{stem}-measurements.csv"))
    response.headers["Cache-Control"] = "no-store"
    return response


def _measured(scan_id: str, segmentation_id: str | None) -> tuple[str, dict[str, Any]]:
    """The scan's name without its ending, and the JSON."""
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
        wanted = measurements.source(scan, lookup.finished_run(session, scan, segmentation_id))
        stem = scan.stem
    return stem, dump_measurements(measurements.measure(resources(), wanted))
