"""What all tests share. The real scans are not in the repository: GLIOSCOPE_TEST_DATA says where they are."""

import gc
import itertools
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.bytecode import keep_bytecode
from tests.support.file_scheduling import FileScheduling, slow_files_first
from tests.support.processors import share_processors
from tests.support.sandbox_servers import forked_servers
from tests.support.temporary_files import keep_temporary_files_in_memory

if TYPE_CHECKING:
    from xdist.remote import Producer

    from ml.datasets.case_reader import CaseReader
    from ml.datasets.checking.file_checks import FileChecker
    from tests.support.browsers import Chromium

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))
# For tests of an application whose fixture takes its database from `database_environ` (tests/webapp/conftest.py).
on_both = pytest.mark.parametrize("database_environ", DATABASES, indirect=True)
_numbers = itertools.count()
DEFAULT_DATA = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with `lgg/` and `bootstrap/`; tests that use it carry the marker `data`."""
    folder = Path(os.environ.get("GLIOSCOPE_TEST_DATA", DEFAULT_DATA))
    if not (folder / "lgg").is_dir():
        pytest.skip(f"no real scans: {folder} has no folder lgg; set GLIOSCOPE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Chromium]":
    """One Chromium for all tests with the marker `browser`; each opens a context of its own."""
    from tests.support.browsers import NoBrowser, chromium_browser  # Playwright is imported by those alone

    try:
        with chromium_browser() as browser:
            yield browser
    except NoBrowser as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database to copy from."""
    from webapp.domain.database import migration

    path = tmp_path_factory.mktemp("empty") / "glioscope.sqlite3"
    migration.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of this test run, with a migrated database `empty` to copy from."""
    from tests.support.servers import create_database, postgres_programs, postgres_server
    from webapp.domain.database import migration

    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server programs: install the package postgresql")
    with postgres_server(programs) as where:
        create_database(where, "empty", template="template1")
        migration.upgrade(f"postgresql+psycopg:///empty?{where}")
        yield where


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """A database of its own, migrated."""
    with _postgres_database(postgres) as url:
        yield url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Both databases in turn."""
    with _database(request, tmp_path / "instance") as url:
        yield url


@pytest.fixture(scope="module", params=DATABASES)
def module_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Both databases in turn, one of each for all tests of a file: they must only read."""
    with _database(request, tmp_path_factory.mktemp("module") / "instance") as url:
        yield url


@contextmanager
def _database(request: pytest.FixtureRequest, instance: Path) -> Iterator[str]:
    if request.param == "postgresql":
        with _postgres_database(request.getfixturevalue("postgres")) as url:
            yield url
    else:
        instance.mkdir()
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('empty_sqlite'), instance / 'glioscope.sqlite3')}"


@contextmanager
def _postgres_database(where: str) -> Iterator[str]:
    from tests.support.servers import create_database, drop_database

    name = f"test_{next(_numbers)}"
    create_database(where, name, template="empty")
    yield f"postgresql+psycopg:///{name}?{where}"
    drop_database(where, name)


@pytest.fixture(scope="session", autouse=True)
def sandbox_servers() -> Iterator[None]:
    """Servers of sandboxes are forked with their imports done."""
    with forked_servers():
        yield


@pytest.fixture(scope="session")
def statements() -> Iterator[None]:
    """SQL is compiled once, not once a database."""
    from tests.support.compiled_statements import compiled_once

    with compiled_once():
        yield


@pytest.fixture(scope="session")
def case_reader() -> "Iterator[CaseReader]":
    """One server that reads cases for all runtimes in this process: a start costs most of a second."""
    from ml.datasets.case_reader import CaseReader
    from webapp.domain.settings import Settings

    reader = CaseReader(Settings.from_environment({}).job_timeout_s)
    yield reader
    reader.close()


@pytest.fixture(scope="session")
def file_checker() -> "Iterator[FileChecker]":
    """One server that checks files for all runtimes in this process."""
    from ml.datasets.checking.file_checks import FileChecker

    checker = FileChecker()
    yield checker
    checker.close()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Report a measured figure: it is printed at the end of the run, also of a run on several processes."""
    return lambda text: record_property("figure", text)


def pytest_configure() -> None:
    """Before the first temporary folder is made, and before torch is imported."""
    keep_bytecode()
    keep_temporary_files_in_memory()
    share_processors(_processors())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported for tests is no garbage, and a test that collects garbage need not look at it: half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """What outlives a file's tests is no garbage of the next one's: to look through it again and again is an eighth of
    what tests of the portal take."""
    try:
        return (yield)
    finally:
        if nextitem is not None and nextitem.path != item.path:
            gc.collect()
            gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--no-loadscope-reorder`, files are dealt out in this order."""
    slow_files_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many as logical cores, and for a whole run one more, which waits for leases and restarts in tests/faults."""
    return _processors() + (not config.option.markexpr)


def _processors() -> int:
    return len(os.sched_getaffinity(0))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> FileScheduling:
    """On several processes: a file at a time."""
    return FileScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str) -> None:
    """Name the test at once: a run that is ended before its summary would not say."""
    print(f"\na process died in {crashitem}", flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every measured figure."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, [])]
    figures = [value for report in reports for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for text in sorted(figures):
            terminalreporter.write_line(str(text))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be skipped: a test that cannot run there is a broken CI."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if os.environ.get("CI") and skipped:
        for report in skipped:
            print(f"skipped in CI: {report.nodeid}: {report.longrepr}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
