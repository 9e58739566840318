"""What administrators see: users, tokens, the queue, the settings in force. No scan of anybody."""

from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from webapp import accounts, audit_trail
from webapp.context import resources
from webapp.domain.accounts import oidc, tokens, users
from webapp.domain.accounts.models import Role, User
from webapp.domain.errors import Conflict, InvalidInput, NotFound, PortalError
from webapp.domain.monitoring import health, statistics
from webapp.domain.settings import SETTINGS, Settings

bp = Blueprint("admin", __name__, url_prefix="/admin")


@dataclass(frozen=True)
class InForce:
    """A setting as it is, its secrets hidden."""

    name: str
    value: str
    meaning: str


@bp.get("")
def show() -> str:
    """Users and their tokens, the queue, the settings in force."""
    return _page()


@bp.post("/users")
def create_user() -> BaseResponse | tuple[str, int]:
    """Make a user with a first password."""
    try:
        with resources().database.write() as rows:
            name, role = request.form.get("name", ""), _role()
            user_id = users.create(rows, name, _first_password(), role, _subject())
    except PortalError as error:
        return _page(problem=error.message), error.status
    flash("The user is made.", "info")
    return redirect(url_for("admin.show", _anchor=user_id), 303)


@bp.post("/users/<hex_id:user_id>")
def change_user(user_id: str) -> BaseResponse | tuple[str, int]:
    """Another role, another password, disabled or not: what the form's button says."""
    what = request.form.get("what", "")
    try:
        with resources().database.write() as rows:
            user = rows.get(User, user_id)
            if user is None:
                raise NotFound("There is no such user.")
            if what == "role":
                users.set_role(rows, user, _role(), by_oidc=_is_oidc())
            elif what == "password":
                users.set_password(rows, user, request.form.get("password", ""))
            elif what == "second-factor":
                audit_trail.name_change("users.reset-second-factor")
                _reset_second_factor(rows, user)
            elif what == "disable":
                users.disable(rows, user, by_oidc=_is_oidc())
            elif what == "enable":
                users.enable(user)
            else:
                raise InvalidInput("The form says not what to change.")
    except NotFound:
        raise
    except PortalError as error:
        return _page(problem=error.message), error.status
    flash("The user is changed.", "info")
    return redirect(url_for("admin.show"), 303)


@bp.post("/tokens/<hex_id:token_id>/revoke")
def revoke_token(token_id: str) -> BaseResponse:
    """End a token of anybody."""
    with resources().database.write() as rows:
        tokens.revoke(rows, token_id)
    flash("The token is revoked.", "info")
    return redirect(url_for("admin.show"), 303)


def _reset_second_factor(rows: Session, user: User) -> None:
    """Raises Conflict for one's own: whoever found an open browser of an administrator would do it."""
    me = accounts.current()
    if me is not None and me.user_id == user.id:
        raise Conflict("Turn off your own second factor on the page of your account, or on the command line.")
    users.reset_second_factor(rows, user)


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError as error:
        raise InvalidInput("There is no such role.") from error


def _is_oidc() -> bool:
    return resources().settings.auth == "oidc"


def _first_password() -> str | None:
    return None if _is_oidc() else request.form.get("password", "")


def _subject() -> str | None:
    """Of a form that invites somebody whose address the provider does not check."""
    subject = request.form.get("subject", "").strip() if _is_oidc() else ""
    if len(subject) > oidc.LONGEST_SUBJECT:
        raise InvalidInput(f"A subject has at most {oidc.LONGEST_SUBJECT} characters.")
    return oidc.subject_of(resources().settings.oidc_issuer, subject) if subject else None


def settings_in_force(settings: Settings) -> list[InForce]:
    """Every setting. Secrets, and addresses that may have a password in them, are not shown."""
    shown = []
    for name, entry in SETTINGS.items():
        value = getattr(settings, name)
        is_hidden = entry.is_secret or name in ("database_url", "redis_url")
        shown.append(InForce(entry.name, "hidden" if is_hidden else entry.written(value), entry.meaning))
    return shown


def _page(problem: str = "") -> str:
    with resources().database.read() as rows:
        everybody = users.every(rows)
        of_users = {user.id: tokens.of_user(rows, user.id) for user in everybody}
    return render_template(
        "accounts/admin.html", users=everybody, tokens=of_users, roles=list(Role), problem=problem,
        readiness=health.readiness(resources()), jobs=statistics.read(resources()),
        stored=statistics.stored(resources()),
        settings=settings_in_force(resources().settings), is_oidc=_is_oidc(),
    )  # fmt: skip
