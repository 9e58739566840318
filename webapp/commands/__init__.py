"""The commands of `flask --app wsgi`, one module each."""

from flask import Flask

from webapp.commands import backups, database, evaluations


def register(app: Flask) -> None:
    """Install the commands."""
    app.cli.add_command(backups.group)
    app.cli.add_command(database.migrate)
    app.cli.add_command(evaluations.group)
