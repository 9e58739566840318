"""A portal on a fresh database: SQLite in a temporary folder, and PostgreSQL for what differs between the two."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.portals import make_settings
from tests.servers import postgres_programs, postgres_server
from webapp.domain import migration
from webapp.domain.portal import Portal

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of this test run, with a migrated database `empty` to copy from."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server programs: install the package postgresql")
    with postgres_server(programs) as where:
        _create(where, "empty", template="template1")
        migration.upgrade(f"postgresql+psycopg:///empty?{where}")
        yield where


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """A database of its own, migrated."""
    name = f"test_{next(_numbers)}"
    _create(postgres, name, template="empty")
    return f"postgresql+psycopg:///{name}?{postgres}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases in turn."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    url = f"sqlite:///{tmp_path / 'instance' / 'glioscope.sqlite3'}"
    migration.upgrade(url)
    return url


@pytest.fixture
def portal(database_url: str, tmp_path: Path) -> Iterator[Portal]:
    """A portal whose broker is away."""
    portal = Portal.open(make_settings(tmp_path, DATABASE_URL=database_url))
    yield portal
    portal.close()


def _create(where: str, name: str, *, template: str) -> None:
    import psycopg

    with psycopg.connect(f"{where.replace('&', ' ')} dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
