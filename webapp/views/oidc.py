"""Logging in at an OpenID Connect provider: away to it, and back. Only with GLIOSCOPE_AUTH=oidc."""

from urllib.parse import quote, unquote

from flask import Blueprint, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from webapp import accounts, audit_trail
from webapp.context import cookie_name, resources
from webapp.domain.accounts import oidc
from webapp.domain.accounts.oidc import LoginRefused
from webapp.domain.accounts.throttle import WINDOW_S
from webapp.domain.errors import TooManyAttempts
from webapp.views.accounts import end_session, next_path, provider

bp = Blueprint("oidc", __name__)

COOKIE = "glioscope-login"
LONGEST_COOKIE = 2048


@bp.get("/login/oidc")
def start() -> Response:
    """To the provider, with a cookie that says who asked."""
    try:
        secret, url = oidc.start(resources().database, provider(), request.remote_addr or "", _redirect_uri())
    except LoginRefused as error:
        return _refused(error.status, error.reason, error.message)
    except TooManyAttempts as error:
        response = _refused(429, "too_many", error.message)
        response.headers["Retry-After"] = str(int(WINDOW_S))
        return response
    response = redirect(url, 303)
    value = f"{secret}.{quote(next_path(), safe='')}"
    if len(value) > LONGEST_COOKIE:
        value = f"{secret}."
    # Lax: the way back comes from another site, with which browsers send no Strict cookie.
    response.set_cookie(
        cookie_name(COOKIE), value, max_age=int(oidc.LIFE_S), secure=request.is_secure, httponly=True, samesite="Lax"
    )
    return response


@bp.get("/login/oidc/done")
def finish() -> Response:
    """Back from the provider: a new session, whatever the browser brought."""
    secret, _, wanted = request.cookies.get(cookie_name(COOKIE), "").partition(".")
    wanted = unquote(wanted)
    try:
        token, identity = oidc.finish(resources().database, provider(), secret, request.args.to_dict(), _redirect_uri())
    except LoginRefused as error:
        return _refused(error.status, error.reason, error.message)
    end_session()
    session[accounts.COOKIE_FIELD] = token
    accounts.identify_as(identity)
    audit_trail.record("login", "ok", by="oidc")
    # A redirect would still be part of a way that began at another site, and be sent without the new, Strict cookie.
    return _done(
        make_response(render_template("accounts/welcome.html", next=wanted if accounts.is_local_path(wanted) else "/"))
    )


def _refused(status: int, reason: str, message: str) -> Response:
    # Each costs the provider an answer, except where it was not asked.
    write = audit_trail.record_first if reason in ("too_many", "state") else audit_trail.record
    write("login", str(status), by="oidc", reason=reason)
    page = render_template("accounts/login.html", problem=message, next="/", is_oidc=True, name="")
    return _done(make_response(page, status))


def _done(response: Response) -> Response:
    response.delete_cookie(cookie_name(COOKIE), secure=request.is_secure, httponly=True, samesite="Lax")
    return response


def _redirect_uri() -> str:
    return url_for("oidc.finish", _external=True)
