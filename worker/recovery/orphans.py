"""Deletes what a crash left in storage: files and folders that no row names, older than any upload or job can be.

Only what has the form of a feature's own keys is ever removed, and its owner says what rows name. Whatever else lies
there was put there by somebody, or by another version: it is counted in the log and stays. So does what is older than
everything that the database knows, and of nothing that it has or had: it was written under another one, which a setting
may name again tomorrow. And where another database has left its mark in the store, nothing is removed at all: a file
that no row names may be named there.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webapp.domain.database.clock import database_now
from webapp.domain.database.identity import identity_of
from webapp.domain.database.tombstones import Tombstone
from webapp.domain.errors import StorageFull, StorageUnavailable
from webapp.domain.evaluations import stored_files as evaluation_files
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.jobs.models import WorkerPresence
from webapp.domain.resources import Resources
from webapp.domain.scans import stored_files as scan_files
from webapp.domain.scans.models import Scan
from webapp.domain.storage import keys
from webapp.domain.storage.arrays import fresh_object
from webapp.domain.uploads import idempotency

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """A feature that stores files. pattern: the form of their names, with the group `owner`.

    named: the names, or prefixes of names, that the rows of one owner name.
    """

    pattern: re.Pattern[str]
    named: Callable[[Session, str], frozenset[str]]


FILES = (Owner(keys.SCAN_FILE, scan_files.named), Owner(keys.EVALUATION_FILE, evaluation_files.named))
FOLDERS = (Owner(keys.EVALUATION_FOLDER, evaluation_files.named_folders),)
# Clocks of a database and a file system tell a moment this well.
TICK_S = 1.0


def delete_orphans(resources: Resources, *, older_than_s: float) -> int:
    """Remove stored files that no row names, and idempotency keys past their time; returns the number of files."""
    storage = resources.storage
    count = storage.delete_temporary(older_than_s)
    began = time.monotonic()
    stored = list(storage.keys(older_than_s))
    if others := _other_marks(resources):
        logger.warning(
            "files of another database lie in this storage (%s): what no row names stays, for it may be named there."
            " Give each portal a GLIOSCOPE_STORAGE of its own; where the other database is gone for good, remove its"
            " mark from the storage.",
            ", ".join(sorted(others)),
        )
    else:
        count += _delete_unnamed(resources, stored, older_than_s, began)
    idempotency.forget_old(resources)
    resources.database.forget_deleted()
    if count:
        logger.info("removed %d files that no row named", count)
    return count


def _other_marks(resources: Resources) -> set[str]:
    """The keys by which other databases say that they name files of the store; this one's is put there, too, once there
    are files: an empty store may be a folder whose file system is not mounted."""
    storage = resources.storage
    with resources.database.read() as session:
        own = f"{keys.DATABASE_MARKS}/{identity_of(session)}"
    marks = set(storage.keys(0, below=keys.DATABASE_MARKS))
    if own not in marks and any(True for _ in storage.keys(0)):
        with fresh_object(storage, own):
            pass
    return marks - {own}


def _delete_unnamed(resources: Resources, stored: Sequence[str], older_than_s: float, began: float) -> int:
    """Remove files and folders that no row names; how many. stored: keys that old, listed since `began`."""
    storage, folders = resources.storage, resources.folders
    count = earlier_count = 0
    age_s = _age_s(resources)
    for names, list_names, owners, delete in (
        (stored, storage.keys, FILES, storage.delete),
        (folders.names(older_than_s), folders.names, FOLDERS, folders.delete),
    ):
        orphans = _orphans(resources, names, owners)
        # Listed once more only where something would go.
        earlier = set(list_names(age_s + time.monotonic() - began + TICK_S)) if orphans else set()
        strange = {name for name in orphans if name in earlier and not _is_known(resources, name, owners)}
        earlier_count += len(strange)
        count += sum(_is_deleted(delete, name) for name in orphans if name not in strange)
    if earlier_count:
        logger.warning(
            "%d files or folders in storage are named by no row and older than everything that this database knows;"
            " they stay. Is DATABASE_URL the database that belongs to this storage?",
            earlier_count,
        )
    return count


def _age_s(resources: Resources) -> float:
    """How long ago the first of what the database knows came, by its own clock; 0 where it knows nothing yet."""
    with resources.database.read() as session:
        now = session.scalars(select(database_now())).one()
        first = [
            session.scalar(select(func.min(column)))
            for column in (Scan.created_at, Evaluation.created_at, Tombstone.deleted_at, WorkerPresence.started_at)
        ]
    return max(((now - moment).total_seconds() for moment in first if moment is not None), default=0.0)


def _is_known(resources: Resources, name: str, owners: Iterable[Owner]) -> bool:
    """Whether a file is of a scan or evaluation that the database has, or had: then it is its own, however old."""
    ids = {found["owner"] for item in owners if (found := item.pattern.fullmatch(name))}
    with resources.database.read() as session:
        return any(session.get(kind, owner) is not None for owner in ids for kind in (Tombstone, Scan, Evaluation))


def _orphans(resources: Resources, names: Iterable[str], owners: Iterable[Owner]) -> list[str]:
    """Those of the names that have an owner's form and that no row of it names."""
    named: dict[tuple[str, str], frozenset[str]] = {}
    orphans, strangers = [], 0
    for name in names:
        if keys.DATABASE_MARK.fullmatch(name):
            continue
        owner, found = next(((item, found) for item in owners if (found := item.pattern.fullmatch(name))), (None, None))
        if owner is None or found is None:
            strangers += 1
            continue
        place = (owner.pattern.pattern, found["owner"])
        if place not in named:
            with resources.database.read() as session:
                named[place] = owner.named(session, found["owner"])
        if name not in named[place] and not any(name.startswith(f"{item}/") for item in named[place]):
            orphans.append(name)
    if strangers:
        # Not by name: it may be a patient's.
        logger.warning("%d files or folders in storage are not the portal's; they stay", strangers)
    return orphans


def _is_deleted(delete: Callable[[str], None], name: str) -> bool:
    try:
        delete(name)
    except (StorageFull, StorageUnavailable) as error:
        logger.warning("a file that no row names was not removed: %s", error.code)
        return False
    return True
