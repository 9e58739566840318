"""What it costs to read a list: in calls of functions, which a busy machine does not change."""

import sys
from types import FrameType

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, update

from bench.history import add_scans
from tests.webapp.clients import resources_of
from webapp.domain.database.engine import Database
from webapp.domain.scans.models import Segmentation

# Of any number of rows.
MOST_QUERIES = 6


def calls(client: FlaskClient, path: str) -> int:
    """How many Python functions it calls to answer, once everything that is made once is made."""
    count = 0

    def see(_frame: FrameType, what: str, _argument: object) -> None:
        nonlocal count
        count += what == "call"

    for _ in range(2):
        assert client.get(path).status_code == 200
    earlier = sys.getprofile()
    sys.setprofile(see)
    try:
        client.get(path)
    finally:
        sys.setprofile(earlier)
    return count


def queries(database: Database, client: FlaskClient, path: str) -> int:
    """How many SELECTs it asks."""
    said: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        said.append(statement)

    event.listen(database.engine, "before_cursor_execute", hear)
    try:
        client.get(path)
    finally:
        event.remove(database.engine, "before_cursor_execute", hear)
    return sum(statement.startswith("SELECT") for statement in said)


# Calls a row of one slice and of a stack; before lists said only what they show, 1,475 and 13,360, 1,074 and 12,959,
# 1,615 and 13,500. A page's frame is in them.
LISTS = (("/scans", 50, 900, 1300), ("/api/v1/scans?limit=50", 50, 800, 1500), ("/", 12, 1100, 1700))


@pytest.mark.parametrize(("path", "rows", "most", "most_of_stacks"), LISTS)
def test_a_list_costs_little_a_row(app: Flask, path: str, rows: int, most: int, most_of_stacks: int) -> None:
    database, client = resources_of(app).database, app.test_client()
    add_scans(database, rows)
    assert calls(client, path) / rows < most
    slices = [
        {"index": index, "tumor_pixels": 0, "max_probability": 0.1, "uncounted_pixels": 0} for index in range(155)
    ]
    with database.write() as session:
        session.execute(update(Segmentation).values(slices=slices))
    assert calls(client, path) / rows < most_of_stacks
    assert queries(database, client, path) <= MOST_QUERIES


def test_addresses_have_the_path_under_which_the_portal_is_reached(app: Flask) -> None:
    add_scans(resources_of(app).database, 1)
    for prefix in ("", "/portal", ""):
        environ = {"SCRIPT_NAME": prefix}
        (scan,) = app.test_client().get("/api/v1/scans", environ_overrides=environ).json["scans"]
        assert scan["links"]["page"] == f"{prefix}/scans/{scan['id']}"
        assert scan["links"]["overlay"] == f"{prefix}/api/v1/scans/{scan['id']}/overlay.png"
