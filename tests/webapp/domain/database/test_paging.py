"""Cursors: what another order, another type or a hostile value in one is answered."""

import base64
import json

import pytest
from sqlalchemy import select

from webapp.domain.database import paging
from webapp.domain.database.paging import Keyset
from webapp.domain.errors import InvalidInput
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Scan

NAMES = Keyset("name", (Scan.sort_name, Scan.id))
TIMES = Keyset("newest", (Scan.created_at, Scan.id), is_descending=True)
WIDTHS = Keyset("width", (Scan.width, Scan.id))
AN_ID = "0" * 32


def cursor(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read(resources: Resources, keyset: Keyset, text: str) -> list[Scan]:
    with resources.database.read() as session:
        return paging.page(session, select(Scan), keyset, limit=5, cursor=text).rows


@pytest.mark.parametrize(
    ("keyset", "values"),
    [(NAMES, ["a"]), (TIMES, ["2026-03-01T00:00:00+00:00"]), (WIDTHS, [256])],
)
def test_a_value_of_the_columns_type_is_taken(resources: Resources, keyset: Keyset, values: list[object]) -> None:
    assert read(resources, keyset, cursor(keyset.name, *values, AN_ID)) == []


@pytest.mark.parametrize(
    ("keyset", "values"),
    [
        (NAMES, ["other", "a", AN_ID]),
        (NAMES, ["name", "a"]),
        (NAMES, ["name", "a", AN_ID, AN_ID]),
        (NAMES, ["name", "a", "no id"]),
        (NAMES, ["name", "a\0", AN_ID]),
        (NAMES, ["name", "\ud800", AN_ID]),
        (NAMES, ["name", None, AN_ID]),
        (TIMES, ["newest", "2026-03-01T00:00:00", AN_ID]),
        (TIMES, ["newest", "9999-12-31T23:59:59-12:00", AN_ID]),
        (TIMES, ["newest", 3, AN_ID]),
        (WIDTHS, ["width", True, AN_ID]),
        (WIDTHS, ["width", 2**31, AN_ID]),
        (WIDTHS, ["width", 1.5, AN_ID]),
        (WIDTHS, ["width", float("inf"), AN_ID]),
    ],
)
def test_any_other_value_is_refused(resources: Resources, keyset: Keyset, values: list[object]) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        read(resources, keyset, cursor(*values))
