"""WSGI entry point."""

from webapp.domain import logs
from webapp.domain.settings import Settings
from webapp.factory import create_app

settings = Settings.of_process()
logs.configure(settings.log)
app = create_app(settings)
