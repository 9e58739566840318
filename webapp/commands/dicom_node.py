"""`flask --app wsgi dicom ...`: how the DICOM node fares."""

import time
from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from webapp.context import resources
from webapp.domain.networks import node_status
from webapp.domain.networks.node_status import Count

group = AppGroup("dicom", help="The DICOM node, with GLIOSCOPE_DICOM_NODE=on.")


@group.command("status")
def status() -> None:
    """Studies on their way, what became of the last ones, and what was counted."""
    found = node_status.read(resources().settings)
    if not found.at:
        raise click.ClickException("No DICOM node has run on this instance.")
    age_s = time.time() - found.at
    click.echo("The node runs." if found.is_fresh else f"The node does not run; it last wrote {age_s:.0f} s ago.")
    click.echo(f"{len(found.studies)} studies on their way, {found.spool_bytes / 1e6:.1f} MB.")
    for entry in found.studies:
        click.echo(f"  {entry.peer}/{entry.key[:8]}  {entry.state}  {entry.reason}".rstrip())
    for entry in found.recent:
        ended = datetime.fromtimestamp(entry.at, UTC)
        click.echo(f"  {entry.peer}/{entry.key[:8]}  {ended:%Y-%m-%d %H:%M} UTC  {entry.reason}")
    for count in Count:
        click.echo(f"{found.counts.get(count.value, 0):>8}  {count.meaning}")
