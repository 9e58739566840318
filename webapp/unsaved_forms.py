"""Forms that end in an error, or came too late for their login: what was written is shown, to copy.

It keeps nothing, and must not be asked for a body of a stranger: that is for who calls it to see.
"""

import re
from contextlib import suppress

from flask import Response, current_app, g, make_response, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

LONGEST_SHOWN_BYTES = 131_072
FORM = "application/x-www-form-urlencoded"
NEVER_SHOWN = frozenset({"csrf_token", "password", "old", "new", "again", "code", "next", "confirmed", "revision"})
_HEX_ID = re.compile("[0-9a-f]{32}")


def show(problem: str, status: int, *, is_over: bool) -> Response:
    """The page of a form of which nothing was done. is_over: the login is, else there is another one."""
    page = render_template(
        "accounts/not_saved.html",
        problem=problem,
        sent=words(),
        page=_page_of_form(),
        is_over=is_over,
        request_id=g.get("request_id", ""),
    )
    return make_response(page, status)


def words() -> list[tuple[str, str]]:
    """What was written in the form of this request, by its fields: without files, passwords and what is long."""
    if not 0 < (request.content_length or 0) <= LONGEST_SHOWN_BYTES or request.mimetype != FORM:
        return []
    return [
        (name.replace("_", " "), text)
        for name, text in request.form.items()
        if text.strip() and name not in NEVER_SHOWN and not name.startswith("read_") and not _HEX_ID.fullmatch(text)
    ]


def _page_of_form() -> str:
    """The page that the form stood on, as far as its address tells; the portal's else."""
    if request.endpoint == "studies.change":
        return url_for("scans.index", study=(request.view_args or {})["study_id"])
    addresses = current_app.url_map.bind_to_environ(request.environ)
    path = request.path
    while path:
        with suppress(HTTPException, RequestRedirect):
            addresses.match(path, method="GET")
            return path
        path = path.rpartition("/")[0]
    return "/"
