"""What a view takes from Flask: the portal's services, and the files and numbers of the request."""

import hmac
from typing import BinaryIO, cast

from flask import abort, current_app, request
from werkzeug.exceptions import HTTPException

from webapp.domain.resources import Resources
from webapp.domain.stages import Stage
from webapp.domain.uploads.receiving import UploadedFile

EXTENSION = "resources"
# A function of an endpoint and a method: whether who asks may. Without one everybody may.
ACCESS = "access"
# What programs ask, and tokens open, by path: failures are answered as JSON there, and nobody is led to a form.
PROGRAMS = ("/api/", "/monai/")
# Methods that change nothing.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def resources() -> Resources:
    """The services, opened by the factory."""
    return cast(Resources, current_app.extensions[EXTENSION])


def cookie_name(use: str) -> str:
    """The name of a cookie of this portal's: browsers keep cookies by host, whatever the port, so another portal on it
    has other names. Over TLS browsers refuse one of that name that another host or plain HTTP set."""
    name = f"{use}-{hmac.digest(resources().settings.secret_key.encode(), use.encode(), 'sha256').hex()[:8]}"
    return f"__Host-{name}" if request.is_secure else name


def may(path: str, method: str = "POST") -> bool:
    """Whether who asks may send this request, by the very rule that answers it; False where there is no such route."""
    is_allowed = current_app.extensions.get(ACCESS)
    if is_allowed is None:
        return True
    try:
        endpoint, _ = current_app.url_map.bind("").match(path.partition("?")[0], method)
    except HTTPException:
        return False
    return bool(is_allowed(endpoint, method))


def uploaded_files(field: str) -> list[UploadedFile]:
    """The files that the request sends in a form field."""
    with resources().stages.timed(Stage.RECEIVE):  # the body is read when it is first asked for
        sent = request.files.getlist(field)
    return [UploadedFile(file.filename or "", cast(BinaryIO, file.stream)) for file in sent]


def form_threshold() -> float | None:
    """The threshold of a form, None where its field is empty. Ends the request with 422 where it is no number."""
    text = request.form.get("threshold", "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        abort(422)
