"""What guards every request: headers, hosts, foreign sites."""

import secrets
from collections.abc import Iterable
from functools import partial
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp import accounts, audit_trail, visitors
from webapp.context import SAFE_METHODS, cookie_name
from webapp.domain import logs
from webapp.domain.errors import PackedBody
from webapp.domain.settings import Settings

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "",
}
# RFC 6797: a year in which a browser asks this host over TLS alone.
STRICT_TRANSPORT = "max-age=31536000"
COOKIE = "glioscope"
# 200 ids of a bulk form take 8 kB, a JSON body less.
MOST_TEXT_BYTES = 1_048_576
TAKE_ARCHIVES = frozenset({"api-evaluations.EvaluationCollection", "evaluations.create"})

csrf = CSRFProtect()


class Sessions(SecureCookieSessionInterface):
    """Over TLS the cookie is Secure."""

    def get_cookie_name(self, app: Flask) -> str:
        return cookie_name(COOKIE)

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register(app: Flask, settings: Settings) -> None:
    """Install the guards."""
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        # A form stays good as long as its page may stay open.
        WTF_CSRF_TIME_LIMIT=None,
        # It looks for a Referer over TLS, which our policy keeps back; refuse_foreign_sites does its work.
        WTF_CSRF_SSL_STRICT=False,
    )
    app.session_interface = Sessions()
    if trusted := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted, x_proto=trusted)  # type: ignore[method-assign]
    # In this order: every refusal names its request, and a foreign site's body is not read for a token.
    app.before_request(_name_request)
    app.teardown_request(_forget_request)
    app.before_request(partial(refuse_foreign_hosts, _host_names(settings.allowed_hosts)))
    app.before_request(refuse_foreign_sites)
    app.before_request(partial(limit_body, settings.max_archive_bytes))
    app.before_request(refuse_packed_bodies)
    if settings.auth == "demo":
        visitors.register(app, settings)
    else:
        audit_trail.register(app)
        if settings.auth != "local":
            accounts.register(app)
    csrf.init_app(app)
    subdomains = "; includeSubDomains" if settings.hsts_subdomains == "on" else ""
    app.after_request(partial(_add_headers, STRICT_TRANSPORT + subdomains))


def refuse_foreign_hosts(names: frozenset[str]) -> None:
    """A foreign name that was made to point here (DNS rebinding) is not ours: 400.

    Flask's TRUSTED_HOSTS is not used, because it knows no IPv6 address: it cuts `[::1]` at the first colon.
    """
    if _host_name(request.host) not in names:
        raise SecurityError


def refuse_packed_bodies() -> None:
    """A body in a Content-Encoding: nobody unpacks it here, and files are found in one that gzip only stored, with its
    own bytes in the middle of them. RFC 9110, section 8.4. Raises PackedBody."""
    codings = request.headers.get("Content-Encoding", "")
    if any(coding.strip().lower() not in ("", "identity") for coding in codings.split(",")):
        raise PackedBody("A body with a Content-Encoding (gzip, br and so on) is not read here; send it as it is.")


def limit_body(max_archive_bytes: int) -> None:
    """Only an upload is large: other bodies are read whole, so they have a small limit. An archive has its own."""
    if request.mimetype != "multipart/form-data":
        request.max_content_length = MOST_TEXT_BYTES
    elif request.endpoint in TAKE_ARCHIVES:
        request.max_content_length = max_archive_bytes + MOST_TEXT_BYTES


def refuse_foreign_sites() -> None:
    """A page of another site may not act here, though the browser would send it: 403.

    Sec-Fetch-Site is the browser's own word, which no page can set (Fetch Metadata): it holds behind a proxy that
    changes the host, too, and with our own forms, whose Origin is `null` under our `Referrer-Policy: no-referrer`.
    Browsers send it over TLS and to this machine alone; else the Origin must be the host that was asked. Clients that
    are no browsers send neither.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    is_ours = site in (None, "none") and (origin is None or _netloc(origin) == request.host)
    if site != "same-origin" and not is_ours:
        abort(403)


def _netloc(origin: str) -> str | None:
    """Host and port of an Origin, None where it is no URL."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _host_name(host: str) -> str | None:
    """The name of a host header, without its port; None where it has none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _host_names(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(name for host in hosts if (name := _host_name(host)) is not None)


def _name_request() -> None:
    g.request_id = secrets.token_hex(8)
    logs.name_ids(request_id=g.request_id)


def _forget_request(_error: BaseException | None) -> None:
    logs.name_ids()


def _add_headers(strict_transport: str, response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = strict_transport
    response.headers["X-Request-Id"] = g.get("request_id", "")
    # Scans, names and verdicts stay out of shared caches and of the disk; pictures and static files say otherwise.
    response.headers.setdefault("Cache-Control", "no-store")
    return response
