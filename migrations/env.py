"""Alembic's environment: migrations run over the URL that `webapp.domain.database.migration` hands in."""

from alembic import context
from sqlalchemy import text

from webapp.domain.database.engine import Database
from webapp.domain.tables import Base

# Any number that nothing else in the database locks.
MIGRATION_LOCK = 0x_61_6C_69_6F


def run() -> None:
    """Run the migrations, in one transaction each."""
    database = Database(context.config.attributes["database_url"])
    try:
        with database.engine.connect() as connection, database.engine.connect() as turn:
            if not database.is_sqlite:
                # Several machines may start at once: the second waits, and finds nothing left to do. Held by a
                # transaction of its own: a pooler (PgBouncer) would keep a session's lock when this process has ended.
                turn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            else:
                # A migration may copy a table: with foreign keys on, the old one's end would delete what refers to it.
                # SQLite ignores this inside a transaction, so it goes past SQLAlchemy, which begins one.
                connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                # SQLite cannot alter most things in place: Alembic copies the table.
                render_as_batch=database.is_sqlite,
                transaction_per_migration=True,
                compare_type=True,
            )
            with context.begin_transaction():
                context.run_migrations()
            if database.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise RuntimeError("A migration left rows that refer to others that do not exist; restore the backup.")
    finally:
        database.dispose()


run()
