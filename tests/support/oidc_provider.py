"""An OpenID Connect provider in a process of its own on loopback: real keys, real signatures, and lies on demand.

It is strict where a portal must be right: client secret, redirect URI, PKCE, each code once.
"""

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from webapp.domain.settings import PROJECT_ROOT

CLIENT_ID, CLIENT_SECRET = "glioscope", "client-secret-of-the-portal"
PERSON = {"sub": "Subject-of-Ruth", "email": "Ruth@example.org", "email_verified": True}
# What is changed in the ID token, by the name of the lie.
LIES: dict[str, dict[str, Any]] = {
    "nonce": {"nonce": "of-another-login"},
    "no_nonce": {"nonce": None},
    "iss": {"iss": "https://evil.example"},
    "aud": {"aud": "another-client"},
    "azp": {"aud": [CLIENT_ID, "other"], "azp": "other"},
    "exp": {"exp": 1_000_000_000},
    "no_exp": {"exp": None},
    "iat": {"iat": 4_000_000_000},
    "sub": {"sub": None},
    "long_sub": {"sub": "x" * 300},
    "at_hash": {"at_hash": "wrong"},
}


@dataclass(frozen=True)
class OidcProvider:
    """A running provider. Its next answers follow `tell`."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GLIOSCOPE_AUTH": "oidc",
            "GLIOSCOPE_OIDC_ISSUER": self.url,
            "GLIOSCOPE_OIDC_CLIENT_ID": CLIENT_ID,
            "GLIOSCOPE_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        }

    def tell(self, **what: Any) -> None:
        """person: who logs in; lie: what is wrong with the answer; has_userinfo: the token names no address."""
        httpx.post(f"{self.url}/control", json=what).raise_for_status()

    def issued(self) -> list[str]:
        """Every code, token and verifier so far: what no log may hold."""
        return httpx.get(f"{self.url}/control").json()


@contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """Start one, stop it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.oidc_provider"],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield OidcProvider(process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class _Server:
    def __init__(self) -> None:
        self.url = ""
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.other = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.told: dict[str, Any] = {"person": PERSON}
        self.codes: dict[str, dict[str, str]] = {}
        self.access: dict[str, dict[str, Any]] = {}
        self.issued: list[str] = []

    @Request.application
    def __call__(self, request: Request) -> Response:
        try:
            name = request.path.rpartition("/")[2].replace("-", "_")
            return getattr(self, f"_{name}")(request)
        except HTTPException as error:
            return error.get_response(request.environ)

    def _control(self, request: Request) -> Response:
        if request.method == "POST":
            self.told = {"person": PERSON, **request.get_json()}
        return _json(self.issued)

    def _openid_configuration(self, _request: Request) -> Response:
        names = ("authorize", "token", "jwks", "userinfo", "end-session")
        authorize, token, jwks, userinfo, end_session = (f"{self.url}/{name}" for name in names)
        return _json({
            "issuer": self.url, "authorization_endpoint": authorize, "token_endpoint": token, "jwks_uri": jwks,
            "userinfo_endpoint": userinfo, "end_session_endpoint": end_session,
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        })  # fmt: skip

    def _jwks(self, _request: Request) -> Response:
        return _json({"keys": [self.key.as_dict(private=False)]})

    def _authorize(self, request: Request) -> Response:
        asked = request.args.to_dict()
        assert (asked["client_id"], asked["response_type"]) == (CLIENT_ID, "code")
        assert asked["code_challenge_method"] == "S256" and len(asked["nonce"]) >= 40
        assert "openid" in asked["scope"].split()
        lie, code = self.told.get("lie"), secrets.token_urlsafe(24)
        answer = {"code": code, "state": asked["state"], "iss": self.url}
        self.issued.append(code)
        self.codes[code] = asked
        if lie == "denied":
            answer = {
                "error": "access_denied",
                "error_description": "<b>no</b>",
                "state": asked["state"],
                "iss": self.url,
            }
        elif lie == "answer_iss":
            answer["iss"] = "https://evil.example"
        elif lie == "no_answer_iss":
            del answer["iss"]
        elif lie == "code":
            answer["code"] = "never-issued"
        return Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"})

    def _end_session(self, request: Request) -> Response:
        asked = request.args.to_dict()
        assert asked["client_id"] == CLIENT_ID
        return Response(status=302, headers={"Location": asked["post_logout_redirect_uri"]})

    def _token(self, request: Request) -> Response:
        form, authorization = request.form, request.authorization
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "")
        is_client = authorization is not None and (authorization.username, authorization.password) == (
            CLIENT_ID,
            CLIENT_SECRET,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if (
            not is_client
            or asked is None
            or (challenge, form.get("redirect_uri"))
            != (
                asked["code_challenge"],
                asked["redirect_uri"],
            )
        ):
            return _json({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(24)
        person = self.told["person"]
        self.access[access] = person
        claims = {
            "iss": self.url, "aud": CLIENT_ID, "exp": int(time.time()) + 300, "iat": int(time.time()),
            "nonce": asked["nonce"], **person,
        }  # fmt: skip
        if self.told.get("has_userinfo"):
            claims = {name: value for name, value in claims.items() if not name.startswith("email")}
        token = self._signed(claims, self.told.get("lie"))
        self.issued += [access, verifier, *([token] if token else [])]
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token}
        if self.told.get("lie") == "no_token":
            del answer["id_token"]
        return _json(answer)

    def _userinfo(self, request: Request) -> Response:
        assert request.authorization is not None
        person = dict(self.access[request.authorization.token or ""])
        return _json({**person, "sub": "another"} if self.told.get("lie") == "userinfo" else person)

    def _signed(self, claims: dict[str, Any], lie: str | None) -> str:
        claims = {name: value for name, value in {**claims, **LIES.get(lie or "", {})}.items() if value is not None}
        header = {"alg": "RS256", "kid": "one"}
        if lie == "alg_none":
            parts = ({"alg": "none"}, claims)
            return ".".join(_base64(json.dumps(part).encode()) for part in parts) + "."
        if lie == "alg_hs256":
            # The public key as the secret of an HMAC: what takes any algorithm believes it.
            parts = ({"alg": "HS256", "kid": "one"}, claims)
            signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
            signature = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
            return f"{signed}.{_base64(signature)}"
        if lie == "kid":
            header["kid"] = "unknown"
        token = jwt.encode(header, claims, self.other if lie == "signature" else self.key)
        if lie == "changed":
            head, _, signature = token.split(".")
            return f"{head}.{_base64(json.dumps({**claims, 'sub': 'root'}).encode())}.{signature}"
        return "no.jwt" if lie == "no_jwt" else token


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def main() -> None:
    """Serve on a free port, whose address is the first line of the output, until killed."""
    application = _Server()
    server = make_server("localhost", 0, application, threaded=True)
    application.url = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    sys.stdout.write(application.url + "\n")
    sys.stdout.flush()
    thread.join()


if __name__ == "__main__":
    main()
