"""Waiting for the schema that this version needs: worker and sweeper may start before the migration."""

import logging
import threading

from webapp.domain.database import migration
from webapp.domain.database.engine import Database
from webapp.domain.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)


def wait_for_schema(database: Database, pause_s: float, stopped: threading.Event) -> None:
    """Come back when the database is of this version's schema, or when `stopped`; say once what is waited for."""
    said = ""
    while not stopped.is_set():
        try:
            migration.check(database)
            return
        except (migration.SchemaError, DatabaseUnavailable) as error:
            if str(error) != said:
                said = str(error)
                logger.warning("waiting for the database: %s", said)
        stopped.wait(pause_s)
