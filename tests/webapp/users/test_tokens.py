"""Tokens: what they open, and what ends them."""

import re

from flask import Flask
from sqlalchemy import select

from tests.conftest import on_both
from tests.support.resources import png_bytes
from tests.webapp.accounts import PASSWORD, add_token, log_in, post_form
from tests.webapp.clients import SCANS, resources_of, send, sent
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import ApiToken
from webapp.domain.database.clock import database_now


@on_both
def test_tokens_open_what_their_scopes_say_and_nothing_in_an_address(app: Flask) -> None:
    client = app.test_client()
    reads, writes = add_token(app, "ruth", [Scope.READ]), add_token(app, "ruth", [Scope.WRITE])
    assert client.get(SCANS, headers=reads).status_code == 200
    assert send(client, ("a.png", png_bytes()), headers=reads).json["code"] == "role"
    assert send(client, ("a.png", png_bytes()), headers=writes).status_code == 202
    assert client.get(SCANS, headers=writes).status_code == 403
    assert client.get("/scans", headers=reads).status_code == 403
    assert client.get("/account", headers=reads).status_code == 403
    text = reads["Authorization"].split()[1]
    for wrong in (f"Bearer {text}x", f"Basic {text}", "Bearer", text):
        answer = client.get(SCANS, headers={"Authorization": wrong})
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
    for query in (f"?token={text}", f"?access_token={text}", f"?Authorization=Bearer {text}"):
        assert client.get(SCANS + query).status_code == 401


@on_both
def test_a_token_that_is_over_or_revoked_opens_nothing_and_is_kept_hashed(app: Flask) -> None:
    client, header = app.test_client(), add_token(app, "ruth", [Scope.READ])
    database = resources_of(app).database
    with database.write() as session:
        row = session.scalars(select(ApiToken)).one()
        assert row.digest not in header["Authorization"] and len(row.digest) == 64
        row.expires_at = session.scalar(select(database_now(-1)))
    refused = client.get(SCANS, headers=header)
    assert refused.status_code == 401 and "over or revoked" in refused.json["message"]
    assert "send an API token" in client.get(SCANS).json["message"]
    browser = log_in(app, "ruth")
    form = {"label": "notebook", "scope": "read", "days": "7"}
    for wrong in ({}, {"password": "not the password"}):
        refused = post_form(browser, "/account/tokens", **form, **wrong)
        assert refused.status_code == 422 and "The password is wrong." in refused.text
    made = post_form(browser, "/account/tokens", **form, password=PASSWORD)
    text = re.search(r"glioscope_[\w-]{43}", made.text).group()
    assert client.get(SCANS, headers={"Authorization": f"Bearer {text}"}).status_code == 200
    assert text not in browser.get("/account").text
    with database.read() as session:
        token_id = session.scalars(select(ApiToken.id).where(ApiToken.label == "notebook")).one()
    other = log_in(app, "root")
    assert post_form(other, f"/account/tokens/{token_id}/revoke").status_code == 404
    assert post_form(browser, f"/account/tokens/{token_id}/revoke").status_code == 303
    assert client.get(SCANS, headers={"Authorization": f"Bearer {text}"}).status_code == 401


def test_metrics_are_an_administrators_by_token(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=add_token(app, "root", [Scope.READ])).status_code == 403
    sent(client, headers=add_token(app, "ruth", [Scope.WRITE]))
    answer = client.get("/metrics", headers=add_token(app, "root", [Scope.METRICS]))
    assert 'glioscope_jobs{status="queued"} 1.0' in answer.text
