"""The protocol's own sign-in: 3D Slicer's plug-in asks for a name and a password, and gets a token that ends soon.

The token is a login like a browser's, with its ends (30 minutes without a request, 12 hours, another password), and
opens these routes alone. In the place of the password an API token is taken, and is the answer: so it goes where users
log in at a provider, too.
"""

from typing import Any

from flask import Response, jsonify, request

from webapp import accounts, audit_trail
from webapp.context import resources
from webapp.domain.accounts import logins, throttle, tokens
from webapp.domain.accounts.identity import Identity
from webapp.domain.accounts.logins import WrongPassword
from webapp.domain.accounts.throttle import WINDOW_S
from webapp.domain.errors import NotLoggedIn, TooManyAttempts
from webapp.error_handlers import answer
from webapp.monai_label.blueprint import bp

REALM = "Glioscope"
# The same words where the password is right, and the user has a second factor: nobody learns that it is.
WRONG = (
    "The name or the password is wrong; an API token may stand in the password's place, and must with a second factor."
)


@bp.get("/auth/")
def describe_login() -> Response:
    """Whether a viewer must sign in."""
    return jsonify(enabled=_has_users(), client_id=REALM, realm=None)


@bp.post("/auth/token")
def log_in() -> Response:
    """A token for a name and a password."""
    if not _has_users():
        return jsonify({"access_token": None, "token_type": None})
    name, password = request.form.get("username", ""), request.form.get("password", "")
    try:
        token, identity = _token(name, password)
    except WrongPassword as error:
        whose: dict[str, Any] = {"of": error.user_id} if error.user_id is not None else {}
        audit_trail.record("login", "401", by="viewer", **whose)
        raise NotLoggedIn(WRONG) from error
    except TooManyAttempts as error:
        audit_trail.record("login", "429", by="viewer")
        response = answer(error.status, error.code, error.message)
        response.headers["Retry-After"] = str(int(WINDOW_S))
        return response
    accounts.identify_as(identity)
    audit_trail.record("login", "ok", by="viewer")
    return jsonify({"access_token": token, "token_type": "bearer"})


@bp.get("/auth/token/valid")
def show_login() -> Response:
    """Whose token it is; without a valid one the answer is 401, as everywhere."""
    identity = accounts.current()
    return jsonify(username=identity.name if identity else "local", roles=[identity.role if identity else "admin"])


def _has_users() -> bool:
    return resources().settings.auth in ("password", "oidc")


def _token(name: str, password: str) -> tuple[str, Identity]:
    """Raises WrongPassword, TooManyAttempts."""
    database, address = resources().database, request.remote_addr or ""
    if password.startswith(tokens.PREFIX):
        with database.write() as rows:
            may_try = throttle.try_address(rows, address)
        if not may_try:
            raise TooManyAttempts("Too many wrong passwords; wait a quarter of an hour, then try again.")
        with database.read() as rows:
            identity = tokens.resolve(rows, password)
        if identity is not None and identity.name == name.strip().lower():
            return password, identity
    if resources().settings.auth == "oidc":
        raise WrongPassword("Passwords let nobody in.")
    login = logins.log_in_viewer(database, resources().settings.second_factor, name, password, address)
    return login.token, login.identity
