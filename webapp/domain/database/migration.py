"""Bringing a database to the newest schema, and saying where it is of another one."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from webapp.domain.database.engine import Database
from webapp.domain.settings import PROJECT_ROOT


class SchemaError(Exception):
    """The database cannot be used as it is; the message says what is wrong and the remedy."""


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration for this project; there is no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(PROJECT_ROOT / "migrations").replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str) -> None:
    """Run every migration that the database has not seen.

    Raises SchemaError where it cannot be opened, is newer, or has no place for every name.
    """
    try:
        database = Database(database_url)
        try:
            with database.engine.connect() as connection:
                _refuse_encoding(connection)
                _refuse_unknown(_revisions(connection))
        finally:
            database.dispose()
        command.upgrade(alembic_config(database_url), "head")
    except (DBAPIError, ArgumentError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        file = _sqlite_file(database_url)
        where = "" if file is None else f" {file}"
        remedy = "" if file is None else "make it and its folder writable for this user, or "
        raise SchemaError(
            f"The database{where} cannot be opened or written ({reason}); {remedy}see DATABASE_URL and"
            " GLIOSCOPE_INSTANCE."
        ) from error


def _sqlite_file(database_url: str) -> str | None:
    """The file of SQLite's database; None of a server's, and of a URL that is none."""
    try:
        url = make_url(database_url)
    except ArgumentError:
        return None
    return url.database if url.get_backend_name() == "sqlite" else None


def check(database: Database) -> None:
    """Raises SchemaError where the database is not of the newest schema or encoding, DatabaseUnavailable."""
    with database.read() as session:
        _refuse_encoding(session.connection())
        revisions = _revisions(session.connection())
    _refuse_unknown(revisions)
    if revisions != set(_scripts().get_heads()):
        state = f"of an older schema ({', '.join(sorted(revisions))})" if revisions else "empty"
        raise SchemaError(f"The database is {state}; `flask --app wsgi migrate`, or `make run`, brings it up to date.")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config(""))


def _revisions(connection: Connection) -> set[str]:
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


def _refuse_encoding(connection: Connection) -> None:
    """Names have letters of every script; PostgreSQL made under LANG=C takes bytes and knows no letters."""
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise SchemaError(
            f"The database is in {encoding}, which does not hold the letters of every name. Make one in UTF8"
            " (`createdb NAME --owner USER --encoding UTF8 --locale C --template template0`) for DATABASE_URL; what is"
            " in this one goes there by pg_dump and psql."
        )


def _refuse_unknown(revisions: set[str]) -> None:
    if unknown := sorted(revisions - {script.revision for script in _scripts().walk_revisions()}):
        raise SchemaError(
            f"The database is of the schema {', '.join(unknown)}, which this version does not know; use the version"
            " that made it, restore a backup, or set GLIOSCOPE_INSTANCE or DATABASE_URL to another one."
        )
