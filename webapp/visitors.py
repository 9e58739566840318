"""With GLIOSCOPE_AUTH=demo: who visits, what a visitor may do, and how often.

A visitor is an owner without an account: an id in the signed cookie of the session, and nothing in the database. What
they upload is scoped in `webapp.domain.database.ownership` like a user's, and `webapp.domain.scans.visits` deletes it.
There is no audit log: it would keep strangers' addresses, and anybody could fill it.
"""

from flask import Flask, Response, request, session

from webapp.context import ACCESS, SAFE_METHODS, resources
from webapp.domain.accounts.rates import RateLimit
from webapp.domain.accounts.visitors import is_visitor, new_visitor
from webapp.domain.database import ownership
from webapp.domain.errors import CookieNeeded, DemoRefused, NotFound, TooManyAttempts
from webapp.domain.settings import Settings
from webapp.error_handlers import answer

# Of everybody, visitor or not, and never counted: what the machine asks.
PUBLIC = frozenset({"static", "system.healthz", "system.readyz"})
# What a visitor may ask, by blueprint: whatever is new is refused until it stands here.
OFFERED = frozenset(
    {
        "home", "samples", "scans", "studies", "segmentations", "measurements", "models", "help",
        "follow-up", "api-follow-up",
        "api-scans", "api-studies", "api-segmentations", "api-measurements", "api-models", "api-planes", "api-exports",
        "api-docs", "api_docs",
    }
)  # fmt: skip
# An administrator's in a portal with users: here nobody's.
HIDDEN = frozenset({"metrics"})
COOKIE_FIELD = "visitor"
REQUESTS_WINDOW_S, CHANGES_WINDOW_S = 60.0, 600.0
NOT_OFFERED = (
    "This demonstration does not offer that: it takes single pictures and stacks, and makes no evaluations. Install"
    " Glioscope to use all of it."
)
NO_COOKIE = (
    "This demonstration knows by a cookie alone which scans are yours, and your browser sent none: allow cookies for"
    " this site, open its first page again, and repeat what you did. Nothing was stored."
)
TOO_MANY = "There are more requests from your network address than this demonstration answers; wait {wait_s:.0f} s."


class Guard:
    """Before every request: count, identify, scope, and allow."""

    def __init__(self, settings: Settings) -> None:
        self._requests = RateLimit(settings.demo_requests, REQUESTS_WINDOW_S)
        self._changes = RateLimit(settings.demo_changes, CHANGES_WINDOW_S)

    def __call__(self) -> Response | None:
        """Raises NotFound, DemoRefused, CookieNeeded."""
        # From here on whatever this request reads is a visitor's, or nobody's.
        resources().database.is_scoped = True
        ownership.act_as(ownership.NOBODY)
        endpoint = request.endpoint
        if endpoint in PUBLIC:
            return None
        address, is_read = request.remote_addr or "", request.method in SAFE_METHODS
        wait_s = self._requests.wait_s(address) or (0.0 if is_read else self._changes.wait_s(address))
        if wait_s:
            response = answer(429, TooManyAttempts.code, TOO_MANY.format(wait_s=wait_s))
            response.headers["Retry-After"] = f"{wait_s:.0f}"
            return response
        if endpoint is None:
            return None
        if endpoint in HIDDEN:
            raise NotFound("There is nothing at this address.")
        if not may(endpoint, request.method):
            raise DemoRefused(NOT_OFFERED)
        visitor = session.get(COOKIE_FIELD)
        if not is_visitor(visitor):
            if not is_read:
                raise CookieNeeded(NO_COOKIE)
            if request.path.startswith("/api/"):
                return None  # a program, or a picture whose page is older than the cookie
            visitor = session[COOKIE_FIELD] = new_visitor()
        ownership.act_as(visitor)
        return None


def may(endpoint: str, method: str) -> bool:
    """Whether a visitor may ask this route; for the guard, and for the pages, which show no button that it refuses."""
    return endpoint in PUBLIC or endpoint.partition(".")[0] in OFFERED


def register(app: Flask, settings: Settings) -> None:
    """Install the guard; it stands before the look for form tokens, which reads the body."""
    app.extensions[ACCESS] = may
    # A link from another site leads back to one's own scans; forms have tokens, and foreign sites are refused.
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.before_request(Guard(settings))
