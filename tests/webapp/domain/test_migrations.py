"""The migrations build the very schema that the models describe, on both databases."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from webapp.domain.database import Database
from webapp.domain.migration import alembic_config
from webapp.domain.models import Base


def test_the_migrated_schema_is_that_of_the_models(database_url: str) -> None:
    database = Database(database_url)
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    database.dispose()
    assert differences == []


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config("sqlite://")).get_heads()) == 1


@pytest.mark.parametrize("url", ["mysql://x/y", "oracle"])
def test_another_database_is_refused_by_name(url: str, tmp_path) -> None:
    from tests.portals import make_settings
    from webapp.domain.settings import SettingsError

    with pytest.raises(SettingsError, match="DATABASE_URL"):
        make_settings(tmp_path, DATABASE_URL=url)
