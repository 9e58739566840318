"""A portal on a fresh database: SQLite in a temporary folder, and PostgreSQL for what differs between the two."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ml.sandbox.decoder import Decoder
from ml.scans import Limits
from tests.support.resources import make_settings
from tests.support.servers import postgres_programs, postgres_server
from webapp.context import EXTENSION
from webapp.domain.database import migration
from webapp.domain.resources import Resources
from webapp.factory import create_app

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
def resources(database_url: str, tmp_path: Path) -> Iterator[Resources]:
    """A portal whose broker is away."""
    resources = Resources.open(make_settings(tmp_path, DATABASE_URL=database_url))
    yield resources
    resources.close()


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    """One decode server for all applications, with the default limits: a start costs half a second."""
    settings = make_settings(Path("unused"), GLIOSCOPE_SECRET_KEY="x" * 32)
    decoder = Decoder(Limits(max_bytes=settings.max_upload_bytes, max_slices=settings.max_slices))
    yield decoder
    decoder.close()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database to copy from."""
    path = tmp_path_factory.mktemp("empty") / "glioscope.sqlite3"
    migration.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def make_app(tmp_path: Path, decoder: Decoder, empty_sqlite: Path) -> Iterator[Callable[..., Flask]]:
    """Make an application over a database of its own (SQLite unless DATABASE_URL is given), without a broker."""
    apps: list[Flask] = []

    def make(**environ: str) -> Flask:
        folder = tmp_path / f"app{len(apps)}"
        (folder / "instance").mkdir(parents=True)
        if "DATABASE_URL" not in environ:
            shutil.copy(empty_sqlite, folder / "instance" / "glioscope.sqlite3")
        app = create_app(make_settings(folder, **environ))
        app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], decoder=decoder)
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.extensions[EXTENSION].database.dispose()
        app.extensions[EXTENSION].queue.close()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The application on SQLite: no broker, no worker."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def any_app(database_url: str, make_app: Callable[..., Flask]) -> Flask:
    """The application on both databases in turn."""
    return make_app(DATABASE_URL=database_url)


def _create(where: str, name: str, *, template: str) -> None:
    import psycopg

    with psycopg.connect(f"{where.replace('&', ' ')} dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
