"""Whose studies are, looked up among many: what the databases read for it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import event, text

from tests.support.resources import make_settings
from webapp.domain.database.migration import alembic_config
from webapp.domain.database.ownership import LOCAL, act_as
from webapp.domain.resources import Resources
from webapp.domain.scans import patients, studies
from webapp.domain.scans.models import Scan
from webapp.domain.scans.patients import PatientSource, StudyPatient
from webapp.domain.scans.studies import StudyChange

NAME = "P0123456789ABCDEF"


@pytest.fixture
def opened(database_url: str, tmp_path: Path) -> Iterator[Resources]:
    """Services over both databases in turn, for the portal's implicit user."""
    opened = Resources.open(make_settings(tmp_path, DATABASE_URL=database_url))
    act_as(LOCAL)
    yield opened
    act_as(None)
    opened.close()


def add_scan(resources: Resources, study: str, patient: str | None) -> str:
    """A scan in a study, of a series of this pseudonym; the study's id."""
    with resources.database.write() as session:
        study_id = studies.place(session, study)
        session.add(scan_of(study_id, patient))
    return study_id


def scan_of(study_id: str | None, patient: str | None) -> Scan:
    """A row of a series of this pseudonym."""
    series = {"patient": patient} if patient else None
    return Scan(filename="a", format="dicom", width=1, height=1, slice_count=1, sha256="0" * 64, bytes=1,
                warnings=[], series=series, study_id=study_id)  # fmt: skip


@contextmanager
def statements(resources: Resources) -> Iterator[list[tuple[str, Any]]]:
    """What is executed in the block."""
    found: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *further: Any) -> None:
        found.append((statement, parameters))

    event.listen(resources.database.engine, "before_cursor_execute", note)
    yield found
    event.remove(resources.database.engine, "before_cursor_execute", note)


def plan(resources: Resources, statement: str, parameters: Any) -> str:
    """How the database would find the rows."""
    with resources.database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        else:
            connection.execute(text("SET enable_seqscan = off"))  # a small table is read whole otherwise
            rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        return "\n".join(str(row[-1]) for row in rows)


def test_the_studies_of_a_patient_are_found_by_an_index(opened: Resources) -> None:
    of_header = add_scan(opened, "one", NAME)
    entered, other = add_scan(opened, "two", None), add_scan(opened, "three", "P0")
    studies.change(opened, entered, StudyChange(patient=f" {NAME.lower()} "))
    studies.change(opened, other, StudyChange(patient="somebody"))
    # A planner that has counted the rows of a table of some size knows which index tells more.
    with opened.database.write() as session:
        session.add_all([scan_of(None, f"P{number:016X}") for number in range(1, 2001)])
    with opened.database.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()
    patient = StudyPatient(NAME, PatientSource.FILE)
    with statements(opened) as executed, opened.database.read() as session:
        assert {study.id for study in patients.studies_that_name(session, patient)} == {of_header, entered}
        assert patients.lone_scans(session, patient) == 0
    lookups = [item for item in executed if item[0].startswith("SELECT")]
    assert len(lookups) == 2
    for statement, parameters in lookups:
        found = plan(opened, statement, parameters)
        assert "ix_scans_patient_key" in found and not re.search(r"Seq Scan|SCAN (scans|studies)", found), found
    studies.change(opened, entered, StudyChange(patient=""))
    with opened.database.read() as session:
        assert [study.id for study in patients.studies_that_name(session, patient)] == [of_header]


def test_patients_of_before_are_found_after_the_migration(opened: Resources, database_url: str) -> None:
    of_header, entered = add_scan(opened, "one", NAME), add_scan(opened, "two", None)
    studies.change(opened, entered, StudyChange(patient="P0123456789abcdef"))
    command.downgrade(alembic_config(database_url), "0028")
    with opened.database.engine.connect() as connection:
        [stored] = connection.execute(text("SELECT series FROM scans WHERE series IS NOT NULL")).scalars()
        assert NAME in (stored if isinstance(stored, str) else json.dumps(stored))
    command.upgrade(alembic_config(database_url), "head")
    with opened.database.read() as session:
        patient = StudyPatient(NAME, PatientSource.FILE)
        assert {study.id for study in patients.studies_that_name(session, patient)} == {of_header, entered}
