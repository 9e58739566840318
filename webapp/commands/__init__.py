"""The commands of `flask --app wsgi`, one module each."""

from flask import Flask

from webapp.commands import accounts, backups, database, dicom_node, dicomweb, evaluations, purge


def register(app: Flask) -> None:
    """Install the commands."""
    for group in (accounts.users_group, accounts.tokens_group, accounts.audit_group):
        app.cli.add_command(group)
    app.cli.add_command(backups.group)
    app.cli.add_command(database.migrate)
    app.cli.add_command(dicom_node.group)
    app.cli.add_command(dicomweb.group)
    app.cli.add_command(evaluations.group)
    app.cli.add_command(purge.purge)
