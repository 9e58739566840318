"""What a view takes from Flask: the portal's services, and the files and numbers of the request."""

from typing import BinaryIO, cast

from flask import abort, current_app, request

from webapp.domain.resources import Resources
from webapp.domain.uploads.receiving import UploadedFile

EXTENSION = "resources"


def resources() -> Resources:
    """The services, opened by the factory."""
    return cast(Resources, current_app.extensions[EXTENSION])


def uploaded_files(field: str) -> list[UploadedFile]:
    """The files that the request sends in a form field."""
    return [UploadedFile(file.filename or "", cast(BinaryIO, file.stream)) for file in request.files.getlist(field)]


def form_threshold() -> float | None:
    """The threshold of a form, None where its field is empty. Ends the request with 422 where it is no number."""
    text = request.form.get("threshold", "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        abort(422)
