"""Portals with users: browsers that have logged in, and programs with tokens."""

from collections.abc import Iterable

from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.clients import resources_of, token
from webapp.domain.accounts import audit, tokens, users
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import AuditEntry, Role
from webapp.domain.database import ownership

PASSWORD = "correct horse battery"


def add_user(app: Flask, name: str, role: Role) -> str:
    """A user with PASSWORD; their id."""
    with resources_of(app).database.write() as session:
        return users.create(session, name, PASSWORD, role)


def login_token(client: FlaskClient) -> str:
    """The form token of the login page."""
    return token_of(client.get("/login").text)


def token_of(page: str) -> str:
    """The form token of a page."""
    return page.split('name="csrf-token" content="', 1)[1].split('"', 1)[0]


def log_in(app: Flask, name: str, password: str = PASSWORD) -> FlaskClient:
    """A browser in which this user has logged in."""
    client = app.test_client()
    form = {"csrf_token": login_token(client), "name": name, "password": password}
    answer = client.post("/login", data=form)
    assert answer.status_code == 303, answer.text
    return client


def add_token(app: Flask, name: str, scopes: Iterable[Scope], days: int = 1) -> dict[str, str]:
    """The header of a new token of this user."""
    with resources_of(app).database.write() as session:
        _, text = tokens.create(session, users.named(session, name), "test", scopes, days)
    return {"Authorization": f"Bearer {text}"}


def post_form(client: FlaskClient, path: str, **fields: str | list[str]) -> object:
    """Send a form with its token."""
    return client.post(path, data={"csrf_token": token(client), **fields})


def try_password(app: Flask, name: str, password: str) -> int:
    """The status of the answer to a login in a browser of its own."""
    client = app.test_client()
    form = {"csrf_token": login_token(client), "name": name, "password": password}
    return client.post("/login", data=form).status_code


def invoke(app: Flask, *words: str, typed: str = PASSWORD + "\n") -> str:
    """What the command says: of a failure its sentence."""
    result = app.test_cli_runner().invoke(args=list(words), input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def lines(app: Flask) -> list[AuditEntry]:
    """Every line of the audit log."""
    ownership.act_as(None)
    with resources_of(app).database.read() as session:
        return list(audit.every(session))
