"""gunicorn's door: `gunicorn wsgi:app`."""

from webapp.factory import create_app

app = create_app()
