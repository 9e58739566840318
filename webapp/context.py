"""What a view takes from Flask: the portal's services, and the files of the request."""

from typing import BinaryIO, cast

from flask import current_app, request

from webapp.domain.resources import Resources
from webapp.domain.uploads.receiving import UploadedFile

EXTENSION = "resources"


def resources() -> Resources:
    """The services, opened by the factory."""
    return cast(Resources, current_app.extensions[EXTENSION])


def uploaded_files(field: str) -> list[UploadedFile]:
    """The files that the request sends in a form field."""
    return [UploadedFile(file.filename or "", cast(BinaryIO, file.stream)) for file in request.files.getlist(field)]
