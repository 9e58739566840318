"""Every route for every kind of caller: what a role may do, and that nobody reaches what is another's.

A new route must be listed in LEAST, or the suite fails.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.accounts import add_token, add_user, log_in, token_of
from tests.webapp.clients import SCANS, finish, resources_of, sent
from tests.webapp.test_security import EVALUATION, ROUTES
from webapp import accounts, audit_trail
from webapp.context import PROGRAMS
from webapp.domain.accounts import tokens as api_tokens
from webapp.domain.accounts import users
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import Role
from webapp.domain.database import ownership
from webapp.domain.evaluations import submission
from webapp.domain.evaluations.submission import EvaluationOptions
from webapp.domain.scans import studies

UNKNOWN = "f" * 32
CANARY = "canary-of-ruth"
# Of the users' own pages and the administrators', which a portal without users has not.
OF_USERS = {
    ("GET", "/login"): "public",
    ("POST", "/login"): "public",
    ("GET", "/login/code"): "public",
    ("POST", "/login/code"): "public",
    ("POST", "/logout"): "viewer",
    ("GET", "/account"): "viewer",
    ("POST", "/account/password"): "viewer",
    ("GET", "/account/second-factor"): "viewer",
    ("POST", "/account/second-factor"): "viewer",
    ("POST", "/account/second-factor/on"): "viewer",
    ("POST", "/account/second-factor/codes"): "viewer",
    ("POST", "/account/second-factor/off"): "viewer",
    ("POST", "/account/tokens"): "viewer",
    ("POST", "/account/tokens/<hex_id:token_id>/revoke"): "viewer",
    ("GET", "/admin"): "admin",
    ("POST", "/admin/users"): "admin",
    ("POST", "/admin/users/<hex_id:user_id>"): "admin",
    ("POST", "/admin/tokens/<hex_id:token_id>/revoke"): "admin",
}
# Where they log in at a provider.
OF_OIDC = {("GET", "/login/oidc"): "public", ("GET", "/login/oidc/done"): "public"}
EXCEPTIONS = {
    ("GET", "/healthz"): "public",
    ("GET", "/readyz"): "public",
    ("GET", "/static/<path:filename>"): "public",
    ("GET", "/metrics"): "admin",
    ("GET", "/admin/audit"): "admin",
    ("GET", "/admin/audit.jsonl"): "admin",
    ("GET", "/monai/auth/"): "public",
    ("POST", "/monai/auth/token"): "public",
    ("POST", "/api/v1/scans/download.zip"): "viewer",
    ("POST", "/scans/download"): "viewer",
    ("GET", "/evaluations/new"): "researcher",
    ("GET", "/api/v1/evaluations/folders"): "researcher",
}
# The least role of each route: reading is a viewer's, changing a researcher's.
LEAST = {
    **{key: "viewer" if key[0] == "GET" else "researcher" for key in ROUTES},
    **EXCEPTIONS,
    **OF_USERS,
}
USERS = {"vera": Role.VIEWER, "ruth": Role.RESEARCHER, "otto": Role.RESEARCHER, "root": Role.ADMIN}
# What a visitor of the public demonstration is refused (403); the metrics, and users' pages, are not there (404).
NOT_IN_DEMO = {
    key
    for key in ROUTES
    if re.match(r"/(evaluations|api/v1/evaluations|monai|sequences)\b", key[1]) or key[1].endswith("/sequences")
}
RANKS = {"public": 0, "viewer": 1, "researcher": 2, "admin": 3}


@dataclass
class Portal:
    """A portal with users, and what `ruth` has in it: by the name of the id in a route."""

    app: Flask
    owned: dict[str, str]

    def path(self, rule: str, ids: dict[str, str] | str) -> str:
        """The route's address, with these ids or with one for all."""

        def id_of(found: re.Match[str]) -> str:
            return ids if isinstance(ids, str) else ids[found.group(1)]

        path = re.sub(r"<hex_id:(\w+)>", id_of, self.rules.get(rule, rule)).replace("<int:position>", "0")
        path = re.sub(r"<any\('?([^,')]+)[^>]*>", r"\1", path)  # the first of several
        return re.sub(r"<[^>]+>", "none-such", path)

    @property
    def rules(self) -> dict[str, str]:
        """The routes as Flask has them, by what ROUTES calls them."""
        rules = (rule.rule for rule in self.app.url_map.iter_rules())
        return {re.sub(r"<any\([^)]*\):(\w+)>", r"<\1>", rule): rule for rule in rules}


@pytest.fixture
def portal(make_app: Callable[..., Flask]) -> Iterator[Portal]:
    app = make_app(GLIOSCOPE_AUTH="password")
    for name, role in USERS.items():
        add_user(app, name, role)
    browser, resources = log_in(app, "ruth"), resources_of(app)
    scan = sent(browser, f"{CANARY}.png", form={"study": f"{CANARY} study"})
    ownership.act_as(None)
    finish(resources, scan["segmentation"]["id"])
    with resources.database.write() as session:
        ruth = users.named(session, "ruth")
        row, _ = api_tokens.create(session, ruth, CANARY, [Scope.READ], 1)
        ids = {"token_id": row.id, "user_id": ruth.id}
    ownership.act_as(ids["user_id"])
    folder = resources.settings.evaluation_roots[0] / CANARY
    folder.mkdir(parents=True)
    evaluation_id = submission.from_folder(resources, str(folder), EvaluationOptions())
    with resources.database.read() as session:
        (study,) = studies.page(session, limit=1).rows
    ids |= {"scan_id": scan["id"], "segmentation_id": scan["segmentation"]["id"], "study_id": study.id}
    audit_trail.viewed.clear()
    yield Portal(app, ids | {"evaluation_id": evaluation_id})
    ownership.act_as(None)


def ask(client: FlaskClient, method: str, path: str, page: str = "/login", **options: object) -> tuple[int, str]:
    """Status and text of an answer, without what differs at every request. page: one with the form token."""
    data = (
        {"csrf_token": token_of(client.get(page, follow_redirects=True).text)}
        if method == "POST" and not path.startswith("/api/")
        else None
    )
    with client.open(path, method=method, data=data, **options) as response:
        text = response.get_data().decode("latin-1")
    for varying in (r'content="[^"]*"', r'value="[^"]*"', r"<code>[0-9a-f]{16}</code>", r'"request_id":\s*"\w*"'):
        text = re.sub(varying, "", text)
    return response.status_code, text


@pytest.mark.parametrize("further", [{}, OF_OIDC], ids=["password", "oidc"])
def test_every_route_has_its_least_role_here(
    portal: Portal, make_app: Callable[..., Flask], further: dict[tuple[str, str], str]
) -> None:
    names = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")
    of_oidc = {f"GLIOSCOPE_OIDC_{name}": "https://login.example.org" for name in names}
    app = make_app(GLIOSCOPE_AUTH="oidc", **of_oidc) if further else portal.app
    every = LEAST | further
    found = {
        (method, re.sub(r"<any\([^)]*\):(\w+)>", r"<\1>", rule.rule)): rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert set(found) == set(every)
    for (method, rule), endpoint in found.items():
        if every[method, rule] != "public":
            assert accounts.required_role(endpoint, method) == every[method, rule], (method, rule)
        assert (endpoint in accounts.PUBLIC) == (every[method, rule] == "public")


@pytest.mark.parametrize("name", ["nobody", "vera", "otto", "root"])
def test_nobody_reaches_what_is_anothers(portal: Portal, name: str) -> None:
    """An id of another's is answered as one that nobody has, and lists do not show it: leaks 0."""
    client = portal.app.test_client() if name == "nobody" else log_in(portal.app, name)
    role = "public" if name == "nobody" else USERS[name].value
    leaks = []
    for (method, rule), least in LEAST.items():
        if rule == "/logout" or (name == "root" and least == "admin"):
            continue
        status, text = ask(client, method, portal.path(rule, portal.owned))
        if "<hex_id" in rule:
            unknown, expected = ask(client, method, portal.path(rule, UNKNOWN))
            if (status, text.replace(rule_id(rule, portal), "")) != (unknown, expected.replace(UNKNOWN, "")):
                leaks.append((method, rule, status, unknown))
        if CANARY in text and rule not in ("/evaluations/new", "/api/v1/evaluations/folders"):
            leaks.append((method, rule, status, "shows it"))
        is_allowed = RANKS[role] >= RANKS[least]
        if name == "nobody" and least != "public":
            assert status in ((401,) if rule.startswith(PROGRAMS) or rule == "/metrics" else (303, 400)), (
                method,
                rule,
            )
        elif not is_allowed:
            assert status == (404 if least == "admin" else 403), (method, rule, status)
        elif least != "public":
            assert status not in (401, 403), (method, rule, status)
    assert leaks == []
    # All of it is still there for whose it is.
    owner = log_in(portal.app, "ruth")
    for (method, rule), least in LEAST.items():
        if method == "GET" and "<hex_id" in rule and least != "admin" and "none-such" not in rule:
            status, _ = ask(owner, method, portal.path(rule, portal.owned))
            assert status != 404 or rule in WITHOUT_ONE, rule


@pytest.fixture
def demo(make_app: Callable[..., Flask]) -> Iterator[Portal]:
    """A public demonstration, and what one visitor has in it."""
    app = make_app(GLIOSCOPE_AUTH="demo", GLIOSCOPE_DEMO_CHANGES="10000", GLIOSCOPE_DEMO_REQUESTS="10000")
    visitor, resources = new_visitor(app), resources_of(app)
    scan = sent(visitor, f"{CANARY}.png", form={"study": f"{CANARY} study"})
    ownership.act_as(None)
    finish(resources, scan["segmentation"]["id"])
    with resources.database.read() as session:
        (study,) = studies.page(session, limit=1).rows
    # A visitor makes no evaluation; the id is one that nobody has.
    ids = {"scan_id": scan["id"], "segmentation_id": scan["segmentation"]["id"], "study_id": study.id}
    yield Portal(app, ids | {"evaluation_id": "e" * 32})
    ownership.act_as(None)


def new_visitor(app: Flask) -> FlaskClient:
    """A browser that has looked at the first page."""
    client = app.test_client()
    assert client.get("/").status_code == 200
    return client


def test_a_visitor_reaches_what_is_offered_and_nothing_of_anothers(demo: Portal) -> None:
    found = {(method, rule.rule) for rule in demo.app.url_map.iter_rules() for method in rule.methods}
    assert not {key for key in OF_USERS if key in found}
    client, leaks = new_visitor(demo.app), []
    for method, rule in ROUTES:
        status, text = ask(client, method, demo.path(rule, demo.owned), page="/")
        if (method, rule) in NOT_IN_DEMO:
            assert status == 403 and ("demo" in text or "demonstration" in text), (method, rule, status)
        elif rule == "/metrics" or rule.startswith("/admin/"):
            assert status == 404
        else:
            assert status not in (401, 403), (method, rule, status)
        if "<hex_id" in rule:
            unknown, expected = ask(client, method, demo.path(rule, UNKNOWN), page="/")
            if (status, text.replace(rule_id(rule, demo), "")) != (unknown, expected.replace(UNKNOWN, "")):
                leaks.append((method, rule, status, unknown))
        if CANARY in text:
            leaks.append((method, rule, status, "shows it"))
    assert leaks == []
    with resources_of(demo.app).database.read() as session:
        session.info.clear()
        (kept,) = studies.page(session, limit=1).rows
    assert kept.name == f"{CANARY} study"


def rule_id(rule: str, portal: Portal) -> str:
    """The id of ruth's that stands in the route's address."""
    return portal.owned[re.search(r"<hex_id:(\w+)>", rule).group(1)]


# What a queued evaluation, and a picture, do not have.
WITHOUT_ONE = {
    f"{EVALUATION}/cases/<int:position>",
    f"{EVALUATION}/cases/<int:position>/<kind>.png",
    f"{EVALUATION}/findings.json",
    f"{EVALUATION}/<name>",
    f"{EVALUATION}/figures/<figure>.svg",
    "/evaluations/<hex_id:evaluation_id>/cases/<int:position>",
    "/evaluations/<hex_id:evaluation_id>/compare",
}


@pytest.mark.parametrize("scopes", [(Scope.METRICS,), (Scope.READ,), (Scope.WRITE,)], ids=str)
def test_a_token_does_what_its_scopes_say(portal: Portal, scopes: tuple[Scope, ...]) -> None:
    header = add_token(portal.app, "root", scopes)
    client = portal.app.test_client()
    for (method, rule), least in LEAST.items():
        if least == "public":
            continue
        reads = method == "GET" or rule == "/api/v1/scans/download.zip"
        needed = Scope.METRICS if rule == "/metrics" else Scope.READ if reads else Scope.WRITE
        is_open = (rule.startswith(PROGRAMS) or rule == "/metrics") and needed in scopes
        with client.open(portal.path(rule, portal.owned), method=method, headers=header) as response:
            refused = (403,) if rule.startswith(PROGRAMS) or reads else (400, 403)
            assert (response.status_code in refused) != is_open or (is_open and response.status_code == 400), rule
        assert "Set-Cookie" not in response.headers or not rule.startswith(PROGRAMS)


def test_a_zip_of_several_has_nothing_of_anothers(portal: Portal) -> None:
    client = log_in(portal.app, "otto")
    sent(client, "mine.png")
    with client.post(f"{SCANS}/download.zip", json={"scans": [portal.owned["scan_id"]]}) as response:
        assert CANARY.encode() not in response.get_data()
    with client.get(f"{SCANS}/history.csv") as table:
        assert CANARY not in table.text and "mine.png" in table.text
    for query in ("canary", portal.owned["study_id"]):
        assert CANARY not in client.get(f"/scans?query={query}&study={portal.owned['study_id']}").text
