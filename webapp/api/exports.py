"""/api/v1/scans/{id}: a run as a DICOM object, for the archives and viewers that people have."""

from typing import Any

from flask import Response, request

from webapp import scan_reports
from webapp.api.blueprints import blueprint, head
from webapp.api.stored_files import written
from webapp.context import resources
from webapp.domain.exports import dicom_objects
from webapp.domain.exports.dicom_objects import Kind
from webapp.domain.scans import lookup
from webapp.downloads import file_names
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.segmentations import ObjectChoiceSchema, RunChoiceSchema

blp = blueprint("exports", "scans", "Results for archives and viewers.")
DICOM, PDF = "application/dicom", "application/pdf"


@blp.get(f"/<hex_id:scan_id>/<any({','.join(Kind)}):kind>.dcm")
@blp.arguments(ObjectChoiceSchema, location="query")
@blp.sends(DICOM)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(
    409,
    schema=ErrorSchema,
    description="not_ready; no_geometry: the scan is no DICOM series; not_assessed: the run has no verdict",
)
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable, decoder_unavailable, too_many_downloads")
@blp.doc(operationId="get_dicom_object")
def dicom_object(query: dict[str, Any], scan_id: str, kind: str) -> Response:
    """Of a DICOM series: `segmentation`, its mask as DICOM SEG; `measurements` as SR; `rtstruct`, its outlines.

    It refers to the instances that were uploaded, by their UIDs, and has the patient's pseudonym for a name. What puts
    the result in doubt stands in it.
    """
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
        row = lookup.finished_run(session, scan, query.get("segmentation"))
        wanted = dicom_objects.source(scan, row, unassessed=query["unassessed"])
    if request.method == "HEAD":
        return head(DICOM)
    return written(
        lambda path: dicom_objects.write_kept(resources(), wanted, Kind(kind), path), DICOM, f"{scan.stem}-{kind}.dcm"
    )


@blp.get("/<hex_id:scan_id>/report.pdf")
@blp.arguments(RunChoiceSchema, location="query")
@blp.sends(PDF)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no result yet")
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: a stored array is missing")
@blp.doc(operationId="get_report")
def report(query: dict[str, Any], scan_id: str) -> Response:
    """One or two pages: verdict with its doubt, key pictures, figures, lesions, the model's card, the disclaimer."""
    data, name = scan_reports.report_of(scan_id, query.get("segmentation"))
    response = Response(data, mimetype=PDF)
    response.headers.set("Content-Disposition", "attachment", **file_names(name))
    response.headers["Cache-Control"] = "no-store"
    return response
