"""`flask --app wsgi backups ...`: make one of a running portal, verify one, restore one."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask.cli import AppGroup

from webapp.context import resources
from webapp.domain.errors import PortalError
from webapp.domain.settings import SettingsError

group = AppGroup("backups", help="Copies of database and stored files.")

_FOLDER = click.Path(file_okay=False, path_type=Path)
_BACKUP = click.Path(exists=True, file_okay=False, path_type=Path)


@group.command("make")
@click.argument("out", type=_FOLDER)
@click.option("--base", type=_BACKUP, help="An older backup: files that it has are linked to, not copied.")
def make(out: Path, base: Path | None) -> None:
    """Copy database and stored files into the new folder OUT. The portal may go on working."""
    from webapp.domain.backups import making

    with _sentences(out.parent):
        made = making.make(resources(), out, base)
    click.echo(f"{made.files} files, {made.bytes / 1e6:.1f} MB, and the database.")
    if resources().settings.secret_key and not (out / "secret_key").is_file():
        click.echo("GLIOSCOPE_SECRET_KEY is not in the backup; keep it elsewhere.", err=True)


@group.command("verify")
@click.argument("folder", type=_BACKUP)
def verify(folder: Path) -> None:
    """Read every byte of a backup and compare it with its list."""
    from webapp.domain.backups import contents

    with _sentences(folder):
        found = contents.verify(folder)
    click.echo(f"Sound: {found.files} files, {found.bytes / 1e6:.1f} MB, made at {found.made_at}.")


@group.command("restore")
@click.argument("folder", type=_BACKUP)
def restore(folder: Path) -> None:
    """Restore a backup into this instance, which must be empty and not running."""
    from webapp.domain.backups import restoring
    from webapp.process.launch import lock_instance

    with _sentences(resources().settings.instance_dir):
        lock_instance(resources().settings.instance_dir)
        found = restoring.restore(resources(), folder)
    click.echo(f"Restored: {found.files} files and the database, as of {found.made_at}.")


@contextmanager
def _sentences(written: Path) -> Iterator[None]:
    """What is in a command's way is one sentence. written: the folder that it fills."""
    from webapp.domain.backups.contents import BackupError
    from webapp.domain.database.migration import SchemaError  # Alembic, as in `migrate`

    try:
        yield
    except PortalError as error:
        raise click.ClickException(error.message) from error
    except (BackupError, SchemaError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"There is no room left in {written}; free some, or take a folder on another disk, and begin again."
            raise click.ClickException(text) from error
        place = f": {error.filename}" if error.filename else ""
        raise click.ClickException(f"{error.strerror}{place}") from error
