"""The migrations build the very schema that the models describe, on both databases."""

import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from webapp.domain.database.engine import Database
from webapp.domain.database.migration import alembic_config
from webapp.domain.database.orm import Base
from webapp.domain.settings import PROJECT_ROOT


def test_the_migrated_schema_is_that_of_the_models(database_url: str) -> None:
    database = Database(database_url)
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    database.dispose()
    assert differences == []


@pytest.mark.postgres
def test_two_processes_may_migrate_at_once(postgres_url: str) -> None:
    command.downgrade(alembic_config(postgres_url), "base")
    code = "import sys; from webapp.domain.database import migration; migration.upgrade(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", code, postgres_url], cwd=PROJECT_ROOT) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    test_the_migrated_schema_is_that_of_the_models(postgres_url)


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config("sqlite://")).get_heads()) == 1


@pytest.mark.parametrize("url", ["mysql://x/y", "oracle"])
def test_another_database_is_refused_by_name(url: str, tmp_path) -> None:
    from tests.support.resources import make_settings
    from webapp.domain.settings import SettingsError

    with pytest.raises(SettingsError, match="DATABASE_URL"):
        make_settings(tmp_path, DATABASE_URL=url)
