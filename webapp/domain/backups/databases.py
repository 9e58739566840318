"""A copy of the database as it is at one moment, and the way back. SQLite by itself, PostgreSQL by its own programs."""

import re
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from webapp.domain.backups.contents import BackupError
from webapp.domain.backups.transfer import transfer

SQLITE_FILE = "database.sqlite3"
POSTGRES_FILE = "database.dump"


def copy_out(url: str, folder: Path) -> str:
    """Write the database's copy into `folder`; returns its name. Others may write meanwhile. Raises BackupError."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={folder / POSTGRES_FILE}")
        return POSTGRES_FILE
    address = f"{Path(parsed.database or '').absolute().as_uri()}?mode=ro"  # which escapes # and %
    try:
        with (
            closing(sqlite3.connect(address, uri=True)) as source,
            closing(sqlite3.connect(folder / SQLITE_FILE)) as target,
        ):
            source.backup(target)
            if target.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise BackupError("The database is damaged (PRAGMA integrity_check); restore an older backup.")
    except sqlite3.Error as error:
        raise BackupError(f"The database cannot be copied: {error}.") from error
    return SQLITE_FILE


def copy_in(url: str, copy: Path) -> None:
    """Put a copy in the place of an empty database that nobody uses; from SQLite to PostgreSQL row by row.

    Raises BackupError, SchemaError.
    """
    parsed = make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite and copy.name != SQLITE_FILE:
        raise BackupError(
            "The backup is of a PostgreSQL database, which SQLite cannot read; set DATABASE_URL to an empty database of"
            " PostgreSQL (postgresql://USER:PASSWORD@HOST/NAME)."
        )
    if not is_sqlite and copy.name == SQLITE_FILE:
        transfer(copy, url)
        return
    if not is_sqlite:
        # Tables of an empty portal may be there already.
        options = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
        _run("pg_restore", url, *options, str(copy))
        return
    target = Path(parsed.database or "")
    partial = target.with_name(f"{target.name}.restored")
    shutil.copyfile(copy, partial)
    partial.chmod(0o600)
    for name in (f"{target.name}-wal", f"{target.name}-shm"):
        target.with_name(name).unlink(missing_ok=True)
    partial.replace(target)


def _run(program: str, url: str, *arguments: str) -> None:
    """A program of PostgreSQL's; the password goes by a file, since other users may read a command line."""
    path = shutil.which(program)
    if path is None:
        raise BackupError(f"{program} is not installed; install PostgreSQL's client programs (postgresql-client).")
    parsed = make_url(url).set(drivername="postgresql")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="tmp") as passwords:  # mode 0600
        if parsed.password:
            # libpq's manual, "The Password File"
            escaped = str(parsed.password).replace("\\", "\\\\").replace(":", "\\:")
            passwords.write(f"*:*:*:*:{escaped}\n")
            passwords.flush()
            parsed = parsed._replace(password=None).update_query_dict({"passfile": passwords.name})
        command = [path, f"--dbname={parsed.render_as_string(hide_password=False)}", *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise BackupError(f"{program} failed: {_reason(done.stderr.decode(errors='replace'))}")


def _reason(said: str) -> str:
    """Of all that a program says its errors and their details; the statement that failed comes after them."""
    lines = said.strip().splitlines()
    found = [re.match(r"\w+: (?:error|detail): (.+)", line) for line in lines]
    return " ".join(match[1] for match in found if match) or (lines or ["it does not say why"])[-1]
