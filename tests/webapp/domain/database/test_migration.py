"""The migrations build the very schema that the models describe, on both databases."""

import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from webapp.domain.database.engine import Database
from webapp.domain.database.migration import alembic_config
from webapp.domain.database.orm import Base
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Scan, Segmentation
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


def test_the_displayed_run_keeps_its_scan_through_a_downgrade(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as session:
        scan = Scan(
            filename="a.png", format="png", width=1, height=1, slice_count=1, sha256="0" * 64, bytes=1, warnings=[]
        )
        session.add(scan)
        session.flush()
        run_id = segmentations.add(session, scan.id, model="m", version=None, threshold=0.5).id
    command.downgrade(alembic_config(database_url), "0004")
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT shown_id FROM scans")).scalar() == run_id
    command.upgrade(alembic_config(database_url), "head")
    with database.read() as session:
        assert session.get_one(Scan, scan.id).displayed_id == run_id
        assert session.get_one(Segmentation, run_id).releases == 0
    database.dispose()
