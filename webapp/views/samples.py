"""Synthetic phantoms to try the portal with."""

import io

from flask import Blueprint, abort, redirect, url_for
from werkzeug.wrappers import Response

from ml.synthetic import phantoms
from webapp.context import resources
from webapp.domain.scans import admission
from webapp.domain.uploads import receiving

bp = Blueprint("samples", __name__)


@bp.post("/samples/<name>")
def segment(name: str) -> Response:
    """Render a phantom and take it like any upload."""
    if name not in {phantom.name for phantom in phantoms.PHANTOMS}:
        abort(404)
    data = phantoms.render(name)
    # Little-endian and big-endian TIFF; every other phantom is a PNG.
    ending = "tif" if data[:2] in (b"II", b"MM") else "png"
    with receiving.received(resources(), io.BytesIO(data), f"phantom-{name}.{ending}") as upload:
        accepted = admission.admit(resources(), upload, model=None, threshold=None, origin="phantom")
    return redirect(url_for("scans.show", scan_id=accepted.scan_id), 303)
