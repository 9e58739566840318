"""WSGI entry point."""

from webapp.domain import logs
from webapp.domain.settings import Settings
from webapp.factory import create_app

logs.configure()
app = create_app(Settings.of_process())
