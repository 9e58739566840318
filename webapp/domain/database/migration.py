"""Bringing a database to the newest schema."""

import logging

from alembic import command
from alembic.config import Config

from webapp.domain.settings import PROJECT_ROOT


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration for this project; there is no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(PROJECT_ROOT / "migrations").replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str) -> None:
    """Run every migration that the database has not seen."""
    # Alembic names each of its plug-ins at every start.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    command.upgrade(alembic_config(database_url), "head")
