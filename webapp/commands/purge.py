"""`flask --app wsgi purge`: delete what is kept for longer than it should be."""

import click
from flask.cli import with_appcontext

from webapp.commands.sentences import with_sentences
from webapp.context import resources
from webapp.domain import retention
from webapp.domain.settings.parsing import MOST_DAYS


@click.command()
@click.option("--days", type=click.IntRange(1, MOST_DAYS), help="Default: GLIOSCOPE_RETENTION_DAYS.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and delete nothing.")
@with_appcontext
@with_sentences
def purge(days: int | None, dry_run: bool) -> None:
    """Delete scans and evaluations that are older than --days, with everything of them."""
    days = days or resources().settings.retention_days
    if days is None:
        raise click.ClickException("Nothing says for how long: give --days, or set GLIOSCOPE_RETENTION_DAYS.")
    if dry_run:
        old = retention.find(resources(), days)
        for kind, ids in (("scan", old.scans), ("evaluation", old.evaluations)):
            for one in ids:
                click.echo(f"{kind}  {one}")
    else:
        old = retention.purge(resources(), days, by="command")
    verb = "would be" if dry_run else "are"
    click.echo(f"{len(old.scans)} scans and {len(old.evaluations)} evaluations {verb} deleted.")
