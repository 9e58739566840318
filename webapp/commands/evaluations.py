"""`flask --app wsgi evaluations ...`: start one and watch it, list, cancel, delete."""

import sys
import time

import click
from flask.cli import AppGroup

from webapp.commands.sentences import with_sentences
from webapp.context import resources
from webapp.domain.accounts import users
from webapp.domain.accounts.models import Role
from webapp.domain.database import ownership
from webapp.domain.evaluations import deletion, lookup, progress, submission
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.evaluations.progress import Progress, Stage
from webapp.domain.evaluations.submission import EvaluationOptions
from webapp.domain.jobs.models import OPEN_STATUSES, Status
from webapp.domain.monitoring import health
from webapp.schemas.labels import STAGES

group = AppGroup("evaluations", help="Evaluations of whole data sets.")

POLL_S = 0.5
_UNSET = (
    "There are users, and this command does not know it: set GLIOSCOPE_AUTH for it as for the portal, and name one"
    " by --user."
)


@group.command("run")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, resolve_path=True))
@click.option("--model", default=None, help="A model's name; default: the portal's.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=None, help="Default: the model card's.")
@click.option("--name", default=None, help="Default: the folder's name.")
@click.option("--user", default=None, help="Whose evaluation it is, where there are users; others do not see it.")
@with_sentences
def run(folder: str, model: str | None, threshold: float | None, name: str | None, user: str | None) -> None:
    """Evaluate FOLDER with the running workers, and wait for the end. Ctrl-C stops waiting, not the evaluation."""
    _act_as(user)
    evaluation_id = submission.from_folder(resources(), folder, EvaluationOptions(model, threshold, name))
    click.echo(evaluation_id)
    if not health.has_batch_worker(resources()):
        click.echo("No worker of evaluations is running; it waits for one.", err=True)
    try:
        _watch(evaluation_id)
    except KeyboardInterrupt:
        click.echo("It goes on; `evaluations list` shows how far it is.", err=True)
        sys.exit(130)
    with resources().database.read() as session:
        row = lookup.get(session, evaluation_id)
    if row.status is not Status.SUCCEEDED:
        raise click.ClickException(row.error_message or f"The evaluation was {row.status.value}.")
    for line in (row.headline, *(row.summary or {}).get("caveats", ())):
        click.echo(line)
    if row.summary is not None and row.summary["failed_slices"]:
        sys.exit(1)


@group.command("list")
@click.option("--limit", type=click.IntRange(1, lookup.LARGEST_LIMIT), default=20, show_default=True)
@with_sentences
def show_list(limit: int) -> None:
    """The newest evaluations."""
    with resources().database.read() as session:
        for row in lookup.page(session, limit=limit).rows:
            seen = progress.progress(session, row)
            total = "?" if seen.total is None else str(seen.total)
            click.echo(
                f"{row.id}  {row.status.value:<9}  {seen.done}/{total}  {row.name}  {row.headline or ''}".rstrip()
            )


@group.command("cancel")
@click.argument("evaluation_id")
@with_sentences
def cancel(evaluation_id: str) -> None:
    """End a queued or running evaluation; finished cases stay."""
    submission.cancel(resources(), evaluation_id)


@group.command("delete")
@click.argument("evaluation_id")
@click.confirmation_option(prompt="Delete the evaluation with all its cases? This is final")
@with_sentences
def delete(evaluation_id: str) -> None:
    """Delete an evaluation with all its cases."""
    deletion.delete(resources(), evaluation_id)


def _act_as(name: str | None) -> None:
    """Make what is started now the named user's."""
    if resources().settings.auth not in ("password", "oidc"):
        with resources().database.read() as session:
            has_users = bool(users.every(session))
        if name is not None:
            raise click.ClickException(_UNSET if has_users else "There are no users here: leave out --user.")
        if has_users:
            click.echo(f"{_UNSET} Where the portal has it, this evaluation is on nobody's pages.", err=True)
        return
    if name is None:
        raise click.ClickException("There are users, and nobody's evaluation is on no page: say whose it is by --user.")
    with resources().database.read() as session:
        user = users.named(session, name)
    if user.disabled_at is not None or not user.role.includes(Role.RESEARCHER):
        raise click.ClickException(f"{user.name} may not start an evaluation: that takes the role researcher or admin.")
    ownership.act_as(user.id)


def _watch(evaluation_id: str) -> None:
    """A bar of finished cases until the evaluation has ended."""
    from tqdm import tqdm  # not needed to serve

    with tqdm(unit=" slices", total=None) as bar:
        while True:
            row, seen = _look(evaluation_id)
            bar.total = seen.total
            bar.set_description_str(STAGES[seen.stage], refresh=False)
            bar.update((seen.checked if seen.stage is Stage.CHECKING else seen.done) - bar.n)
            bar.set_postfix_str(seen.waits_for or "", refresh=True)
            if row.status not in OPEN_STATUSES:
                return
            time.sleep(POLL_S)


def _look(evaluation_id: str) -> tuple[Evaluation, Progress]:
    with resources().database.read() as session:
        row = lookup.get(session, evaluation_id)
        return row, progress.progress(session, row)
