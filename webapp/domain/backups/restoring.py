"""From a backup to a portal again: on an instance that has no scan and no evaluation yet."""

import shutil
from contextlib import suppress
from pathlib import Path

from sqlalchemy import inspect, select

from webapp.domain.backups import databases
from webapp.domain.backups.contents import FILES, KEY_FILE, OBJECTS, BackupError, Manifest, read_files, verify
from webapp.domain.database import migration
from webapp.domain.errors import NotFound
from webapp.domain.evaluations import deletion as evaluation_deletion
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup as scans
from webapp.domain.scans.models import Scan
from webapp.domain.storage.arrays import fresh_object


def restore(resources: Resources, folder: Path) -> Manifest:
    """Check a backup to its last byte, then restore it. Nothing is changed where it is damaged.

    Files come first: a restore that breaks off leaves a database that is still empty, and can be begun again.
    Raises BackupError, SchemaError, StorageFull, StorageUnavailable and DatabaseUnavailable.
    """
    manifest = verify(folder)
    _check_is_empty(resources)
    for file in read_files(folder):
        kind, _, name = file.path.partition("/")
        source = folder / FILES / file.path
        if kind == OBJECTS:
            with fresh_object(resources.storage, name) as target:
                shutil.copyfile(source, target)
        else:
            first, _, rest = name.partition("/")
            path = resources.folders.path(first) / rest
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(source, path)
    if (folder / KEY_FILE).is_file():
        secret = resources.settings.instance_dir / KEY_FILE
        shutil.copyfile(folder / KEY_FILE, secret)
        secret.chmod(0o600)
    resources.database.dispose()
    databases.copy_in(resources.settings.database_url, folder / manifest.database)
    migration.upgrade(resources.settings.database_url)
    for gone in manifest.deleted:
        for delete in (scans.delete, evaluation_deletion.delete):
            with suppress(NotFound):
                delete(resources, gone)
    return manifest


def _check_is_empty(resources: Resources) -> None:
    with resources.database.read() as session:
        tables = inspect(session.connection()).get_table_names()
        for table, what in ((Scan, "scans"), (Evaluation, "evaluations")):
            if table.__tablename__ in tables and session.scalar(select(table.id).limit(1)) is not None:
                raise BackupError(
                    f"This instance has {what}; restore into an empty one: set GLIOSCOPE_INSTANCE, DATABASE_URL or"
                    " GLIOSCOPE_STORAGE."
                )
