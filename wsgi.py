"""gunicorn's door: `gunicorn wsgi:app`."""

from webapp.domain import logs
from webapp.factory import create_app

logs.configure()
app = create_app()
