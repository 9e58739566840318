"""The migrations build the very schema that the models describe, on both databases."""

import subprocess
import sys
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ml.measurements import Verdict
from tests.support.servers import drop_database
from webapp.domain.database import migration, text_search
from webapp.domain.database.engine import Database
from webapp.domain.database.migration import alembic_config
from webapp.domain.database.orm import Base
from webapp.domain.evaluations.models import (
    CaseOutcome,
    Evaluation,
    EvaluationCase,
    EvaluationPatient,
    SourceKind,
)
from webapp.domain.jobs.models import Status
from webapp.domain.scans import history, segmentations
from webapp.domain.scans.models import Scan, ScanWarning, Segmentation
from webapp.domain.settings import PROJECT_ROOT


def differences(connection: Connection) -> list[Any]:
    """What the database has and the models have not, or the other way round."""
    of_postgres = {text_search.COLUMN, text_search.INDEX, *history.INDEXES}
    options = {"include_name": lambda name, *_: name not in of_postgres}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


def test_the_migrated_schema_is_that_of_the_models(database_url: str) -> None:
    database = Database(database_url)
    with database.engine.connect() as connection:
        assert differences(connection) == []
    database.dispose()


@pytest.mark.postgres
def test_two_processes_may_migrate_at_once(postgres_url: str) -> None:
    command.downgrade(alembic_config(postgres_url), "base")
    code = "import sys; from webapp.domain.database import migration; migration.upgrade(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", code, postgres_url], cwd=PROJECT_ROOT) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    test_the_migrated_schema_is_that_of_the_models(postgres_url)


@pytest.mark.postgres
def test_nothing_of_a_session_stays_behind_with_a_pooler(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PgBouncer hands connections on: the next migration waited for ever, and jobs failed for want of a statement that
    had been prepared on another connection."""
    kept: list[Database] = []
    monkeypatch.setattr(Database, "dispose", lambda database: kept.append(database))
    migration.upgrade(postgres_url)
    monkeypatch.undo()
    database = Database(postgres_url)
    try:
        for _ in range(10):
            with database.read() as session:
                session.scalars(select(Scan)).all()
                prepared = session.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
                own = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
                locks = session.scalar(text(f"{own} (SELECT oid FROM pg_database WHERE datname = current_database())"))
        assert (prepared, locks) == (0, 0)
    finally:
        for each in (database, *kept):
            each.dispose()


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config("sqlite://")).get_heads()) == 1


def test_code_of_the_version_before_works_on_the_new_schema(tmp_path) -> None:
    """In an upgrade it runs on beside the new one: it neither misses a column nor lacks a value for one."""
    url = f"sqlite:///{tmp_path}/upgrade.sqlite3"
    config = alembic_config(url)
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    start = revisions.index("0022")  # from here on it is promised
    command.upgrade(config, revisions[start])
    before = _columns(url)
    for revision in revisions[start + 1 :]:
        command.upgrade(config, revision)
        after = _columns(url)
        for table, columns in before.items():
            assert columns.keys() <= after[table].keys(), f"{revision} takes from {table}"
            for name, needs_value in after[table].items():
                assert not needs_value or columns.get(name), f"{revision}: {table}.{name} must be given a value"
        before = after


def _columns(url: str) -> dict[str, dict[str, bool]]:
    """By table and column, whether an INSERT must give a value."""
    database = Database(url)
    found = inspect(database.engine)
    tables = {
        table: {
            column["name"]: not column["nullable"] and column["default"] is None for column in found.get_columns(table)
        }
        for table in found.get_table_names()
    }
    database.dispose()
    return tables


@pytest.mark.parametrize("url", ["mysql://x/y", "oracle"])
def test_another_database_is_refused_by_name(url: str, tmp_path) -> None:
    from tests.support.resources import make_settings
    from webapp.domain.settings import SettingsError

    with pytest.raises(SettingsError, match="DATABASE_URL"):
        make_settings(tmp_path, DATABASE_URL=url)


@pytest.mark.postgres
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_does_not_hold_every_name_is_refused(postgres: str, encoding: str) -> None:
    """Of SQL_ASCII, as initdb makes it without a locale, a traceback; in LATIN1 uploads of many names were 500."""
    name = f"of_{encoding.lower()}"
    with psycopg.connect(f"{postgres.replace('&', ' ')} dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(migration.SchemaError, match=f"is in {encoding}.*--encoding UTF8"):
            migration.upgrade(f"postgresql+psycopg:///{name}?{postgres}")
    finally:
        drop_database(postgres, name)


def add_scan(session: Session) -> Scan:
    """A scan in the database, so that it has an id."""
    scan = Scan(filename="a.png", format="png", width=1, height=1, slice_count=1, sha256="0" * 64, bytes=1, warnings=[])
    session.add(scan)
    session.flush()
    return scan


def test_the_displayed_run_keeps_its_scan_through_a_downgrade(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as session:
        scan = add_scan(session)
        run_id = segmentations.add(session, scan.id, model="m", version=None, threshold=0.5).id
    command.downgrade(alembic_config(database_url), "0004")
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT shown_id FROM scans")).scalar() == run_id
    command.upgrade(alembic_config(database_url), "head")
    with database.read() as session:
        assert session.get_one(Scan, scan.id).displayed_id == run_id
        assert session.get_one(Segmentation, run_id).releases == 0
    database.dispose()


def test_scans_of_before_are_listed_under_their_warnings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(database_url)
    with database.write() as session:
        scans = [add_scan(session) for _ in range(5)]
        run = segmentations.add(session, scans[0].id, model="m", version=None, threshold=0.5)
        scans[0].warnings, scans[1].warnings, run.warnings = ["constant"], ["a", "constant"], ["constant", "not_flair"]
    listed = {(scans[0].id, "constant"), (scans[0].id, "not_flair"), (scans[1].id, "a"), (scans[1].id, "constant")}
    config = alembic_config(database_url)
    command.downgrade(config, "0030")
    script = ScriptDirectory.from_config(config).get_revision("0031")
    monkeypatch.setattr(script.module, "ROWS_AT_ONCE", 2)
    command.upgrade(config, "head")
    with database.read() as session:
        assert {(row.scan_id, row.code) for row in session.scalars(select(ScanWarning))} == listed
    database.dispose()


def test_verdicts_of_doubt_are_stored_and_become_plain_ones_through_a_downgrade(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as session:
        scan = add_scan(session)
        first = segmentations.add(session, scan.id, model="m", version=None, threshold=0.5)
        second = segmentations.add(session, scan.id, model="m", version=None, threshold=0.4)
        first.verdict, first.doubt = Verdict.UNCERTAIN, {"slice": 0, "pixels": 3, "max_probability": 0.5, "regions": 1}
        second.map_of_id = first.id
        ids = (first.id, second.id)
    command.downgrade(alembic_config(database_url), "0006")
    with database.engine.connect() as connection:
        assert connection.execute(
            text("SELECT verdict FROM segmentations WHERE id = :id"), {"id": ids[0]}
        ).scalar() == ("no_tumor")
    with pytest.raises(IntegrityError), database.engine.begin() as connection:
        connection.execute(text("UPDATE segmentations SET verdict = 'uncertain'"))
    command.upgrade(alembic_config(database_url), "head")
    with database.write() as session:
        # What refers to a table that was copied is still there.
        assert session.get_one(Scan, scan.id).displayed_id in ids
        assert session.get_one(Segmentation, ids[1]).map_of_id == ids[0]
        session.get_one(Segmentation, ids[0]).verdict = Verdict.NOT_ASSESSED
    for column, value in (("verdict", "'other'"), ("threshold", "2"), ("status", "'running'")):
        with pytest.raises(IntegrityError), database.engine.begin() as connection:
            connection.execute(text(f"UPDATE segmentations SET {column} = {value}"))
    database.dispose()
    test_the_migrated_schema_is_that_of_the_models(database_url)


def test_the_metrics_of_cases_and_patients_keep_every_digit_through_a_downgrade(database_url: str) -> None:
    third, name = 1 / 3, "a" * 32
    database = Database(database_url)
    with database.write() as session:
        session.add(
            Evaluation(
                id=name, name="n", source=SourceKind.FOLDER, location="/x", model="m", threshold=0.5,
                min_tumor_pixels=0, status=Status.SUCCEEDED, counts={"outcomes": {}},
                summary={"ece_foreground": third, "slices": 3},
            )
        )  # fmt: skip
        session.flush()
        found = {
            "true_positive": 1, "false_positive": 2, "false_negative": 1, "true_negative": 5, "truth_pixels": 2,
            "hd95": third, "surface_dice": 0.1 + 0.2, "max_probability": 200 / 255, "seconds": 0.1,
            "iou": 0.25, "precision": third, "recall": 0.5,
        }  # fmt: skip
        alone = {"max_probability": 0.7, "seconds": third}
        for position, (outcome, metrics, pixels) in enumerate(
            [(CaseOutcome.FOUND, found, 3), (CaseOutcome.TUMOR_DETECTED, alone, 4), (CaseOutcome.FAILED, None, None)]
        ):
            session.add(
                EvaluationCase(
                    evaluation_id=name, position=position, patient="p", image=f"p/{position}.png", outcome=outcome,
                    metrics=metrics, predicted_pixels=pixels, dice=0.4 if position == 0 else None,
                    probability_histogram=b"x" if position == 0 else None,
                )
            )  # fmt: skip
        of_patient = {
            "slices": 3, "failed_slices": 1, "tumor_slices": 1, "truth_pixels": 2, "predicted_pixels": 3,
            "iou": third, "precision": None, "recall": 0.5, "hd95_median": 2.5,
        }  # fmt: skip
        predicted = {"slices": 3, "failed_slices": 1, "detected_slices": 2, "predicted_pixels": 2**40}
        for position, metrics in enumerate((of_patient, predicted)):
            session.add(
                EvaluationPatient(evaluation_id=name, position=position, patient=f"Ü{position}", metrics=metrics)
            )
    command.downgrade(alembic_config(database_url), "0005")
    with database.engine.connect() as connection:
        assert connection.execute(
            text("SELECT true_positive, hd95, surface_dice, seconds, levels FROM evaluation_cases ORDER BY position")
        ).all() == [(1, third, 0.1 + 0.2, 0.1, b"x"), (None, None, None, third, None), (None,) * 5]
        assert connection.execute(
            text("SELECT slices, tumor_slices, detected_slices, predicted_pixels FROM evaluation_patients ORDER BY 4")
        ).all() == [(3, 1, None, 3), (3, None, 2, 2**40)]
    command.upgrade(alembic_config(database_url), "head")
    with database.read() as session:
        cases = [session.get_one(EvaluationCase, (name, position)) for position in range(3)]
        assert [case.metrics for case in cases] == [found, alone, None]
        patients = [session.get_one(EvaluationPatient, (name, position)).metrics for position in range(2)]
        assert patients == [of_patient, predicted]
        assert session.get_one(EvaluationPatient, (name, 1)).search_name == "ü1"
        assert session.get_one(Evaluation, name).summary == {"ece_foreground": third, "slices": 3}
    with database.engine.connect() as connection:
        assert differences(connection) == []
    database.dispose()
