"""/api/v1/scans/{id}: the planes of a stack, as pictures and as the voxels that a viewer cuts them from."""

from typing import Any

from flask import Response, request

from webapp.api.blueprints import BYTES, blueprint, head, png
from webapp.context import resources
from webapp.domain.scans import lookup, planes
from webapp.domain.scans.voxels import find_voxels, stream
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.planes import PlaneQuerySchema, VoxelQuerySchema

blp = blueprint("planes", "scans", "Axial, coronal and sagittal planes of a stack.")


@blp.get("/<hex_id:scan_id>/plane.png")
@blp.arguments(PlaneQuerySchema, location="query")
@blp.sends("image/png")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="wrong_state: one slice; not_ready: there is no result yet")
@blp.alt_response(422, schema=ErrorSchema)
@blp.doc(operationId="get_plane")
def plane(query: dict[str, Any], scan_id: str) -> Response:
    """One plane in square pixels, as fine as its finer axis; in mm where the spacing is known, else of cubes.

    The patient's left is at the right of axial and coronal planes, the nose at the left of sagittal ones, the top of
    the head above.
    """
    with resources().database.read() as session:
        wanted = planes.source(
            session,
            lookup.get(session, scan_id),
            axis=query["axis"],
            index=query.get("index"),
            layer=query["layer"],
            segmentation_id=query.get("segmentation"),
            channel=query.get("channel"),
            threshold=query.get("threshold"),
        )
    return png(lambda: planes.render(resources(), wanted), wanted.etag)


@blp.get("/<hex_id:scan_id>/voxels.bin")
@blp.arguments(VoxelQuerySchema, location="query")
@blp.sends(BYTES)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="wrong_state: no planes; not_ready: there is no result yet")
@blp.alt_response(422, schema=ErrorSchema)
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: a stored array is missing")
@blp.doc(operationId="get_voxels")
def voxels(query: dict[str, Any], scan_id: str) -> Response:
    """A stack's voxels, a byte each, row by row, slice by slice; `Voxels-Shape` says how many slices, rows and columns.

    Scan: one channel in gray; probability: round(255 p); truth: 0 or 255. Of a stack of more than 33,554,432 voxels
    each is the mean of so many as `Voxels-Reduction` says.
    """
    with resources().database.read() as session:
        wanted = find_voxels(
            session, lookup.get(session, scan_id), query["content"], query["channel"], query.get("segmentation")
        )
    if request.if_none_match.contains_weak(wanted.etag):
        response = Response(status=304, mimetype=BYTES)
    elif request.method == "HEAD":
        response = head(BYTES)
    else:
        is_packed = request.accept_encodings.quality("gzip") > 0
        chunks = stream(resources(), wanted, is_packed=is_packed)
        response = Response(chunks, mimetype=BYTES)
        if is_packed:
            response.content_encoding = "gzip"
    response.vary.add("Accept-Encoding")
    response.set_etag(wanted.etag, weak=True)
    response.headers["Voxels-Shape"] = ",".join(map(str, wanted.shape))
    response.headers["Voxels-Reduction"] = ",".join(map(str, wanted.factors))
    response.headers["Cache-Control"] = "private, no-cache"
    return response
