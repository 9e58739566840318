"""Alembic's environment: migrations run over the URL that `webapp.domain.migration` hands in."""

from alembic import context

from webapp.domain.database import Database
from webapp.domain.models import Base


def run() -> None:
    """Run the migrations, in one transaction each."""
    database = Database(context.config.attributes["database_url"])
    try:
        with database.engine.connect() as connection:
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
    finally:
        database.dispose()


run()
