"""Command line: `flask --app wsgi ...`."""

import click
from flask import Flask

from webapp.commands.evaluations import group as evaluation_commands
from webapp.context import resources


def register(app: Flask) -> None:
    """Install the commands."""
    app.cli.add_command(evaluation_commands)

    @app.cli.command("migrate")
    def migrate() -> None:
        """Bring the database to the newest schema."""
        from webapp.domain.database import (
            migration,  # Alembic costs 0.1 s and 10 MB that a serving process need not pay
        )

        migration.upgrade(resources().settings.database_url)
        click.echo("The database is up to date.")
