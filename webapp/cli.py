"""Command line: `flask --app wsgi ...`."""

import click
from flask import Flask

from webapp.context import portal
from webapp.domain import migration


def register(app: Flask) -> None:
    """Install the commands."""

    @app.cli.command("migrate")
    def migrate() -> None:
        """Bring the database to the newest schema."""
        migration.upgrade(portal().settings.database_url)
        click.echo("The database is up to date.")
