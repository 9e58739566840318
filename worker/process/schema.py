"""Waiting for the schema that this version needs: worker and sweeper may start before the migration."""

import threading

from webapp.domain.database import migration
from webapp.domain.database.engine import Database
from webapp.domain.errors import DatabaseUnavailable
from worker.process.waiting import wait_until


def wait_for_schema(database: Database, pause_s: float, stopped: threading.Event) -> None:
    """Come back when the database is of this version's schema, or when `stopped`; say once what is waited for."""
    faults = (migration.SchemaError, DatabaseUnavailable)
    wait_until(lambda: migration.check(database), faults, "database", pause_s, stopped)
