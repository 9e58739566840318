"""What requests leave in the audit log: a line for each view, download, change and refusal, with users and without.

A change's line is written in the change's own transaction: neither is there without the other. All else has a
transaction of its own, once the answer is known.

Without users (GLIOSCOPE_AUTH=local) who asks is the implicit local user. Never in a public demonstration.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from cachetools import TTLCache
from flask import Flask, Response, g, request, session
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from webapp import accounts
from webapp.context import SAFE_METHODS, resources
from webapp.domain.accounts import audit, sessions
from webapp.domain.accounts.audit import Event
from webapp.domain.database import changes, ownership
from webapp.domain.database.changes import Changed
from webapp.domain.errors import PortalError
from webapp.error_handlers import BODY_FAULTS
from webapp.process.patient_socket import SlowClient

logger = logging.getLogger(__name__)

_DOWNLOADS = re.compile(r"\.(zip|tif|gz|csv|json|bin|html|pdf|dcm)$|/original$")
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
# Downloads of what has no one id.
TABLES = frozenset({"api-scans.history_table"})
MOST_IDS = 200
# A page, its pictures and what asks how far its job is are one view, until nobody asked for as long as ends a session.
VIEWED_FOR_S = sessions.IDLE_S
viewed: TTLCache[tuple[str, ...], bool] = TTLCache(10_000, VIEWED_FOR_S)
# The cache is not made for several threads.
_lock = threading.Lock()


def record(
    action: str, outcome: str, object_id: str | None = None, *, waits_for_disk: bool = True, **details: Any
) -> bool:
    """Append a line about this request. A log that cannot be written is said in the server's own log: False."""
    g.is_recorded = True
    event = Event(action, outcome, _user_id(), request.remote_addr or "", object_id, details or None)
    try:
        audit.record(resources().database, event, waits_for_disk=waits_for_disk)
    except PortalError:
        logger.exception("request %s: its line of the audit log is lost: %s %s", g.get("request_id"), action, outcome)
        return False
    return True


def record_first(action: str, outcome: str, **details: Any) -> None:
    """Append a line of what strangers may do as often as they like: once an address, until it is quiet for a while."""
    g.is_recorded = True
    if _is_first(("", request.remote_addr or "", action, outcome)):
        record(action, outcome, **details)


def name_change(action: str) -> None:
    """What the line of this request's change calls it, before it is made."""
    g.change = action


class ChangeLines:
    """The lines of one request's changes: the first has each id that was sent, a later one those of what else was made.

    Its outcome is `ok`: what the request is answered is not known yet.
    """

    def __init__(self) -> None:
        # Whether something was changed, and its line is kept.
        self.is_written = False
        self._named: set[str] = set()

    def append(self, session: Session, changed: Changed) -> Callable[[], None] | None:
        """A `changes.Witness`. Raises DatabaseUnavailable: a change whose line cannot be written is not made."""
        who, object_id = _user_id(), _object_id()
        made = changed.ids or (changed.parts if not self.is_written else [])
        sent = [] if self.is_written else sorted(_ids_sent())
        # The last one first: a scan before the study that was made for it.
        ids = [id_ for id_ in dict.fromkeys([*reversed(made), *sent]) if id_ not in {*self._named, object_id}]
        if who is None or (self.is_written and not ids):
            return None
        action = g.get("change") or f"{request.method} {request.endpoint}"
        details = _details(ids)
        audit.append(session, Event(action, "ok", who, request.remote_addr or "", object_id, details or None))

        def keep() -> None:
            self.is_written = True
            self._named.update(ids)

        return keep


def attend() -> None:
    """Before every request: one that may change something has its line written with the change."""
    changes.tell(None)
    if request.method not in SAFE_METHODS and request.endpoint is not None and request.endpoint not in accounts.PUBLIC:
        g.change_lines = ChangeLines()
        changes.tell(g.change_lines.append)


def write(response: Response) -> Response:
    """After every request: views, downloads, denials, and what a request was answered that changed nothing, once
    each."""
    endpoint = request.endpoint
    if endpoint in accounts.PUBLIC or g.get("is_recorded") or request.method == "OPTIONS":
        return response
    lines: ChangeLines | None = g.get("change_lines")
    if lines is not None and lines.is_written and response.status_code < 400:
        return response
    object_id = _object_id()
    is_denied = response.status_code in (401, 403, 404)
    is_read = request.method in SAFE_METHODS
    if endpoint is None or (is_read and object_id is None and not is_denied and endpoint not in TABLES):
        return response
    action, is_known = f"{request.method} {endpoint}", _user_id() is not None
    # Views and refusals come in crowds: pictures of a page, a program that asks without a token. Nor may strangers,
    # whom the portal refuses whatever they send, fill the disk with lines.
    view = None
    if not is_known or (is_read and not (_DOWNLOADS.search(request.path) and response.status_code < 300)):
        view = (*_session(), str(object_id) if is_known else action, str(response.status_code))
        if not _is_first(view):
            return response
    ids: list[str] = []
    if is_known and response.status_code not in (401, 403, 413):  # a refused body is not read
        ids = sorted({*_ids_sent(), *_ids_answered(response)} - {object_id})
    details = _details(ids)
    # A page does not wait for the disk: in a power cut the views of its last moment may be lost.
    is_written = record(
        action, str(response.status_code), object_id if is_known else None, waits_for_disk=view is None, **details
    )
    if view is not None and not is_written:
        with _lock:
            viewed.pop(view, None)  # the next one tries again
    return response


def register(app: Flask) -> None:
    """Write a line with each change, and after each other request that calls for one."""
    app.before_request(attend)
    app.teardown_request(lambda _error: changes.tell(None))
    app.after_request(write)


def _user_id() -> str | None:
    """Who asks; None where nobody is logged in."""
    if resources().settings.auth == "local":
        return ownership.LOCAL
    identity = accounts.current()
    return identity.user_id if identity is not None else None


def _object_id() -> str | None:
    """The first id of the address."""
    values = dict(request.view_args or {}).values()
    return next((str(value) for value in values if _ID.fullmatch(str(value))), None)


def _details(ids: list[str]) -> dict[str, Any]:
    details: dict[str, Any] = {"ids": ids[:MOST_IDS]} if ids else {}
    identity = accounts.current()
    return {**details, "by": "token"} if identity is not None and identity.is_token else details


def _session() -> tuple[str, str]:
    """Who asks, and in which browser or by which way; of nobody the address."""
    who = _user_id()
    if who is None:
        return "", request.remote_addr or ""
    if who == ownership.LOCAL:
        return who, ""
    return who, accounts.bearer() or str(session.get(accounts.COOKIE_FIELD, ""))


def _is_first(view: tuple[str, ...]) -> bool:
    with _lock:
        is_first = view not in viewed
        viewed[view] = True
    return is_first


def _ids_sent() -> Iterable[str]:
    """Those of a body that the view has read: what it left is an upload that was refused, or ended early."""
    if request.method in SAFE_METHODS:
        return ()
    if request.is_json:
        try:
            return _ID.findall(request.get_data(as_text=True)[:100_000])
        except (HTTPException, SlowClient, OSError, *BODY_FAULTS):
            return ()
    # An upload's own text is a patient's, and is not looked at.
    form: MultiDict[str, str] = vars(request).get("form", MultiDict())
    return (value for values in form.listvalues() for value in values if _ID.fullmatch(value))


def _ids_answered(response: Response) -> Iterable[str]:
    """The ids of what a change made."""
    if request.method in SAFE_METHODS or response.status_code >= 400:
        return ()
    if response.is_json:
        answer = response.get_json(silent=True)
        made = answer.get("scans", [answer]) if isinstance(answer, dict) else []
        return [str(item["id"]) for item in made if isinstance(item, dict) and _ID.fullmatch(str(item.get("id")))]
    return _ID.findall(response.headers.get("Location", ""))
