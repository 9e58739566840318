"""`flask --app wsgi dicomweb ...`: a study of the archive of the settings, and results back to it."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import click
from flask.cli import AppGroup

from webapp.commands.sentences import with_sentences
from webapp.context import resources

group = AppGroup("dicomweb", help="Studies from, and results to, the archive of GLIOSCOPE_DICOMWEB_URL.")

_user: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--user", default=None, help="Whose scans they are, where there are users; default: GLIOSCOPE_DICOM_USER."
)


@group.command("pull")
@click.argument("study_uid")
@_user
@with_sentences
def pull(study_uid: str, user: str | None) -> None:
    """Make scans of the MR series of the study STUDY_UID. What there is already stays as it is."""
    count = 0
    with _archive(user) as dicomweb:
        for found in dicomweb.pull(resources(), study_uid):
            what = f"refused ({found.taken.refused})" if found.taken.refused else " ".join(found.taken.scan_ids)
            left_out = f", {found.taken.files_refused} files left out" if found.taken.files_refused else ""
            click.echo(f"series {found.number}: {what}{left_out}")
            count += len(found.taken.scan_ids)
    if not count:
        sys.exit("No series is a scan.")


@group.command("push")
@click.argument("scan_id")
@_user
@with_sentences
def push(scan_id: str, user: str | None) -> None:
    """Store the result of the scan SCAN_ID, as SEG and SR, in the study that it came from."""
    with _archive(user) as dicomweb:
        dicomweb.push(resources(), scan_id)
    click.echo("SEG and SR are in the archive.")


@contextmanager
def _archive(user: str | None) -> Iterator[ModuleType]:
    """The module that talks to it, imported when it is needed; what is in its way is one sentence."""
    if importlib.util.find_spec("dicomweb_client") is None:
        raise click.ClickException("DICOMweb needs dicomweb-client: pip install -r requirements-dicom-network.txt")
    from webapp.domain.networks import dicomweb
    from webapp.domain.networks.owner import OwnerMissing, act_as_owner

    try:
        act_as_owner(resources(), user or resources().settings.dicom_user)
        yield dicomweb
    except (dicomweb.DicomWebError, OwnerMissing) as error:
        raise click.ClickException(str(error)) from error
