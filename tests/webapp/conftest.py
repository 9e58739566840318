"""A portal on a fresh database."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import argon2
import pytest
from flask import Flask
from flask.testing import FlaskClient

from ml.datasets.case_reader import CaseReader
from ml.datasets.checking.file_checks import FileChecker
from ml.sandbox.decoder import Decoder
from ml.scans import Limits
from tests.support.evaluations import write_data_set
from tests.support.resources import make_settings
from tests.worker.conftest import BrightnessEngine, runtime_with
from webapp import audit_trail
from webapp.context import EXTENSION
from webapp.domain.database import ownership
from webapp.domain.resources import Resources
from webapp.factory import create_app
from worker.process.runtime import Runtime

# What an application reads through its services alone.
SERVICES = {"DATABASE_URL", "REDIS_URL"}
# Of Flask's part, but of so many tests that applications are kept for them by its value.
AUTH = "GLIOSCOPE_AUTH"


@pytest.fixture(scope="session", autouse=True)
def statements_are_compiled_once(statements: None) -> None:
    """Each test has a database of its own."""


@pytest.fixture(autouse=True)
def nobody_asks() -> Iterator[None]:
    """No test knows what another one viewed, or who it was."""
    audit_trail.viewed.clear()
    yield
    ownership.act_as(None)


@pytest.fixture
def resources(database_url: str, tmp_path: Path) -> Iterator[Resources]:
    """A portal whose broker is away."""
    resources = Resources.open(make_settings(tmp_path, DATABASE_URL=database_url))
    yield resources
    resources.close()


@pytest.fixture
def runtime(
    resources: Resources, case_reader: CaseReader, file_checker: FileChecker, monkeypatch: pytest.MonkeyPatch
) -> Runtime:
    """A worker in this process with a fake engine."""
    return runtime_with(BrightnessEngine(), resources, case_reader, file_checker, monkeypatch)


@pytest.fixture
def data(resources: Resources) -> Path:
    """A data set below the first of the portal's roots."""
    return write_data_set(resources.settings.evaluation_roots[0] / "set")


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    """One decode server for all applications, with the default limits: a start costs half a second."""
    settings = make_settings(Path("unused"), GLIOSCOPE_SECRET_KEY="x" * 32)
    decoder = Decoder(Limits(max_bytes=settings.max_upload_bytes, max_slices=settings.max_slices))
    yield decoder
    decoder.close()


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """A hash as the portal makes it takes a core a sixth of a second; tests/webapp/domain/accounts asks for that."""
    cheap = partial(argon2.PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argon2, "PasswordHasher", cheap)
        yield


@pytest.fixture(scope="session")
def spare_apps() -> dict[str, list[Flask]]:
    """Applications that no test uses now, by AUTH: most of a short test would go into building one and compiling its
    pages."""
    return defaultdict(list)


@pytest.fixture
def make_app(
    tmp_path: Path, decoder: Decoder, empty_sqlite: Path, spare_apps: dict[str, list[Flask]]
) -> Iterator[Callable[..., Flask]]:
    """Make an application over services of its own (SQLite unless DATABASE_URL is given), without a broker.

    Flask's part of it may have been another test's: not with `is_new`, for tests that add routes, count requests or ask
    what a page remembers, and not with settings that may be of that part.
    """
    apps: list[Flask] = []
    kept: list[tuple[str, Flask]] = []

    def make(*, is_new: bool = False, **environ: str) -> Flask:
        folder = tmp_path / f"app{len(apps)}"
        (folder / "instance").mkdir(parents=True)
        if "DATABASE_URL" not in environ:
            shutil.copy(empty_sqlite, folder / "instance" / "glioscope.sqlite3")
        settings = make_settings(folder, **environ)
        if is_new or environ.keys() - SERVICES - {AUTH}:
            app = create_app(settings)
        else:
            spare = spare_apps[settings.auth]
            app = spare.pop() if spare else create_app(settings)
            kept.append((settings.auth, app))
        app.extensions[EXTENSION] = replace(Resources.open(settings), decoder=decoder)
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.extensions[EXTENSION].database.dispose()
        app.extensions[EXTENSION].queue.close()
    for auth, app in kept:
        spare_apps[auth].append(app)


@pytest.fixture
def database_environ(request: pytest.FixtureRequest) -> dict[str, str]:
    """What chooses an application's database: SQLite, and for tests `on_both` PostgreSQL, too."""
    is_postgres = getattr(request, "param", "sqlite") == "postgresql"
    return {"DATABASE_URL": request.getfixturevalue("postgres_url")} if is_postgres else {}


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
