"""Which instances became scans: what a sender may ask for after its study has left the spool. Digests and ids alone."""

import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

# A sender asks in hours, or days where it was off.
KEPT_S = 90 * 86_400.0
_TABLE = """CREATE TABLE IF NOT EXISTS kept (
    instance TEXT PRIMARY KEY, kind TEXT NOT NULL, scans TEXT NOT NULL, noted_at REAL NOT NULL) WITHOUT ROWID"""


class KeptInstances:
    """A small database beside the spool, which the node's own thread uses."""

    def __init__(self, path: Path, secret: str) -> None:
        """Raises OSError."""
        self._path, self._secret = path, secret.encode()
        try:
            with closing(self._open()) as database, database:
                database.execute(_TABLE)
        except sqlite3.Error as error:
            raise OSError(f"the node's list of instances cannot be used: {error}") from error

    def note(self, peer: str, instances: Iterable[tuple[str, str]], scan_ids: Sequence[str]) -> None:
        """Instances (SOP class, SOP instance) of a peer are these scans. Raises OSError."""
        scans, now = json.dumps(list(scan_ids)), time.time()
        rows = [(self._digest(peer, uid), kind, scans, now) for kind, uid in instances]
        try:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise OSError(f"the node's list of instances cannot be written: {error}") from error

    def find(self, peer: str, uid: str) -> tuple[str, list[str]] | None:
        """SOP class and scans of an instance that the peer sent; None where there is none. Raises OSError."""
        try:
            with closing(self._open()) as database:
                row = database.execute(
                    "SELECT kind, scans FROM kept WHERE instance = ?", (self._digest(peer, uid),)
                ).fetchone()
        except sqlite3.Error as error:
            raise OSError(f"the node's list of instances cannot be read: {error}") from error
        return None if row is None else (str(row[0]), [str(item) for item in json.loads(row[1])])

    def forget_old(self) -> None:
        """Raises OSError."""
        try:
            with closing(self._open()) as database, database:
                database.execute("DELETE FROM kept WHERE noted_at < ?", (time.time() - KEPT_S,))
        except sqlite3.Error as error:
            raise OSError(f"the node's list of instances cannot be written: {error}") from error

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)

    def _digest(self, peer: str, uid: str) -> str:
        return hmac.new(self._secret, f"instance {peer}\n{uid}".encode(), hashlib.sha256).hexdigest()[:32]
