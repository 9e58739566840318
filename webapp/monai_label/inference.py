"""What there is to segment with, sessions, and segmentations that are waited for."""

import json
import secrets
from pathlib import Path
from typing import Any

from flask import Response, jsonify, request

from webapp.context import resources
from webapp.departures import watch_for_departure
from webapp.domain.errors import InvalidInput, NotFound, NotReady
from webapp.domain.jobs.models import OPEN_STATUSES, Status
from webapp.domain.scans import doubts, images, lookup, segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.submission import RunOptions, submit_run
from webapp.monai_label.blueprint import bp, known_scan, parameters, take
from webapp.schemas.scans import dump_scan

LABELS = {"tumor": 1}
NO_LABELS = {"not_assessed": 1}
# An option of a model in 3D Slicer's plug-in: give what was marked in a scan without a verdict, too.
UNASSESSED = "unassessed"
DISCLAIMER = "Research use only. Not for diagnosis."
# A viewer's request waits for its answer; a volume of 180 slices takes half a minute on a laptop.
LONGEST_WAIT_S = 120.0
_WAIT_S = 30.0
# What 3D Slicer's plug-in and OHIF's extension ask for (`result_extension`).
_NRRD = ".nrrd"
OUTPUTS = ("image", "json", "all")


@bp.get("/info/")
def info() -> Response:
    """What there is: the models, and the one label that all of them give."""
    models = {name: _describe(name) for name in resources().catalog.names()}
    return jsonify(
        name="Glioscope",
        description=f"Brain tumor segmentation in MRI. {DISCLAIMER}",
        version="0.8.5",
        labels=list(LABELS),
        models=models,
        trainers={},
        strategies={},
        scoring={},
        train_stats={},
        datastore={},
    )


@bp.put("/session/")
def create_session() -> Response:
    """Take the image of a session, a NIfTI volume, a zip or the files of a DICOM series: a scan, whose id it gets."""
    scan_id = take("files")
    return jsonify(session_id=scan_id, session_info=_session(scan_id))


@bp.get("/session/<session_id>")
def show_session(session_id: str) -> Response:
    """A session that there is."""
    return jsonify(_session(known_scan(session_id)))


@bp.post("/infer/<model>")
def infer(model: str) -> Response:
    """Segment an image, a session's, or one that comes with the request, and answer when it is done."""
    output = request.args.get("output") or "all"
    if output not in OUTPUTS:
        raise InvalidInput(f"The output {output!r} is none of {', '.join(OUTPUTS)}.")
    if model not in resources().catalog.names():
        raise NotFound(f"There is no model of this name; the models are: {', '.join(resources().catalog.names())}.")
    image = request.args.get("session_id") or request.args.get("image") or take("file", model)
    scan, run = _finished(image, model)
    if parameters().get(UNASSESSED) is not True:
        doubts.check_assessed(scan, run)
    answer = _describe_run(scan, run)
    if output == "json":
        return jsonify(answer)
    data, name = _mask(scan, run, parameters())
    if output == "image":
        response = Response(data, mimetype=_media_type(name))
        response.headers.set("Content-Disposition", "attachment", filename=name)
        return response
    return _both(answer, data, name)


def _describe(name: str) -> dict[str, Any]:
    card = resources().catalog.card(name)
    return {
        "type": "segmentation",
        "labels": LABELS,
        "dimension": 3,
        "description": f"{card.title or name}. {DISCLAIMER}",
        "config": {UNASSESSED: False},
    }


def _session(scan_id: str) -> dict[str, Any]:
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
        return {"image": scan.id, "name": scan.filename, "creation_ts": int(scan.created_at.timestamp()), "expiry": 0}


def _finished(image: str, model: str) -> tuple[Scan, Segmentation]:
    """The scan and a succeeded run of the model, which is asked for where there is none.

    Raises NotFound, NotReady (it takes too long, or failed), TooManyWaiting.
    """
    scan_id = known_scan(image)
    run_id = _usable_run(scan_id, model) or submit_run(resources(), scan_id, RunOptions(model))
    is_abandoned = watch_for_departure()
    for _ in range(int(LONGEST_WAIT_S / _WAIT_S)):
        lookup.wait(resources(), scan_id, _WAIT_S, is_abandoned)
        with resources().database.read() as session:
            scan = lookup.get(session, scan_id)
            run = lookup.run(session, scan, run_id)
        if run is not None and run.status is Status.SUCCEEDED:
            return scan, run
        if run is None or run.status not in OPEN_STATUSES:
            raise NotReady(
                f"The segmentation ended as {run.status.value if run else 'deleted'}; the scan's page says why."
            )
        if is_abandoned():
            break
    raise NotReady(f"The segmentation takes longer than {LONGEST_WAIT_S:g} s; ask for it again.")


def _usable_run(scan_id: str, model: str) -> str | None:
    """The newest run of a model, as it is installed now, that has succeeded or may yet."""
    release = resources().catalog.card(model).release
    with resources().database.read() as session:
        runs = segmentations.runs(session, scan_id)
        usable = (*OPEN_STATUSES, Status.SUCCEEDED)
        of_model = (run for run in runs if (run.model, run.model_version) == (model, release))
        return next((run.id for run in of_model if run.status in usable), None)


def _describe_run(scan: Scan, run: Segmentation) -> dict[str, Any]:
    with resources().database.read() as session:
        stored = lookup.get(session, scan.id)
        shown = dump_scan(stored, lookup.run(session, stored, run.id))["segmentation"]
    names = ("id", "model", "threshold", "verdict", "coverage_percent", "volume_ml", "warnings")
    return {
        "label_names": LABELS if doubts.is_assessed(run) else NO_LABELS,
        "doubt": doubts.doubt_of(scan, run),
        "scan": scan.id,
        **{name: shown[name] for name in names},
        "segmentation": run.id,
        "notice": DISCLAIMER,
    }


def _mask(scan: Scan, run: Segmentation, params: dict[str, Any]) -> tuple[bytes, str]:
    """The mask on the file's own voxels: as NRRD where the viewer asks for that, packed unless it says no, else as
    NIfTI; of pictures as TIFF. uint8, whatever type it asks for."""
    path = resources().storage.temporary_file()
    try:
        if scan.geometry is None:
            images.write_masks(resources(), scan, run, path)
            return path.read_bytes(), "label.tif"
        if params.get("result_extension") == _NRRD:
            is_packed = params.get("result_compress") is not False
            images.write_mask_nrrd(resources(), scan, run, path, is_packed=is_packed)
            return path.read_bytes(), f"label{_NRRD}"
        images.write_volume(resources(), scan, run, "mask", path)
        return path.read_bytes(), "label.nii.gz"
    finally:
        path.unlink(missing_ok=True)


def _media_type(name: str) -> str:
    return {".tif": "image/tiff", _NRRD: "application/octet-stream"}.get(Path(name).suffix, "application/gzip")


def _both(answer: dict[str, Any], data: bytes, name: str) -> Response:
    """A multipart answer of `params` and `image`, as the protocol has it."""
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="params"\r\nContent-Type: application/json\r\n\r\n'
    middle = (
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        f"Content-Type: {_media_type(name)}\r\n\r\n"
    )
    body = head.encode() + json.dumps(answer).encode() + middle.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return Response(body, content_type=f"multipart/form-data; boundary={boundary}")
