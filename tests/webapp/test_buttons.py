"""Every page as everybody: no form, button or link that they are shown is refused to them."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.resources import png_bytes
from tests.webapp.accounts import add_user, log_in, token_of
from tests.webapp.clients import finish, resources_of, send, sent
from webapp.domain.accounts import users
from webapp.domain.accounts.models import Role
from webapp.domain.database import ownership
from webapp.domain.evaluations import submission
from webapp.domain.evaluations.submission import EvaluationOptions

MOST_PAGES = 60


@dataclass
class Page(HTMLParser):
    """The addresses that a page sends people to, as (method, path)."""

    at: str
    found: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and (href := values.get("href")):
            self._add("GET", href)
        if tag == "form":
            self._add((values.get("method") or "get").upper(), values.get("action") or self.at)
        if tag in ("button", "input") and (action := values.get("formaction")):
            self._add("POST", action)

    def _add(self, method: str, href: str) -> None:
        parts = urlsplit(urljoin(f"http://localhost{self.at}", href))
        if parts.netloc == "localhost" and method in ("GET", "POST"):
            self.found.add((method, parts.path + (f"?{parts.query}" if parts.query else "")))


def fill(app: Flask, client: FlaskClient, owner_id: str | None) -> None:
    """What makes the pages show all that they can: a result, a stack with a study and a mask, one that waits, one
    that was cancelled, and an evaluation."""
    resources = resources_of(app)
    scan = sent(client, "slice.png")
    stack = [(f"p_{n}.png", png_bytes(value=50 + n)) for n in range(2)]
    made = send(client, *stack, form={"group": "auto", "study": "A study"}).json["scans"][0]
    mask = [("file", (io.BytesIO(png_bytes()), f"m_{n}.png")) for n in range(2)]
    form = {"csrf_token": token_of(client.get("/").text), "file": [part for _, part in mask]}
    assert client.post(f"/scans/{made['id']}/truth", data=form).status_code == 303
    sent(client, "waits.png", png_bytes(value=20))
    stopped = sent(client, "stopped.png", png_bytes(value=30))["segmentation"]["id"]
    client.post(f"/api/v1/segmentations/{stopped}/cancel")
    ownership.act_as(None)
    for run in (scan["segmentation"]["id"], made["segmentation"]["id"]):
        finish(resources, run)
    if owner_id is not None:
        ownership.act_as(owner_id)
        folder = resources.settings.evaluation_roots[0] / "set"
        folder.mkdir(parents=True)
        submission.from_folder(resources, str(folder), EvaluationOptions())
        ownership.act_as(None)


@pytest.fixture(autouse=True)
def _nobody_asks_any_more() -> Iterator[None]:
    yield
    ownership.act_as(None)


@pytest.mark.parametrize("name", ["local", "viewer", "researcher", "admin", "demo"])
def test_no_form_or_link_that_is_shown_is_refused(make_app: Callable[..., Flask], name: str) -> None:
    if name in ("local", "demo"):
        app = make_app(GLIOSCOPE_AUTH=name, GLIOSCOPE_DEMO_CHANGES="10000")
        client = app.test_client()
        client.get("/")
        fill(app, client, ownership.LOCAL if name == "local" else None)
    else:
        app = make_app(GLIOSCOPE_AUTH="password")
        add_user(app, "root", Role.ADMIN)
        owner_id = add_user(app, "somebody", Role.ADMIN)
        client = log_in(app, "somebody")
        fill(app, client, owner_id)
        with resources_of(app).database.write() as session:
            users.set_role(session, users.named(session, "somebody"), Role(name))
    waiting, pages, posts = [("GET", "/"), ("GET", "/scans?sort=study")], set(), set()
    refused = []
    while waiting and len(pages) < MOST_PAGES:
        method, path = waiting.pop(0)
        if (method, path) in pages:
            continue
        pages.add((method, path))
        with client.get(path) as answer:
            if answer.status_code in (401, 403, 404, 405):
                refused.append((path, answer.status_code))
            if answer.mimetype != "text/html" or answer.status_code != 200:
                continue
            page = Page(path)
            page.feed(answer.text)
        waiting += sorted(item for item in page.found if item[0] == "GET" and item not in pages)
        posts |= {item for item in page.found if item[0] == "POST"}
    assert refused == [] and len(pages) > 20
    # The log-out, and what deletes, last; nothing is confirmed.
    for _, path in sorted(posts, key=lambda item: ("logout" in item[1], "delete" in item[1], item[1])):
        token = token_of(client.get("/").text)
        with client.post(path, data={"csrf_token": token}) as answer:
            if answer.status_code in (401, 403, 405):
                refused.append((path, answer.status_code))
    assert refused == []
    changes = {path for _, path in posts if not path.startswith(("/account", "/logout", "/scans/download"))}
    if name == "viewer":
        assert changes == set()
    else:
        assert {"/scans", "/scans/bulk"} < changes and any("/samples/" in path for path in changes)
        assert any(path.endswith("/retry") for path in changes) and any(path.endswith("/cancel") for path in changes)
        assert any("/admin/" in path for path in changes) == (name == "admin")
        assert any("/evaluations" in path for path in changes) == (name != "demo")
