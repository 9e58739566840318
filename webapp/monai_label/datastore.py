"""Images that a viewer stores under names of its own, and labels: a scan's expert's mask.

"Submit label" of 3D Slicer's plug-in sends the volume in view under its name first, and then the label for that name.
"""

import hashlib
import hmac
from typing import Any

from flask import Response, jsonify, request

from webapp.context import resources, uploaded_files
from webapp.domain.errors import InvalidInput
from webapp.domain.scans import viewer_images
from webapp.domain.scans.submission import submit_truth
from webapp.domain.scans.truth import Origin
from webapp.monai_label.blueprint import bp, known_scan, parameters, take

# What the plug-in of 3D Slicer says until somebody gives it a name (MONAILabel.py, `clientId`): it is everybody's.
_UNNAMED = ("", "user-xyz")


@bp.put("/datastore/")
@bp.put("/datastore/image")
def save_image() -> Response:
    """Take an image under a viewer's name for it: the scan that has the same bytes, else a new one."""
    scan_id = _stored_before() or take("file")
    if not (name := request.args.get("image", "")):
        return jsonify(image=scan_id, scan=scan_id)
    viewer_images.name(resources(), scan_id, name)
    return jsonify(image=name, scan=scan_id)


@bp.put("/datastore/label")
def save_label() -> Response:
    """Take a label as the expert's mask of a scan, in the place of none or of one that this viewer stored."""
    params = parameters()
    _check_one_segment(params.get("label_info"))
    scan_id = known_scan(request.args.get("image", ""))
    submit_truth(resources(), scan_id, uploaded_files("label"), origin=_origin(params.get("client_id")))
    return jsonify(image=request.args["image"], label=scan_id, scan=scan_id)


def _stored_before() -> str | None:
    """The scan of the very bytes of the request's file, so that a session's image is not in the history twice."""
    files = uploaded_files("file")
    if len(files) != 1:
        return None
    digest = hashlib.file_digest(files[0].stream, "sha256").hexdigest()  # type: ignore[arg-type]
    files[0].stream.seek(0)
    return viewer_images.of_content(resources(), digest)


def _check_one_segment(label_info: Any) -> None:
    """3D Slicer names the segments of a label: an expert's mask is one of tumor, and no sum of several."""
    if isinstance(label_info, list) and len(label_info) > 1:
        raise InvalidInput(
            f"The label has {len(label_info)} segments, and an expert's mask has one; keep the tumor's alone, then"
            " submit again."
        )


def _origin(client_id: Any) -> Origin:
    """Which viewer stores a label: by the id that its user gave it in the viewer's settings, else by its address.

    A digest of it is kept.
    """
    name = str(client_id or "")
    if name in _UNNAMED:
        key = resources().settings.secret_key.encode()
        digest = hmac.new(key, f"viewer at {request.remote_addr}".encode(), hashlib.sha256).hexdigest()[:16]
    else:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return Origin(f"viewer {digest}")
