"""Logging in and out, and what users do about themselves: their password and their API tokens."""

from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from webapp import accounts, audit_trail
from webapp.context import resources
from webapp.domain.accounts import logins, oidc, passwords, second_factor, sessions, tokens, users
from webapp.domain.accounts.identity import Identity, Scope
from webapp.domain.accounts.logins import Half, Login, WrongPassword
from webapp.domain.accounts.models import Role
from webapp.domain.accounts.oidc import Provider
from webapp.domain.accounts.second_factor import Factor, WrongCode
from webapp.domain.accounts.throttle import WINDOW_S
from webapp.domain.errors import InvalidInput, NotFound, NotLoggedIn, PortalError, TooManyAttempts

bp = Blueprint("accounts", __name__)

# Of the cookie: a login that waits for a code.
HALF_FIELD = "half"
WRONG_CODE = "The code is wrong, or was used already. A new one comes every 30 seconds."


@bp.get("/login")
def login() -> str | Response:
    """The form; who is logged in already goes on."""
    if accounts.current() is not None:
        return redirect(next_path(), 303)
    return render_template("accounts/login.html", name="", problem="", next=next_path(), is_oidc=_is_oidc())


@bp.post("/login")
def log_in() -> Response:
    """Log in, in a new session whatever the browser brought."""
    refuse_without_passwords()
    name, password = request.form.get("name", ""), request.form.get("password", "")
    try:
        begun = logins.log_in(resources().database, name, password, request.remote_addr or "")
    except WrongPassword as error:
        audit_trail.record("login", "401", **_of(error.user_id))
        page = render_template(
            "accounts/login.html",
            name=name,
            problem="The name or the password is wrong.",
            next=next_path(),
            is_oidc=False,
        )
        return make_response(page, 401)
    except TooManyAttempts as error:
        audit_trail.record_first("login", "429")
        response = make_response(
            render_template("accounts/login.html", name=name, problem=error.message, next=next_path(), is_oidc=False),
            429,
        )
        response.headers["Retry-After"] = str(int(WINDOW_S))
        return response
    end_session()
    if isinstance(begun, Half):
        session[HALF_FIELD] = begun.token
        audit_trail.record("login.password", "ok", of=begun.user_id)
        return redirect(url_for("accounts.ask_code", next=request.form.get("next")), 303)
    return _begin_session(begun)


@bp.get("/login/code")
def ask_code() -> str | Response:
    """The second half of a login: the form for a code."""
    if logins.awaited(resources().database, session.get(HALF_FIELD, "")) is None:
        return redirect(url_for("accounts.login"), 303)
    return render_template("accounts/code.html", problem="", next=next_path())


@bp.post("/login/code")
def take_code() -> Response:
    """End a login with a code of the authenticator, or with a recovery code."""
    found = resources()
    half, code = session.get(HALF_FIELD, ""), request.form.get("code", "")
    try:
        login = logins.finish(found.database, found.settings.secret_key, half, code, request.remote_addr or "")
    except NotLoggedIn as error:
        session.pop(HALF_FIELD, None)
        flash(error.message, "warn")
        return redirect(url_for("accounts.login", next=request.form.get("next")), 303)
    except WrongCode:
        audit_trail.record("login", "401", by="code", **_of_half(half))
        page = render_template("accounts/code.html", problem=WRONG_CODE, next=next_path())
        return make_response(page, 401)
    except TooManyAttempts as error:
        audit_trail.record_first("login", "429", by="code")
        response = make_response(
            render_template("accounts/code.html", problem=error.message, next=next_path()), error.status
        )
        response.headers["Retry-After"] = str(int(WINDOW_S))
        return response
    session.clear()
    return _begin_session(login)


def _begin_session(login: Login) -> Response:
    session[accounts.COOKIE_FIELD] = login.token
    accounts.identify_as(login.identity)
    details: dict[str, Any] = {"by": login.factor.value} if login.factor is not None else {}
    audit_trail.record("login", "ok", **details)
    if login.factor is Factor.RECOVERY:
        flash("You used a recovery code, which is gone. On the page of your account you can make new ones.", "warn")
    return redirect(next_path(), 303)


def _of_half(token: str) -> dict[str, Any]:
    """Whose login waits, for the audit log: somebody has this user's password."""
    user = logins.awaited(resources().database, token)
    return _of(user.id if user is not None else None)


def _of(user_id: str | None) -> dict[str, Any]:
    return {"of": user_id} if user_id is not None else {}


@bp.post("/logout")
def log_out() -> Response:
    """End the session, here and in the database."""
    audit_trail.record("logout", "ok")
    end_session()
    away = oidc.logout_url(provider(), url_for("accounts.login", _external=True)) if _is_oidc() else None
    if away is None:
        response = redirect(url_for("accounts.login"), 303)
    else:
        # A page that goes on, and no redirect: `form-action 'self'` holds for where a form's answer redirects to, too.
        response = make_response(render_template("accounts/goodbye.html", away=away))
    # Pictures that the browser kept; the word of the standard is in quotes (W3C, Clear Site Data).
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@bp.get("/account")
def show() -> str:
    """One's name, role, password and tokens."""
    return _page()


@bp.post("/account/password")
def change_password() -> Response | tuple[str, int]:
    """A new password ends all sessions; this browser gets a new one."""
    refuse_without_passwords()
    me, database = signed_in(), resources().database
    old, new = request.form.get("old", ""), request.form.get("new", "")
    try:
        if new != request.form.get("again", ""):
            raise InvalidInput("The two new passwords are not the same.")
        passwords.check(new, me.name)
        # As a login: guesses of the old one are counted.
        logins.prove(database, me.name, old, request.remote_addr or "")
        with database.write() as rows:
            user = users.named(rows, me.name)
            users.set_password(rows, user, new)
            token = logins.restart(rows, user, request.remote_addr or "")
    except WrongPassword:
        return _page(problem="The old password is wrong."), 422
    except PortalError as error:
        return _page(problem=error.message), error.status
    end_session()
    session[accounts.COOKIE_FIELD] = token
    flash("The password is changed; every other browser is logged out.", "info")
    return redirect(url_for("accounts.show"), 303)


@bp.post("/account/tokens")
def create_token() -> Response | tuple[str, int]:
    """Make a token, with what a login takes: it opens as much, and for longer. This answer alone shows it."""
    found, me, sent = resources(), signed_in(), request.form
    days = sent.get("days", "")
    try:
        if not days.isdecimal() or len(days) > 4:
            raise InvalidInput("The days are a whole number.")
        scopes = [Scope(text) for text in sent.getlist("scope") if text in set(Scope)]
        if not _is_oidc():
            password, code = sent.get("password", ""), sent.get("code", "")
            address = request.remote_addr or ""
            logins.confirm(found.database, found.settings.secret_key, me.name, password, code, address)
        with found.database.write() as rows:
            _, text = tokens.create(rows, users.named(rows, me.name), sent.get("label", ""), scopes, int(days))
    except WrongPassword:
        return _page(problem="The password is wrong."), 422
    except WrongCode:
        return _page(problem=WRONG_CODE), 422
    except PortalError as error:
        return _page(problem=error.message), error.status
    return _page(new_token=text), 201


@bp.post("/account/tokens/<hex_id:token_id>/revoke")
def revoke_token(token_id: str) -> Response:
    """End a token of one's own."""
    with resources().database.write() as rows:
        tokens.revoke(rows, token_id, signed_in().user_id)
    flash("The token is revoked.", "info")
    return redirect(url_for("accounts.show"), 303)


def _page(problem: str = "", new_token: str = "") -> str:
    me = signed_in()
    with resources().database.read() as rows:
        shown = tokens.of_user(rows, me.user_id)
        codes_left = second_factor.recovery_left(rows, me.user_id)
    scopes = [scope for scope in Scope if scope is not Scope.METRICS or me.role is Role.ADMIN]
    return render_template(
        "accounts/account.html", me=me, tokens=shown, problem=problem, new_token=new_token, scopes=scopes,
        shortest=passwords.SHORTEST, days=tokens.DEFAULT_DAYS, is_oidc=_is_oidc(), most_days=tokens.MOST_DAYS,
        codes_left=codes_left,
    )  # fmt: skip


def provider() -> Provider:
    """The login provider of the settings."""
    settings = resources().settings
    role = settings.oidc_default_role
    return Provider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret,
        None if role == "none" else Role(role),
    )


def _is_oidc() -> bool:
    return resources().settings.auth == "oidc"


def refuse_without_passwords() -> None:
    """Raises NotFound where users log in at a provider."""
    if _is_oidc():
        raise NotFound("Users of this portal log in at its login provider; passwords let nobody in.")


def signed_in() -> Identity:
    """Who asks. Raises NotLoggedIn."""
    identity = accounts.current()
    if identity is None:
        raise NotLoggedIn("Log in first.")
    return identity


def end_session() -> None:
    """End the session of this browser, if it has one."""
    token = session.get(accounts.COOKIE_FIELD)
    if isinstance(token, str):
        sessions.log_out(resources().database, token)
    # All of it: the secret of the form tokens is new, too.
    session.clear()


def next_path() -> str:
    """Where to go after a login: a path of the portal."""
    wanted = request.values.get("next", "")
    return wanted if accounts.is_local_path(wanted) else "/"
