"""A viewer's login, and the tokens that stand in its place."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.webapp.accounts import PASSWORD, add_token, add_user, log_in, post_form
from tests.webapp.clients import SCANS, resources_of
from tests.webapp.monai.calls import head, label, store_image, store_label
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import AuditEntry, Role


@pytest.fixture
def with_users(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(GLIOSCOPE_MONAI_LABEL="on", GLIOSCOPE_AUTH="password")
    for name, role in {"root": Role.ADMIN, "ruth": Role.RESEARCHER, "otto": Role.RESEARCHER}.items():
        add_user(app, name, role)
    return app


def viewer_login(app: Flask, name: str, password: str = PASSWORD) -> TestResponse:
    """What `auth_token` of the client does."""
    form = {"username": name, "password": password, "grant_type": "password"}
    return app.test_client().post("/monai/auth/token", data=form)


def bearer(answer: TestResponse) -> dict[str, str]:
    return {"Authorization": f"{answer.json['token_type']} {answer.json['access_token']}"}


def test_the_plug_in_logs_in_with_a_password(with_users: Flask, caplog: pytest.LogCaptureFixture) -> None:
    client = with_users.test_client()
    assert client.get("/monai/auth/").json["enabled"] is True
    assert client.get("/monai/info/").status_code == client.get("/monai/auth/token/valid").status_code == 401
    answers = [viewer_login(with_users, "ruth", word) for word in ("wrong", "")] + [viewer_login(with_users, "nobody")]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert {answer.json["code"] for answer in answers} == {"unauthorized"}

    answer = viewer_login(with_users, "Ruth")
    ruth, otto = bearer(answer), bearer(viewer_login(with_users, "otto"))
    assert client.get("/monai/auth/token/valid", headers=ruth).json["username"] == "ruth"
    scan_id = store_image(client, "FLAIR", head(), headers=ruth)
    assert store_label(client, "FLAIR", label(), headers=ruth).status_code == 200
    # Another's name and id are as ones that nobody has.
    assert [store_label(client, image, label(), headers=otto).status_code for image in ("FLAIR", scan_id)] == [404] * 2
    # It opens the viewers' routes alone, in a header alone.
    assert [client.get(path, headers=ruth).status_code for path in (SCANS, "/api/v1/models", "/metrics")] == [401] * 3
    assert client.get("/scans", headers=ruth).status_code == 303
    assert answer.json["access_token"] not in caplog.text and PASSWORD not in caplog.text
    audit = list(log_of(with_users))
    assert [line.details for line in audit if line.action == "login"][-1] == {"by": "viewer"}
    assert answer.json["access_token"] not in str([vars(line) for line in audit])


def test_a_viewers_login_ends_with_another_password_and_an_api_token_stands_in_its_place(with_users: Flask) -> None:
    client, browser = with_users.test_client(), log_in(with_users, "ruth")
    ruth = bearer(viewer_login(with_users, "ruth"))
    fields = {"old": PASSWORD, "new": "another battery staple", "again": "another battery staple"}
    assert post_form(browser, "/account/password", **fields).status_code == 303
    assert client.get("/monai/info/", headers=ruth).status_code == 401

    token = add_token(with_users, "ruth", [Scope.READ, Scope.WRITE])["Authorization"].split()[1]
    assert viewer_login(with_users, "otto", token).status_code == 401
    answer = viewer_login(with_users, "ruth", token)
    assert answer.json["access_token"] == token
    assert client.get("/monai/info/", headers=bearer(answer)).status_code == 200


def test_guesses_of_passwords_by_a_viewer_are_counted(with_users: Flask) -> None:
    tries = [viewer_login(with_users, "ruth", "wrong") for _ in range(21)]
    assert [answer.status_code for answer in tries] == [401] * 20 + [429]
    assert int(tries[-1].headers["Retry-After"]) == 900 and tries[-1].json["code"] == "too_many_requests"


def test_where_there_are_no_users_nobody_signs_in(served: Flask) -> None:
    client = served.test_client()
    assert client.get("/monai/auth/").json["enabled"] is False
    assert viewer_login(served, "x", "y").json == {"access_token": None, "token_type": None}
    assert client.get("/monai/auth/token/valid").status_code == 200


def log_of(app: Flask) -> list[AuditEntry]:
    with resources_of(app).database.read() as rows:
        return list(rows.scalars(select(AuditEntry).order_by(AuditEntry.number)))
