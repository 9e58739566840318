"""Login by OpenID Connect: the authorization code flow with PKCE, state and nonce, spoken by Authlib.

OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 9207 (the issuer in the answer), RFC 9700 (security). State, nonce and
verifier come from one secret, which the browser's cookie alone holds: an answer counts in the browser that asked, once.
Neither codes nor tokens nor secrets are kept or logged.
"""

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from cachetools import TTLCache, cached
from sqlalchemy import CursorResult, delete
from sqlalchemy.orm import Session

from webapp.domain.accounts import sessions, throttle, users
from webapp.domain.accounts.identity import Identity
from webapp.domain.accounts.models import OidcLogin, Role, User
from webapp.domain.accounts.sessions import digest_of
from webapp.domain.database.clock import database_now
from webapp.domain.database.engine import Database
from webapp.domain.errors import Conflict, TooManyAttempts
from webapp.domain.settings.parsing import is_safe_url

if TYPE_CHECKING:
    from authlib.integrations.requests_client import OAuth2Session

# For a login at the provider, its second factor included.
LIFE_S = 600.0
# Clocks of two servers differ; more than a minute is a fault that somebody should mend.
LEEWAY_S = 60
TIMEOUT_S = 10.0
# Signatures with a key that the provider alone has: never `none`, and never HMAC, whose key would be public.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
LONGEST_SUBJECT = 255
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
CLAIMS = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "nonce", "azp", "at_hash", "auth_time", "amr"})

BEGIN_AGAIN = "This login was begun elsewhere, too long ago, or is over already. Begin again."
NOT_BELIEVED = "The login provider's answer could not be believed. Begin again, and tell the administrator if it stays."


class LoginRefused(Exception):
    """No login came of it. reason: one word for the log; message: a sentence for the person."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass(frozen=True)
class Provider:
    """Whose word is taken, and as whom the portal asks. default_role: of people whom nobody invited; None: refused."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    default_role: Role | None = None


@dataclass(frozen=True)
class Person:
    """Whom the provider names. email: in lower case, None where the provider did not check it."""

    subject: str
    email: str | None


def start(database: Database, provider: Provider, address: str, redirect_uri: str) -> tuple[str, str]:
    """Begin a login: the secret for the browser's cookie, and the provider's address to go to.

    Raises LoginRefused, TooManyAttempts.
    """
    secret = secrets.token_urlsafe(32)
    with database.write() as session:
        may_try = throttle.try_address(session, address)
        session.execute(delete(OidcLogin).where(OidcLogin.created_at < database_now(-LIFE_S)))
        if may_try:
            session.add(OidcLogin(id=digest_of(secret)))
    if not may_try:
        raise TooManyAttempts("Too many logins from this address; wait a quarter of an hour, then try again.")
    with _client(provider) as client:
        url, _ = client.create_authorization_url(
            _metadata(provider)["authorization_endpoint"],
            state=digest_of(secret),
            nonce=_derived(secret, "nonce"),
            code_verifier=_derived(secret, "verifier"),
            redirect_uri=redirect_uri,
            scope="openid email",
        )
    return secret, url


def finish(
    database: Database, provider: Provider, secret: str, answer: Mapping[str, str], redirect_uri: str
) -> tuple[str, Identity]:
    """End a login with what the provider sent the browser back with: a new session as `sessions.start` makes it.

    secret: of the browser's cookie, empty without one. Raises LoginRefused.
    """
    state = digest_of(secret)
    if not secret or not hmac.compare_digest(state.encode(), answer.get("state", "").encode()):
        raise LoginRefused(400, "state", BEGIN_AGAIN)
    with database.write() as session:
        own = (OidcLogin.id == state) & (OidcLogin.created_at > database_now(-LIFE_S))
        is_first = cast("CursorResult[Any]", session.execute(delete(OidcLogin).where(own))).rowcount == 1
    if not is_first:
        raise LoginRefused(400, "state", BEGIN_AGAIN)
    metadata = _metadata(provider)
    named = answer.get("iss")
    if named != provider.issuer and (
        named is not None or metadata.get("authorization_response_iss_parameter_supported") is True
    ):
        raise LoginRefused(401, "iss", NOT_BELIEVED)
    if "error" in answer or not answer.get("code"):
        raise LoginRefused(401, "provider", "The login provider did not let you in. Begin again, or ask who runs it.")
    person = _person(provider, metadata, answer["code"], secret, redirect_uri)
    with database.write() as session:
        user = _user(session, provider, person)
        token = sessions.start(session, user)
        return token, Identity(user.id, user.name, user.role)


def logout_url(provider: Provider, back: str) -> str | None:
    """Where a browser ends its session at the provider, which then sends it `back` (RP-Initiated Logout 1.0).

    Without an ID token as a hint, since none is kept: the provider asks the person. None where it offers no such
    address, or does not answer.
    """
    try:
        endpoint = str(_metadata(provider).get("end_session_endpoint", ""))
    except LoginRefused:
        return None
    if not is_safe_url(endpoint):
        return None
    query = urlencode({"client_id": provider.client_id, "post_logout_redirect_uri": back})
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"


def subject_of(issuer: str, subject: str) -> str:
    """What is kept of a person's identifier, which is unique within its issuer alone (Core 1.0, 2)."""
    return digest_of(f"{issuer}\n{subject}")


def _user(session: Session, provider: Provider, person: Person) -> User:
    """The user of this person, bound to an invitation or made where the settings say so. Raises LoginRefused."""
    subject = subject_of(provider.issuer, person.subject)
    user = users.of_subject(session, subject)
    if user is None and person.email is not None and (user := users.invited(session, person.email)) is not None:
        user.subject = subject
    if user is None and provider.default_role is not None:
        user = _new_user(session, person, subject, provider.default_role)
    if user is None:
        known = f"address {person.email}" if person.email else f"identifier (subject) {person.subject}"
        raise LoginRefused(
            403, "unknown_user",
            f"The provider knows you, but you are not invited here: ask an administrator to invite your {known}.",
        )  # fmt: skip
    if user.disabled_at is not None:
        raise LoginRefused(403, "disabled", "An administrator has ended your access to this portal.")
    return user


def _new_user(session: Session, person: Person, subject: str, role: Role) -> User:
    for name in (person.email, f"user-{subject[:16]}"):
        if name is not None and users.is_name(name):
            try:
                return session.get_one(User, users.create(session, name, None, role, subject))
            except Conflict:
                continue  # the name is another's
    raise LoginRefused(409, "conflict", BEGIN_AGAIN)


def _person(provider: Provider, metadata: Mapping[str, Any], code: str, secret: str, redirect_uri: str) -> Person:
    """Change the code for the provider's signed word. Raises LoginRefused."""
    from authlib.integrations.base_client import OAuthError
    from requests import RequestException

    with _client(provider, metadata) as client:
        try:
            token = client.fetch_token(
                metadata["token_endpoint"],
                code=code,
                code_verifier=_derived(secret, "verifier"),
                redirect_uri=redirect_uri,
            )
            claims = _believed(provider, token, _json(client, metadata["jwks_uri"]), _derived(secret, "nonce"))
            email = claims
            if "email" not in claims and "userinfo_endpoint" in metadata:
                told = _json(client, metadata["userinfo_endpoint"], withhold_token=False)
                # Of whom else it may speak is not said to us (Core 1.0, 5.3.2).
                email = told if told.get("sub") == claims["sub"] else {}
        except RequestException as error:
            raise _away() from error
        except (OAuthError, ValueError, TypeError, AttributeError) as error:
            raise LoginRefused(401, "code", NOT_BELIEVED) from error
    is_checked = email.get("email_verified") in (True, "true") and isinstance(email.get("email"), str)
    return Person(claims["sub"], email["email"].strip().lower() if is_checked else None)


def _believed(provider: Provider, token: Mapping[str, Any], keys: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
    """The claims of the ID token, once all of it holds (Core 1.0, 3.1.3.7). Raises LoginRefused."""
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.errors import ClaimError, JoseError
    from joserfc.jwk import KeySet
    from joserfc.jws import JWSRegistry

    try:
        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        signed = jwt.decode(token["id_token"], KeySet.import_key_set(cast(Any, keys)), registry=registry)
        options = {
            "iss": {"essential": True, "value": provider.issuer},
            "aud": {"essential": True, "value": provider.client_id},
        }
        params = {"nonce": nonce, "client_id": provider.client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(signed.claims, signed.header, options, params)
        claims.validate(leeway=LEEWAY_S)
    except ClaimError as error:
        reason = error.claim if error.claim in CLAIMS else "claim"
        raise LoginRefused(401, reason, NOT_BELIEVED) from error
    except (JoseError, KeyError) as error:
        raise LoginRefused(401, "signature", NOT_BELIEVED) from error
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
        raise LoginRefused(401, "sub", NOT_BELIEVED)
    return cast(Mapping[str, Any], claims)


@cached(TTLCache(4, 600), key=lambda provider: provider.issuer, lock=threading.Lock())
def _metadata(provider: Provider) -> Mapping[str, Any]:
    """What the provider says of itself, for ten minutes (OpenID Connect Discovery 1.0, 4). Raises LoginRefused."""
    from requests import RequestException

    with _client(provider) as client:
        try:
            found = _json(client, provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
        except (RequestException, ValueError) as error:
            raise _away() from error
    if found.get("issuer") != provider.issuer or not all(is_safe_url(str(found.get(name))) for name in ENDPOINTS):
        raise LoginRefused(
            503,
            "metadata",
            "The login provider does not describe itself as GLIOSCOPE_OIDC_ISSUER says; tell the administrator.",
        )
    return found


def _json(client: "OAuth2Session", url: str, *, withhold_token: bool = True) -> dict[str, Any]:
    response = client.get(url, withhold_token=withhold_token)
    response.raise_for_status()
    found = response.json()
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _client(provider: Provider, metadata: Mapping[str, Any] | None = None) -> "OAuth2Session":
    from authlib.integrations.requests_client import OAuth2Session

    methods = (metadata or {}).get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
    client = OAuth2Session(
        provider.client_id, provider.client_secret, method, default_timeout=TIMEOUT_S, code_challenge_method="S256"
    )
    # Nothing that a provider is asked is answered by a redirect; a secret is not carried elsewhere.
    client.max_redirects = 0
    return client


def _away() -> LoginRefused:
    return LoginRefused(503, "provider_away", "The login provider does not answer; try again in a minute.")


def _derived(secret: str, purpose: str) -> str:
    """43 characters for one purpose, from which nobody computes the secret or another's."""
    digest = hmac.digest(secret.encode(), purpose.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
