"""One's second factor: setting it up, new recovery codes, turning it off. Only with GLIOSCOPE_AUTH=password."""

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from webapp import accounts
from webapp.context import resources
from webapp.domain.accounts import logins, second_factor, sessions
from webapp.domain.accounts.logins import WrongPassword
from webapp.domain.accounts.models import User
from webapp.domain.accounts.second_factor import WrongCode
from webapp.domain.errors import PortalError
from webapp.views.accounts import WRONG_CODE, next_path, refuse_without_passwords, signed_in

bp = Blueprint("second-factor", __name__, url_prefix="/account/second-factor")

Answer = str | Response | tuple[str, int]


@bp.get("")
def show() -> str:
    """What it is, and whether one has it."""
    refuse_without_passwords()
    return _page()


@bp.post("")
def begin() -> Answer:
    """Make a secret, which this page shows, and no other."""
    refuse_without_passwords()
    begun = second_factor.begin(resources().settings.secret_key, signed_in().user_id)
    return _page(begun=begun), 201


@bp.post("/on")
def turn_on() -> Answer:
    """With the password and a first code; the answer shows the recovery codes, once."""
    refuse_without_passwords()
    key, begun, code = resources().settings.secret_key, request.form.get("begun", ""), request.form.get("code", "")
    try:
        secret = second_factor.secret_of(key, signed_in().user_id, begun)
    except PortalError as error:
        return _page(problem=error.message), error.status
    try:
        user = _prove_password()
        with resources().database.write() as rows:
            user = rows.get_one(User, user.id, with_for_update=True)
            codes = second_factor.turn_on(rows, key, user, secret, code)
            token = logins.restart(rows, user, request.remote_addr or "")
    except (WrongPassword, WrongCode, PortalError) as error:
        return _page(problem=_sentence(error), begun=begun), _status(error)
    return _show_codes(token, codes)


@bp.post("/codes")
def renew_codes() -> Answer:
    """New recovery codes, with the password and a code; the old ones are over."""
    refuse_without_passwords()
    try:
        user = _prove_both()
        with resources().database.write() as rows:
            codes = second_factor.renew_recovery(rows, rows.get_one(User, user.id))
            token = logins.restart(rows, user, request.remote_addr or "")
    except (WrongPassword, WrongCode, PortalError) as error:
        return _page(problem=_sentence(error)), _status(error)
    return _show_codes(token, codes)


@bp.post("/off")
def turn_off() -> Answer:
    """With the password and a code."""
    refuse_without_passwords()
    try:
        user = _prove_both()
        with resources().database.write() as rows:
            second_factor.turn_off(rows, rows.get_one(User, user.id))
            token = logins.restart(rows, user, request.remote_addr or "")
    except (WrongPassword, WrongCode, PortalError) as error:
        return _page(problem=_sentence(error)), _status(error)
    _keep(token)
    flash("The second factor is off; every other browser is logged out.", "info")
    return redirect(url_for("second-factor.show"), 303)


def _page(problem: str = "", begun: str = "", codes: tuple[str, ...] = ()) -> str:
    """begun: what `second_factor.begin` made, while it is set up; codes: recovery codes to be shown."""
    me, key = signed_in(), resources().settings.secret_key
    secret = second_factor.secret_of(key, me.user_id, begun) if begun else ""
    with resources().database.read() as rows:
        left = second_factor.recovery_left(rows, me.user_id)
    return render_template(
        "accounts/second_factor.html", me=me, problem=problem, begun=begun, codes=codes, codes_left=left,
        secret=[secret[at : at + 4] for at in range(0, len(secret), 4)], next=next_path(),
        picture=_picture(second_factor.address_of(secret, me.name)) if secret else "",
        is_required=second_factor.is_required(resources().settings.second_factor, me.role),
    )  # fmt: skip


def _picture(address: str) -> Markup:
    """The address as a QR code (ISO/IEC 18004): SVG inside the page, so that nothing is asked for and nothing kept."""
    import segno

    svg = segno.make(address, error="m", micro=False).svg_inline(
        scale=5, border=4, dark="#000", light="#fff", title="QR code for an authenticator", omitsize=True
    )
    return Markup(svg)  # noqa: S704  made of the address's modules alone


def _prove_password() -> User:
    """Who asks, by their password. Raises WrongPassword, TooManyAttempts."""
    password = request.form.get("password", "")
    return logins.prove(resources().database, signed_in().name, password, request.remote_addr or "")


def _prove_both() -> User:
    """Who asks, by their password and a code, which is then taken. Raises WrongPassword, WrongCode, TooManyAttempts."""
    found = resources()
    user = _prove_password()
    logins.count_code(found.database, user, request.remote_addr or "")
    with found.database.write() as rows:
        second_factor.take(rows, found.settings.secret_key, user, request.form.get("code", ""))
    return user


def _show_codes(token: str, codes: list[str]) -> tuple[str, int]:
    _keep(token)
    return _page(codes=tuple(codes)), 201


def _keep(token: str) -> None:
    """This browser goes on in the only session that is left."""
    session.clear()
    session[accounts.COOKIE_FIELD] = token
    identity = sessions.resume(resources().database, token)
    if identity is not None:
        accounts.identify_as(identity)


def _sentence(error: Exception) -> str:
    if isinstance(error, PortalError):
        return error.message
    return WRONG_CODE if isinstance(error, WrongCode) else "The password is wrong."


def _status(error: Exception) -> int:
    return error.status if isinstance(error, PortalError) else 422
