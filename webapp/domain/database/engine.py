"""The database: one engine a process, short transactions for reading and for writing."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from webapp.domain.database import changes, ownership
from webapp.domain.database.ballast import Ballast
from webapp.domain.errors import DatabaseFull, DatabaseUnavailable, OutcomeUnknown

logger = logging.getLogger(__name__)

# `disk_full` of PostgreSQL (its manual, appendix A); SQLite has a code of its own.
POSTGRES_DISK_FULL = "53100"
# `undefined_table` and `undefined_column` of PostgreSQL, and what SQLite says instead.
POSTGRES_OTHER_SCHEMA = ("42P01", "42703")
SQLITE_OTHER_SCHEMA = ("no such table", "no such column", "has no column named")
# How long a lock is waited for; beyond it the answer is 503 with Retry-After.
BUSY_TIMEOUT_S = 5.0
# A connection over a network that was cut without a word ends after some 15 s (libpq's manual, "Parameter Key Words");
# by default it would hold its thread for two hours.
POSTGRES_OPTIONS: dict[str, int | str | None] = {
    # No prepared statements: behind a pooler that gives each transaction another connection (PgBouncer) they are not
    # there, or are others' (psycopg's manual, "Prepared statements").
    "prepare_threshold": None,
    # Else it is the database's own, or of the variable PGCLIENTENCODING, and a name is not text or does not fit.
    "client_encoding": "utf8",
    "connect_timeout": int(BUSY_TIMEOUT_S),
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# How long PostgreSQL is asked what became of a COMMIT that it did not acknowledge, and how often.
SETTLE_S = 5.0
SETTLE_PAUSE_S = 0.1
# What SQLite says of a COMMIT that it has not done and that left the file as it was (sqlite.org/rescode.html).
SQLITE_NOT_COMMITTED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CONSTRAINT)


class Database:
    """Sessions over SQLite (WAL) or PostgreSQL. `read()` and `write()` are the only ways in.

    A session is short: never open during inference, decoding or an HTTP wait.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        # Set where requests of several users are answered: a session of nobody then sees nothing.
        self.is_scoped = False
        # What the database said last when it did not do what it was asked; empty once it does.
        self._said = ""
        self._path = Path(parsed.database) if self.is_sqlite and parsed.database else None
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ballast = Ballast(self._path.parent if self._path is not None else None)
        self.engine = create_engine(
            parsed,
            pool_size=pool_size,
            # An error's text reaches the log: without the values, among which are file names.
            hide_parameters=True,
            max_overflow=pool_size * 4,
            pool_timeout=BUSY_TIMEOUT_S,
            pool_pre_ping=not self.is_sqlite,
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
            if self.is_sqlite
            # What the URL says goes first.
            else {name: value for name, value in POSTGRES_OPTIONS.items() if name not in parsed.query},
        )
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._read = sessionmaker(self.engine, expire_on_commit=False)
        self._write = sessionmaker(self.engine.execution_options(sqlite_begin="IMMEDIATE"), expire_on_commit=False)
        self._write_lazily = sessionmaker(
            self.engine.execution_options(sqlite_begin="IMMEDIATE", sqlite_synchronous="NORMAL"), expire_on_commit=False
        )

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; nothing is committed. Raises DatabaseUnavailable."""
        with self._translated(), self._read() as session:
            ownership.bind(session, is_scoped=self.is_scoped)
            yield session

    @contextmanager
    def write(self, *, waits_for_disk: bool = True) -> Iterator[Session]:
        """A transaction: committed at the end of the block, rolled back on an exception.

        waits_for_disk: False for what may be lost in a power cut, and in nothing less; never for what is answered 202.

        A write has one of three outcomes. Done: the block ends, also where the acknowledgement of the COMMIT was lost,
        since PostgreSQL is asked what became of it. Not done: an exception. Unknown: OutcomeUnknown, where it does not
        answer that either; then nothing may be deleted that the write names. Raises DatabaseUnavailable, DatabaseFull.
        """
        with self._translated(), (self._write if waits_for_disk else self._write_lazily)() as session:
            ownership.bind(session, is_scoped=self.is_scoped)
            try:
                if not waits_for_disk and not self.is_sqlite:
                    session.execute(text("SET LOCAL synchronous_commit TO off"))
                yield session
                session.flush()
                changes.conclude(session)
                self._commit(session)
                changes.settle(session)
            except BaseException:
                session.rollback()  # its new objects can be added to another session
                raise

    def delete(self, work: Callable[[Session], None]) -> None:
        """Do work that deletes in a transaction of its own, also on a disk that is full: then the ballast goes first.

        Raises as `write`. The caller calls `forget_deleted` once its files are gone, too.
        """
        try:
            with self.write() as session:
                work(session)
        except DatabaseFull:
            if not self.ballast.drop():
                raise
            with self.write() as session:
                work(session)

    def _commit(self, session: Session) -> None:
        transaction_id = self._transaction_id(session)
        try:
            session.commit()
        except DBAPIError as error:
            if _says_not_committed(error):
                raise
            logger.warning("a COMMIT was not acknowledged: %s", type(error.orig).__name__)
            if not self._was_committed(transaction_id):
                raise

    def _transaction_id(self, session: Session) -> str | None:
        """PostgreSQL's name of the session's transaction; None where it has written nothing, and on SQLite."""
        if self.is_sqlite:
            return None
        found: str | None = session.scalar(text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)"))
        return found

    def _was_committed(self, transaction_id: str | None) -> bool:
        """Whether a transaction whose COMMIT was not acknowledged took effect. Raises OutcomeUnknown."""
        if transaction_id is None and not self.is_sqlite:
            return True  # there was nothing to write
        status = text("SELECT pg_xact_status(CAST(:id AS xid8))")
        deadline = time.monotonic() + SETTLE_S
        while not self.is_sqlite and time.monotonic() < deadline:
            try:
                with self.engine.connect() as connection:
                    found = connection.scalar(status, {"id": transaction_id})
            except (OperationalError, PoolTimeout):
                found = None  # it is away
            except DBAPIError:
                break  # another server answers, which has not seen the transaction
            if found in ("committed", "aborted"):
                return bool(found == "committed")
            time.sleep(SETTLE_PAUSE_S)
        raise OutcomeUnknown("The database went away before it said whether this was saved; look before you try again.")

    def forget_deleted(self) -> None:
        """Empty SQLite's write-ahead log, where deleted rows would be readable for a while; load the ballast again."""
        if not self.is_sqlite:
            return
        self.ballast.load()
        try:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        except OperationalError:
            # Readers hold the log open; the next checkpoint, at the latest the sweeper's, empties it.
            return

    def ping(self) -> None:
        """Ask the database for an answer. Raises DatabaseUnavailable."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """`_translated`, with a line in the log of what the database or its driver said: once, until it answers."""
        try:
            with _translated():
                yield
        except DatabaseUnavailable as error:
            if (said := _said_by(error)) and said != self._said:
                self._said = said
                logger.warning("the database does not answer: %s", said)
            raise
        self._said = ""

    def dispose(self) -> None:
        """Close every connection; a forked child calls this before its first session."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        if _is_full(error):
            raise DatabaseFull("The disk of the database has no room left; delete scans or free disk space.") from error
        if _is_of_another_schema(error):
            raise _another_schema(error) from error
        raise DatabaseUnavailable("The database does not answer right now; try again in a few seconds.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("The database was restarted; try again in a few seconds.") from error
        if _is_of_another_schema(error):
            raise _another_schema(error) from error
        raise


def _said_by(error: DatabaseUnavailable) -> str:
    """The first line of the driver's own words: which password, server or lock; no values, which stand further down."""
    cause = getattr(error.__cause__, "orig", None) or error.__cause__
    return str(cause).strip().partition("\n")[0] if cause else ""


def _says_not_committed(error: DBAPIError) -> bool:
    """Whether the database itself refused a COMMIT, so that nothing was written."""
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in SQLITE_NOT_COMMITTED
    return not error.connection_invalidated and getattr(error.orig, "sqlstate", None) is not None


def _is_of_another_schema(error: Exception) -> bool:
    cause = getattr(error, "orig", None)
    is_sqlite = isinstance(cause, sqlite3.Error) and any(text in str(cause) for text in SQLITE_OTHER_SCHEMA)
    return is_sqlite or getattr(cause, "sqlstate", None) in POSTGRES_OTHER_SCHEMA


def _another_schema(error: Exception) -> DatabaseUnavailable:
    logger.error("the database has not the schema of this version: %s", getattr(error, "orig", error))
    return DatabaseUnavailable("The database is not of this version's schema; `flask --app wsgi migrate` updates it.")


def _is_full(error: Exception) -> bool:
    cause = getattr(error, "orig", None)
    # An extended code of SQLite has the plain one in its low byte.
    is_sqlite_full = getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return is_sqlite_full or getattr(cause, "sqlstate", None) == POSTGRES_DISK_FULL


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transaction handling is off: SQLAlchemy's `begin` event says which BEGIN is sent.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        # FULL: a 202 is given for a committed row, which then survives a power cut too.
        "synchronous=FULL",
        "foreign_keys=ON",
        # Deleted patient data is overwritten, not left in free pages.
        "secure_delete=ON",
        "temp_store=MEMORY",
        "cache_size=-8000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A write transaction takes the write lock at once; a deferred one may fail with SQLITE_BUSY in its middle.
    options = connection.get_execution_options()
    mode = options.get("sqlite_begin", "DEFERRED")
    if mode == "IMMEDIATE":
        # It stays with the connection, so every writer says it.
        connection.exec_driver_sql(f"PRAGMA synchronous={options.get('sqlite_synchronous', 'FULL')}")
    connection.exec_driver_sql(f"BEGIN {mode}")
