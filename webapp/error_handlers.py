"""Every failure as one form: JSON for the API, a page for people. The table of codes is in docs/api.md."""

import logging
from http import HTTPStatus
from typing import Any, cast

from flask import Flask, Response, current_app, g, jsonify, render_template, request
from flask_wtf.csrf import CSRFError
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    RequestedRangeNotSatisfiable,
    RequestEntityTooLarge,
    SecurityError,
)

from webapp import unsaved_forms
from webapp.context import PROGRAMS, resources
from webapp.domain.errors import UPLOAD_ERRORS, DataLost, NotFound, PackedBody, PortalError, StorageFull
from webapp.domain.scans import lookup
from webapp.domain.scans.submission import AllRejected
from webapp.domain.storage.interface import FULL
from webapp.process.patient_socket import SlowClient

logger = logging.getLogger(__name__)

# Codes and sentences for what Flask itself refuses.
HTTP_ANSWERS = {
    400: ("bad_request", "The request cannot be read; send it as the documentation says."),
    403: (
        "forbidden",
        "This request comes from another site; open the portal itself. A proxy must pass on the Host header.",
    ),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take that method."),
    408: ("too_slow", "The bytes of the request came too slowly, or stopped; send it again."),
    409: ("conflict", "The state does not allow this."),
    413: ("too_large", "The request is larger than this portal takes; send less at once."),
    414: ("uri_too_long", "The address has more characters than the portal reads; ask for less at once."),
    415: ("unsupported", "The body must be JSON; send it with the header `Content-Type: application/json`."),
    416: ("range", "The bytes that the header `Range` asks for lie behind the file's end; ask for others."),
    422: ("invalid", "A value is not allowed."),
    429: ("too_many_requests", "Too many requests; wait a moment."),
    431: ("headers_too_large", "The request has more header lines or bytes than the portal reads; send fewer cookies."),
}
# What reading a body raises where the client went away, or sends chunks that are none.
BODY_FAULTS = (ConnectionError, NoMoreData, ParseException)
BODY_STATUSES = frozenset({400, 408, 413})
INTERNAL = ("internal", "Something failed on the server; its log has this request's id.")
# Of a program that has a wrong address: one with a slash at its end, say, or without the version.
NO_OBJECT = "The body must be one object of JSON: names and their values in { }."
NO_ADDRESS = "There is nothing at this address; /api/v1/docs lists what there is, and no address ends with a slash."
CSRF_MESSAGE = "This form is too old or not ours; open the page again and send it once more."
FORM_MESSAGE = "This address only takes what a form sends and shows nothing; go back to the page that has the form."
HOST_MESSAGE = "This portal does not answer under that host name; see GLIOSCOPE_ALLOWED_HOSTS."
RETRY_AFTER_S = 5
# What passes later than most.
RETRY_AFTER_S_OF = {"too_many_requests": 60, "too_many_scans": 600, "demo_full": 300}


def register(app: Flask) -> None:
    """Install the handlers."""
    app.register_error_handler(PortalError, _portal_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    for fault in BODY_FAULTS:
        app.register_error_handler(fault, _broken_body)
    app.register_error_handler(SlowClient, _slow_client)
    app.register_error_handler(OSError, _system_error)
    app.register_error_handler(Exception, _unexpected)


def error_table() -> list[dict[str, object]]:
    """Every code that the API answers, for its documentation: sorted by status."""
    rows = {code: (status, meaning) for status, (code, meaning) in HTTP_ANSWERS.items()}
    rows |= {kind.code: (kind.status, (kind.__doc__ or "").split("\n")[0]) for kind in PortalError.__subclasses__()}
    rows |= UPLOAD_ERRORS
    rows |= {"csrf": (400, CSRF_MESSAGE), "bad_host": (400, HOST_MESSAGE), INTERNAL[0]: (500, INTERNAL[1])}
    rows.pop(PortalError.code, None)
    return [
        {"code": code, "status": status, "meaning": meaning}
        for code, (status, meaning) in sorted(rows.items(), key=lambda row: (row[1][0], row[0]))
    ]


def wants_json() -> bool:
    """Whether a program asks."""
    return request.path.startswith(PROGRAMS)


def answer(status: int, code: str, message: str, **more: Any) -> Response:
    """The failure as JSON or as a page."""
    request_id = g.get("request_id", "")
    if wants_json():
        response = jsonify({"code": code, "message": message, "request_id": request_id, **more})
    else:
        title = HTTPStatus(status).phrase
        # A body that could not be read is not read again; what nobody's address takes may be a stranger's.
        sent = unsaved_forms.words() if request.endpoint is not None and status not in BODY_STATUSES else []
        page = render_template(
            "error.html", status=status, title=title, message=message, sent=sent, request_id=request_id
        )
        response = Response(page, mimetype="text/html")
    response.status_code = status
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_AFTER_S_OF.get(code, RETRY_AFTER_S))
    return response


def refusal(status: int, request_id: str) -> dict[str, str]:
    """The JSON of what is refused before a request is read."""
    code, message = HTTP_ANSWERS.get(status, HTTP_ANSWERS[400])
    return {"code": code, "message": message, "request_id": request_id}


def _portal_error(error: PortalError) -> Response:
    if isinstance(error, DataLost) and (gone := _is_gone()):
        error = gone
    more = {"rejected": [vars(item) for item in error.rejected]} if isinstance(error, AllRejected) else {}
    response = answer(error.status, error.code, error.message, **more)
    if isinstance(error, PackedBody):
        response.headers["Accept-Encoding"] = "identity"  # RFC 9110, section 12.5.3
    return response


def _is_gone() -> NotFound | None:
    """What is missing is missed because its scan was deleted while the request was under way; None where it was not."""
    scan_id = (request.view_args or {}).get("scan_id")
    if scan_id is None:
        return None
    try:
        with resources().database.read() as session:
            lookup.get(session, scan_id)
    except NotFound as error:
        return error
    except PortalError:
        return None
    return None


def _csrf_error(_error: CSRFError) -> Response:
    """Of a page that was opened before the last login, mostly: what was written in it is shown, to copy."""
    if wants_json():
        return answer(400, "csrf", CSRF_MESSAGE)
    return unsaved_forms.show(f"{CSRF_MESSAGE} Nothing of it was saved or done.", 400, is_over=False)


def _too_large() -> str:
    """What of the request was too much, as far as that is told: a body without a length is not read to its end."""
    most, length = request.max_content_length, request.content_length
    parts = f"more than {request.max_form_parts or 0:,} parts, or more text in its fields than is read"
    if most is None or (length and length <= most):
        return f"The request has {parts}; send less at once."
    if request.mimetype != "multipart/form-data":
        remedy = "send less at once"
    elif most == current_app.config["MAX_CONTENT_LENGTH"]:
        remedy = "send fewer files at once, or raise GLIOSCOPE_MAX_UPLOAD_MB, of which that is a multiple"
    else:
        remedy = "send a smaller archive, or raise GLIOSCOPE_MAX_ARCHIVE_MB"
    size = f"{most / 1e6:,.0f} MB" if most >= 2e6 else f"{most / 1e3:,.0f} kB"
    return f"The request is larger than {size}{'' if length else f', or has {parts}'}; {remedy}."


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if error.response is not None:
        return cast(Response, error.response)
    code, message = HTTP_ANSWERS.get(status, INTERNAL if status >= 500 else HTTP_ANSWERS[400])
    if isinstance(error, SecurityError):
        code, message = "bad_host", HOST_MESSAGE
    elif status == 404 and wants_json():
        message = NO_ADDRESS
    elif isinstance(error, RequestEntityTooLarge):
        message = _too_large()
    elif isinstance(error, MethodNotAllowed) and request.method == "GET" and not wants_json():
        message = FORM_MESSAGE
    # webargs and flask-smorest hang what is wrong with which field on the exception.
    details = getattr(error, "data", None) or {}
    if details.get("messages"):
        message = _sentence(details["messages"])
    response = answer(status, code, message)
    if isinstance(error, MethodNotAllowed):
        response.allow.update(error.valid_methods or ())
    elif isinstance(error, RequestedRangeNotSatisfiable):
        response.headers["Content-Range"] = f"{error.units} */{error.length}"
    return response


def _broken_body(_error: Exception) -> Response:
    return answer(400, *HTTP_ANSWERS[400])


def _slow_client(_error: SlowClient) -> Response:
    return answer(408, *HTTP_ANSWERS[408])


def _system_error(error: OSError) -> Response:
    """A request is read into temporary files, whose disk may be full too."""
    if error.errno in FULL:
        return answer(StorageFull.status, StorageFull.code, "The disk has no room left for this request.")
    return _unexpected(error)


def _unexpected(error: Exception) -> Response:
    logger.exception("request %s failed", g.get("request_id", ""), exc_info=error)
    return answer(500, *INTERNAL)


def _sentence(messages: Any, field: str = "") -> str:
    """webargs' nested messages as one sentence: `threshold: Not a valid number.`"""
    if isinstance(messages, dict):
        # Places of a list's values are numbers, and say less than the list's own name.
        return " ".join(
            _sentence(value, field if isinstance(key, int) else str(key)) for key, value in messages.items()
        )
    if isinstance(messages, list):
        text = " ".join(_sentence(value) for value in messages)
        if field == "_schema":  # marshmallow's name of the whole
            return NO_OBJECT if text == "Invalid input type." else text
        return f"{field}: {text}" if field and field not in ("json", "query", "form", "files") else text
    return str(messages)
