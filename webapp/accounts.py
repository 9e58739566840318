"""With users (GLIOSCOPE_AUTH=password or oidc): who asks, and what their role allows.

The rule of every route stands here. What belongs to a user is scoped in `webapp.domain.database.ownership`: another's
id is answered like one that nobody has.
"""

from dataclasses import replace
from typing import cast

from flask import Flask, flash, g, redirect, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse

from webapp import unsaved_forms
from webapp.context import ACCESS, PROGRAMS, SAFE_METHODS, resources
from webapp.domain.accounts import second_factor, sessions, tokens
from webapp.domain.accounts.identity import Identity, Scope
from webapp.domain.accounts.models import Role
from webapp.domain.database import ownership
from webapp.domain.errors import NotFound, NotLoggedIn, RoleRefused, SecondFactorNeeded

# What anybody is answered, who has not logged in too.
PUBLIC = frozenset({"static", "system.healthz", "system.readyz", "accounts.login", "accounts.log_in"}) | {
    "accounts.ask_code",
    "accounts.take_code",
    "oidc.start",
    "oidc.finish",
    "monai-label.describe_login",
    "monai-label.log_in",
}
# What asks about the server and not about one's own: of administrators alone, and for others not there.
ADMIN_BLUEPRINTS = frozenset({"admin", "audit"})
METRICS = "metrics"
# Every user's own affairs, in a browser alone: no token makes another token.
SELF_BLUEPRINTS = frozenset({"accounts", "second-factor"})
SET_UP = "second-factor"
# POST that reads.
READS = frozenset({"api-scans.download_several", "scans.download"})
# GET that is part of starting an evaluation: it lists folders of the server.
RESEARCH = frozenset({"api-evaluations.folders", "evaluations.new"})
VIEWERS = "/monai/"
# The names of the blueprints of `PROGRAMS` begin so.
PROGRAMS_BLUEPRINTS = ("api", "monai")
MOST_PUBLIC_BYTES = 16_384
COOKIE_FIELD = "session"
LOG_OUT = "accounts.log_out"


def guard() -> BaseResponse | None:
    """Before every request: identify, scope, and allow. Raises NotLoggedIn, RoleRefused, NotFound."""
    # From here on whatever this request reads is somebody's, or nobody's.
    resources().database.is_scoped = True
    ownership.act_as(ownership.NOBODY)
    g.identity = None
    endpoint = request.endpoint
    if endpoint in PUBLIC:
        request.max_content_length = MOST_PUBLIC_BYTES
        if endpoint in ("static", "system.healthz", "system.readyz"):
            return None
    g.identity = identity = _identify()
    if identity is not None:
        ownership.act_as(identity.user_id)
    if endpoint is None or endpoint in PUBLIC:
        return None
    if identity is None:
        return _ask_to_log_in()
    if not identity.is_token and lacks_second_factor(identity) and not _sets_up(endpoint):
        return _ask_to_set_up()
    _allow(identity, endpoint)
    return None


def current() -> Identity | None:
    """Who asks; None where nobody is logged in, and where there are no users."""
    return cast(Identity | None, g.get("identity"))


def identify_as(identity: Identity) -> None:
    """Who asks, once a login has said so."""
    g.identity = identity
    ownership.act_as(identity.user_id)


def required_role(endpoint: str, method: str) -> Role:
    """The least role that a route asks for."""
    blueprint = endpoint.partition(".")[0]
    if blueprint in ADMIN_BLUEPRINTS or endpoint == METRICS:
        return Role.ADMIN
    if blueprint in SELF_BLUEPRINTS or endpoint in READS:
        return Role.VIEWER
    if method in SAFE_METHODS and endpoint not in RESEARCH:
        return Role.VIEWER
    return Role.RESEARCHER


def required_scope(endpoint: str, method: str) -> Scope | None:
    """The scope that a token needs; None: no token may."""
    if endpoint == METRICS:
        return Scope.METRICS
    if not endpoint.startswith(PROGRAMS_BLUEPRINTS):
        return None
    return Scope.READ if method in SAFE_METHODS or endpoint in READS else Scope.WRITE


def register(app: Flask) -> None:
    """Install the guard; it stands before the look for form tokens, which reads the body."""
    app.extensions[ACCESS] = _may
    app.before_request(guard)


def lacks_second_factor(identity: Identity) -> bool:
    """Whether the settings ask this user for a second factor, and none is set up."""
    policy = resources().settings.second_factor
    return not identity.has_second_factor and second_factor.is_required(policy, identity.role)


def is_local_path(path: str) -> bool:
    """Whether a browser that is sent there stays here."""
    return (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and not any(char.isspace() or ord(char) < 32 or char == "\\" for char in path)
    )


def bearer() -> str | None:
    """The token that was sent, which may be empty; None without one. Of another scheme the header is not ours: browsers
    send Basic with every request behind a proxy that asks for a password of its own."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def _identify() -> Identity | None:
    sent = bearer()
    if sent is not None:
        if sent.startswith(sessions.VIEWER_PREFIX):
            return _identify_viewer(sent)
        with resources().database.read() as rows:
            return tokens.resolve(rows, sent) if sent else None
    token = session.get(COOKIE_FIELD)
    return sessions.resume(resources().database, token) if isinstance(token, str) else None


def _identify_viewer(token: str) -> Identity | None:
    """Whose login a viewer's is: it opens the viewers' routes alone, as an API token would."""
    if not request.path.startswith(VIEWERS):
        return None
    identity = sessions.resume(resources().database, token)
    if identity is None or lacks_second_factor(identity):
        return None
    return replace(identity, scopes=frozenset({Scope.READ, Scope.WRITE}))


# Of a token that was sent; what of it, a stranger is not told.
NO_USE = (
    "The API token that was sent is unknown, over or revoked, or its user is let in no more; make another one on the"
    " page of your account."
)


def _ask_to_log_in() -> BaseResponse:
    if _asks_a_program():
        if bearer():
            raise NotLoggedIn(NO_USE)
        raise NotLoggedIn("Log in, or send an API token as `Authorization: Bearer ...`.")
    if request.method not in SAFE_METHODS and request.endpoint != LOG_OUT:
        if isinstance(session.get(COOKIE_FIELD), str):
            return unsaved_forms.show(
                "You were not logged in any more when you sent this form, so nothing of it was saved or done.",
                NotLoggedIn.status,
                is_over=True,
            )
        flash("You were not logged in when you sent this form, so nothing of it was saved or done.", "warn")
    return redirect(url_for("accounts.login", next=_wanted()), 303)


def _ask_to_set_up() -> BaseResponse:
    if _asks_a_program():
        raise SecondFactorNeeded("This portal asks you for a second factor; set it up on the page of your account.")
    if request.method not in SAFE_METHODS:
        return unsaved_forms.show(
            "This portal asks you for a second factor by now, which is set up first; nothing of this form was saved or"
            " done.",
            SecondFactorNeeded.status,
            is_over=False,
        )
    return redirect(url_for("second-factor.show", next=_wanted()), 303)


def _sets_up(endpoint: str) -> bool:
    return endpoint.partition(".")[0] == SET_UP or endpoint == LOG_OUT


def _asks_a_program() -> bool:
    return request.path.startswith(PROGRAMS) or request.endpoint == METRICS


def _wanted() -> str | None:
    """The page to come back to; what was to be changed is not sent again by a redirect."""
    wanted = request.full_path.rstrip("?") if request.method in SAFE_METHODS else "/"
    return wanted if wanted != "/" else None


def _allow(identity: Identity, endpoint: str) -> None:
    if identity.scopes is not None:
        scope = required_scope(endpoint, request.method)
        if scope is None:
            raise RoleRefused("An API token opens the API alone.")
        if scope not in identity.scopes:
            raise RoleRefused(f"This API token lacks the scope `{scope}`.")
    role = required_role(endpoint, request.method)
    if identity.role.includes(role):
        return
    if role is Role.ADMIN:
        raise NotFound("There is nothing at this address.")
    raise RoleRefused(f"Your role, {identity.role}, reads alone; an administrator can make you a {role}.")


def _may(endpoint: str, method: str) -> bool:
    """For the pages, which show no button that would be refused."""
    identity = current()
    if endpoint in PUBLIC or identity is None:
        return endpoint in PUBLIC
    if lacks_second_factor(identity) and not _sets_up(endpoint):
        return False
    return identity.role.includes(required_role(endpoint, method))
