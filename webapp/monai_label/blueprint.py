"""What all routes of the protocol share: the switch, the parameters of a request, and which scan an image is."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, request

from webapp.context import resources, uploaded_files
from webapp.domain.database.orm import is_id
from webapp.domain.errors import InvalidInput, NotFound
from webapp.domain.scans import lookup, viewer_images
from webapp.domain.scans.grouping import Grouping
from webapp.domain.scans.submission import UploadOptions, submit
from webapp.security import csrf

bp = Blueprint("monai-label", __name__, url_prefix="/monai")
csrf.exempt(bp)

# Of Python's `tempfile`: eight characters (`_RandomNameSequence`).
_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}(\.[a-z0-9.]+)?")


@bp.before_request
def _refuse_where_it_is_off() -> None:
    if resources().settings.monai_label != "on":
        abort(404)


def parameters() -> dict[str, Any]:
    """What the request's form field `params` says, a JSON object. Raises InvalidInput."""
    try:
        params = json.loads(request.form.get("params") or "{}")
    except ValueError as error:
        raise InvalidInput("The field params is no JSON; send an object, or leave it out.") from error
    return params if isinstance(params, dict) else {}


def take(field: str, model: str | None = None) -> str:
    """Store what the request brings as a scan; its id. Raises what `submit` does, InvalidInput for several scans."""
    files = [replace(file, filename=_readable(file.filename)) for file in uploaded_files(field)]
    submitted = submit(resources(), files, UploadOptions(model, None, Grouping.AUTO))
    if len(submitted.scan_ids) != 1:
        raise InvalidInput(f"These are {len(submitted.scan_ids)} images, and a session has one; send one series alone.")
    return submitted.scan_ids[0]


def _readable(filename: str) -> str:
    """A name for the history; 3D Slicer's plug-in saves what is in view into a file of a name that says nothing."""
    ending = _TEMPORARY.fullmatch(filename)
    return f"3D Slicer, {datetime.now(UTC):%Y-%m-%d %H:%M:%S}{ending[1] or ''}" if ending else filename


def known_scan(image: str) -> str:
    """The id of an image's scan: the one that was sent under this name, or whose id it is.

    Raises NotFound, Conflict (several that nothing tells apart have the name).
    """
    named = viewer_images.scan_of(resources(), image) if image else None
    if named is not None:
        return named
    if not is_id(image):
        raise NotFound(
            "There is no such image: neither was one sent under this name, nor is it the id of a scan of the portal."
        )
    with resources().database.read() as session:
        return lookup.get(session, image).id
