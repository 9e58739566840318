"""/api/v1/scans: upload, list, read, wait, pictures, run again, delete."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from flask import Response, request
from flask.views import MethodView

from webapp import downloads
from webapp.api.blueprints import BYTES, blueprint, head, png, thumbnail
from webapp.api.stored_files import Content, attachment, written
from webapp.context import resources, uploaded_files
from webapp.departures import watch_for_departure
from webapp.domain.errors import NotFound
from webapp.domain.scans import (
    agreement,
    gathering,
    history,
    images,
    joining,
    lookup,
    segmentations,
    spacing,
    splitting,
    studies,
    truth,
)
from webapp.domain.scans.history import HistoryFilter
from webapp.domain.scans.submission import RunOptions, UploadOptions, submit, submit_run, submit_truth
from webapp.domain.storage.keys import original_key
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.fields import dump
from webapp.schemas.history_filters import HistoryQuerySchema, HistoryTableQuerySchema
from webapp.schemas.idempotency import IdempotencyHeaderSchema
from webapp.schemas.scan_requests import (
    ImageQuerySchema,
    ScanChangeSchema,
    ScanQuerySchema,
    SelectionSchema,
    StackSchema,
    ThumbnailQuerySchema,
)
from webapp.schemas.scans import AdmittedSchema, ScanDetailSchema, ScanPageSchema, ScanSchema, dump_scan
from webapp.schemas.segmentations import RunChoiceSchema, RunSchema, SegmentationListSchema, SegmentationSchema
from webapp.schemas.truth import dump_agreement
from webapp.schemas.uploads import TRUTH_BODY, UPLOAD_BODY, TruthFormSchema, UploadFormSchema

blp = blueprint("scans", "scans", "Upload scans, read their results, find them again.")


@blp.route("")
class ScanCollection(MethodView):
    """All scans."""

    @blp.doc(operationId="upload_scans", requestBody=UPLOAD_BODY)
    @blp.arguments(IdempotencyHeaderSchema, location="headers")
    @blp.answers(202, AdmittedSchema)
    @blp.alt_response(413, schema=ErrorSchema, description="too large, or too many files")
    @blp.alt_response(415, schema=ErrorSchema, description="not an image that is read here")
    @blp.alt_response(422, schema=ErrorSchema, description="unreadable, or over a limit")
    @blp.alt_response(503, schema=ErrorSchema, description="too many uploads wait; again after Retry-After seconds")
    @blp.alt_response(507, schema=ErrorSchema, description="no room left")
    def post(self, headers: dict[str, Any]) -> dict[str, Any]:
        """Upload one or more scans; each is segmented as soon as a worker is free."""
        form = blp.ARGUMENTS_PARSER.parse(UploadFormSchema(), request, location="form")
        options = UploadOptions(**{name: value for name, value in form.items() if name != "file"})
        submitted = submit(resources(), uploaded_files("file"), options, headers.get("idempotency_key"))
        return {
            "scans": _those_left(submitted.scan_ids),
            "rejected": [vars(item) for item in submitted.rejected],
        }

    @blp.arguments(HistoryQuerySchema, location="query")
    @blp.answers(200, ScanPageSchema)
    @blp.alt_response(422, schema=ErrorSchema)
    @blp.doc(operationId="list_scans")
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """The history: filtered, sorted, page by page."""
        with resources().database.read() as session:
            return dump(ScanPageSchema, history.page(session, HistoryFilter(**query)))


@blp.route("/<hex_id:scan_id>")
class ScanItem(MethodView):
    """One scan."""

    @blp.arguments(ScanQuerySchema, location="query")
    @blp.answers(200, ScanDetailSchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.alt_response(503, schema=ErrorSchema, description="too_many_waiting: ask again after Retry-After seconds")
    @blp.doc(operationId="get_scan")
    def get(self, query: dict[str, Any], scan_id: str) -> dict[str, Any]:
        """A scan and its result; with `wait` as soon as there is one."""
        if query["wait"] > 0:
            lookup.wait(resources(), scan_id, query["wait"], watch_for_departure())
        return _detail(scan_id, query.get("segmentation"))

    @blp.arguments(ScanChangeSchema)
    @blp.answers(200, ScanSchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.alt_response(409, schema=ErrorSchema, description="wrong_state: the scan's file states its spacing")
    @blp.alt_response(415, schema=ErrorSchema, description="a body that is not JSON")
    @blp.alt_response(422, schema=ErrorSchema)
    @blp.doc(operationId="change_scan")
    def patch(self, body: dict[str, Any], scan_id: str) -> dict[str, Any]:
        """Move a scan to another study, or out of its study, which is gone with its last scan; enter the distances of
        its pixels and slices, or take them away."""
        if "spacing_mm" in body:
            spacing.enter(resources(), scan_id, body["spacing_mm"])
        if "study" in body:
            studies.move(resources(), scan_id, body["study"])
        with resources().database.read() as session:
            return dump_scan(lookup.get(session, scan_id))

    @blp.response(204)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.doc(operationId="delete_scan")
    def delete(self, scan_id: str) -> None:
        """Delete a scan with every trace of it, and the scans that were joined of it. This is final."""
        lookup.delete(resources(), scan_id)


@blp.post("/<hex_id:scan_id>/split")
@blp.arguments(IdempotencyHeaderSchema, location="headers")
@blp.answers(202, AdmittedSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="wrong_state: the scan is one file")
@blp.alt_response(422, schema=ErrorSchema, description="a file that is not read any more")
@blp.alt_response(503, schema=ErrorSchema, description="decoder_unavailable, or storage_unavailable")
@blp.alt_response(507, schema=ErrorSchema, description="no room left")
@blp.doc(operationId="split_stack")
def split(headers: dict[str, Any], scan_id: str) -> dict[str, Any]:
    """Make a scan of each file of a stack; the stack with its runs is gone then."""
    made = splitting.split(resources(), scan_id, headers.get("idempotency_key"))
    return {"scans": _those_left(made), "rejected": []}


@blp.post("/stack")
@blp.arguments(StackSchema)
@blp.arguments(IdempotencyHeaderSchema, location="headers")
@blp.answers(202, ScanSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="wrong_state: they are no single pictures of one size")
@blp.alt_response(415, schema=ErrorSchema, description="a body that is not JSON")
@blp.alt_response(422, schema=ErrorSchema)
@blp.alt_response(503, schema=ErrorSchema, description="decoder_unavailable, or storage_unavailable")
@blp.alt_response(507, schema=ErrorSchema, description="no room left")
@blp.doc(operationId="stack_scans")
def stack(body: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    """Make one stack of single pictures; they, with their runs, are gone then."""
    made = gathering.gather(resources(), body["scans"], headers.get("idempotency_key"))
    with resources().database.read() as session:
        return dump_scan(lookup.get(session, made))


@blp.route("/<hex_id:scan_id>/truth")
class ScanTruth(MethodView):
    """An expert's mask of a scan."""

    @blp.doc(operationId="set_truth", requestBody=TRUTH_BODY)
    @blp.arguments(IdempotencyHeaderSchema, location="headers")
    @blp.answers(200, ScanDetailSchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.alt_response(413, schema=ErrorSchema, description="too large, or too many files")
    @blp.alt_response(415, schema=ErrorSchema, description="not an image that is read here")
    @blp.alt_response(422, schema=ErrorSchema, description="unreadable, or of another size than the scan")
    @blp.alt_response(503, schema=ErrorSchema, description="decoder_unavailable, or storage_unavailable")
    @blp.alt_response(507, schema=ErrorSchema, description="no room left")
    def put(self, headers: dict[str, Any], scan_id: str) -> dict[str, Any]:
        """Set the expert's mask, in the place of an earlier one: all of its files, or none."""
        regions = blp.ARGUMENTS_PARSER.parse(TruthFormSchema(), request, location="form")["region"]
        key = headers.get("idempotency_key")
        submit_truth(resources(), scan_id, uploaded_files("file"), key, regions=regions)
        return _detail(scan_id)

    @blp.response(204)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.doc(operationId="delete_truth")
    def delete(self, scan_id: str) -> None:
        """Take the expert's mask away; the scan and its runs stay."""
        truth.remove(resources(), scan_id)


def _detail(scan_id: str, segmentation_id: str | None = None) -> dict[str, Any]:
    """A scan with one of its runs, and the agreement of that with the expert's mask."""
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
        row = lookup.run(session, scan, segmentation_id)
        described = dump_scan(scan, row)
    return {**described, "agreement": dump_agreement(agreement.measure(resources(), scan, row))}


@blp.route("/<hex_id:scan_id>/segmentations")
class ScanSegmentations(MethodView):
    """The runs of a scan."""

    @blp.answers(200, SegmentationListSchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.doc(operationId="list_segmentations")
    def get(self, scan_id: str) -> dict[str, Any]:
        """All runs, newest first."""
        with resources().database.read() as session:
            lookup.get(session, scan_id)
            return dump(SegmentationListSchema, {"segmentations": segmentations.runs(session, scan_id)})

    @blp.arguments(RunSchema, is_required=False)
    @blp.arguments(IdempotencyHeaderSchema, location="headers")
    @blp.answers(202, SegmentationSchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.alt_response(415, schema=ErrorSchema, description="a body that is not JSON")
    @blp.alt_response(422, schema=ErrorSchema)
    @blp.doc(operationId="run_again")
    def post(self, body: dict[str, Any], headers: dict[str, Any], scan_id: str) -> dict[str, Any]:
        """Run again with another model, or save another threshold of the stored map."""
        options = RunOptions(**body)
        segmentation_id = submit_run(resources(), scan_id, options, headers.get("idempotency_key"))
        with resources().database.read() as session:
            return dump(SegmentationSchema, lookup.segmentation(session, segmentation_id))


@blp.get(f"/<hex_id:scan_id>/<any({','.join((*images.KINDS, *images.OF_TRUTH))}):kind>.png")
@blp.arguments(ImageQuerySchema, location="query")
@blp.sends("image/png")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no result yet")
@blp.doc(operationId="get_picture")
def picture(query: dict[str, Any], scan_id: str, kind: str) -> Response:
    """One picture of one slice, in the scan's grid: mask and the expert's truth, 0 or 255; probability, round(255 p);
    errors: red missed, green extra, yellow correct."""
    with resources().database.read() as session:
        wanted = images.source(
            session,
            lookup.get(session, scan_id),
            kind=kind,
            slice_index=query.get("slice"),
            segmentation_id=query.get("segmentation"),
            channel=query.get("channel"),
            palette=query["palette"],
        )
    return png(lambda: images.render(resources(), wanted, kind), wanted.etag)


@blp.get("/<hex_id:scan_id>/thumbnail.jpg")
@blp.arguments(ThumbnailQuerySchema, location="query")
@blp.sends("image/jpeg")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no result yet")
@blp.doc(operationId="get_thumbnail")
def small_picture(query: dict[str, Any], scan_id: str) -> Response:
    """The thumbnail for lists: a JPEG of one of two sizes; with `segmentation` a browser keeps it for half an hour."""
    run_id = query.get("segmentation")
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
        wanted = images.source(session, scan, kind="thumbnail", slice_index=None, segmentation_id=run_id)
    render = partial(images.render_thumbnail, resources(), wanted, query["side"])
    return thumbnail(render, f"{wanted.etag}.{query['side']}.jpg", is_final=run_id is not None)


@blp.get("/<hex_id:scan_id>/download.zip")
@blp.arguments(RunChoiceSchema, location="query")
@blp.sends("application/zip")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no result yet")
@blp.alt_response(503, schema=ErrorSchema, description="too_many_downloads, or storage_unavailable")
@blp.doc(operationId="download_scan")
def download(query: dict[str, Any], scan_id: str) -> Response:
    """Every picture of every slice, mask and probability map, and the result as JSON."""
    return downloads.zip_of_scan(scan_id, query.get("segmentation"))


@blp.post("/download.zip")
@blp.arguments(SelectionSchema)
@blp.sends("application/zip")
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: none of them has a result")
@blp.alt_response(415, schema=ErrorSchema, description="a body that is not JSON")
@blp.alt_response(422, schema=ErrorSchema)
@blp.alt_response(503, schema=ErrorSchema, description="too_many_downloads")
@blp.doc(operationId="download_scans")
def download_several(body: dict[str, Any]) -> Response:
    """Several scans in one zip: all of each, or its masks alone; `left_out.txt` in it names those without a result."""
    return downloads.zip_of_scans(body["scans"], body["content"], "scans")


@blp.get("/history.csv")
@blp.arguments(HistoryTableQuerySchema, location="query")
@blp.sends("text/csv")
@blp.alt_response(422, schema=ErrorSchema)
@blp.alt_response(503, schema=ErrorSchema, description="too_many_downloads")
@blp.doc(operationId="get_history")
def history_table(query: dict[str, Any]) -> Response:
    """The history, filtered and sorted, as a table with a row a scan."""
    has_mark = query.pop("bom")
    return downloads.history_table(HistoryFilter(**query), has_mark=has_mark)


@blp.get("/<hex_id:scan_id>/mask.tif")
@blp.arguments(RunChoiceSchema, location="query")
@blp.sends("image/tiff")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no result yet")
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: a stored array is missing")
@blp.doc(operationId="get_masks")
def masks(query: dict[str, Any], scan_id: str) -> Response:
    """The masks of all slices, 0 or 255, as one TIFF with a page a slice, in the scan's own grid."""
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
        row = lookup.finished_run(session, scan, query.get("segmentation"))
    if request.method == "HEAD":
        return head("image/tiff")
    return written(lambda path: images.write_masks(resources(), scan, row, path), "image/tiff", f"{scan.stem}-mask.tif")


@blp.get(f"/<hex_id:scan_id>/<any({','.join(images.VOLUMES)}):kind>.nii.gz")
@blp.arguments(RunChoiceSchema, location="query")
@blp.sends("application/gzip")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready, or no_geometry: the file states no position")
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: a stored array is missing")
@blp.doc(operationId="get_volume")
def volume(query: dict[str, Any], scan_id: str, kind: str) -> Response:
    """The whole volume as NIfTI, on the voxels of its file: mask (0 or 1), probability (0 to 1), scan (8 bits)."""
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
        images.check_geometry(scan)
        row = lookup.finished_run(session, scan, query.get("segmentation"))
    if request.method == "HEAD":
        return head("application/gzip")
    return written(
        lambda path: images.write_volume(resources(), scan, row, kind, path),
        "application/gzip",
        f"{scan.stem}-{kind}.nii.gz",
    )


@blp.get("/<hex_id:scan_id>/original")
@blp.sends(BYTES, in_parts=True)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: its file is missing")
@blp.doc(operationId="get_original")
def original(scan_id: str) -> Response:
    """The uploaded bytes, always as an attachment; of a stack of files, and of a joined scan, a zip of them."""
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
    missing = "The original file is missing; restore it, or delete the scan."
    is_zip = scan.slice_names is not None or scan.format in ("dicom", joining.FORMAT)
    name = f"{scan.stem}.zip" if is_zip else scan.filename
    return attachment(original_key(scan_id), BYTES, name, missing, content=Content(scan.bytes, scan.sha256))


def _those_left(scan_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The scans that a request made: an Idempotency-Key gives its first answer again, less what is deleted since."""
    found = []
    with resources().database.read() as session:
        for scan_id in scan_ids:
            try:
                found.append(dump_scan(lookup.get(session, scan_id)))
            except NotFound:
                continue
    return found
