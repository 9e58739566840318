"""create_app: the portal as a WSGI application."""

from pathlib import Path

from flask import Flask
from jinja2 import StrictUndefined

from webapp import api, assets, commands, error_handlers, monai_label, multipart, prometheus, ranges, security
from webapp.api.blueprints import HexId
from webapp.context import EXTENSION
from webapp.domain.resources import Resources
from webapp.domain.settings import PROJECT_ROOT, Settings
from webapp.views import register as register_views

# One request may carry several files; more bytes than this at once are refused before they are read.
FILES_WORTH_PER_REQUEST = 4


def create_app(settings: Settings | None = None) -> Flask:
    """The application over these settings (by default the environment's). Opens no connection yet."""
    settings = settings or Settings.from_environment()
    app = Flask("webapp", root_path=str(PROJECT_ROOT), static_url_path="/static")
    # A name that a template asks for and nobody gave is an error of ours, not an empty place on the page.
    app.jinja_options = {**app.jinja_options, "undefined": StrictUndefined}
    app.extensions[EXTENSION] = Resources.open(settings)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes * FILES_WORTH_PER_REQUEST
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.converters["hex_id"] = HexId
    multipart.register()
    security.register(app, settings)
    error_handlers.register(app)
    prometheus.register(app)
    ranges.register(app)
    assets.register(app, Path(app.static_folder or ""))
    api.register(app)
    register_views(app, settings.auth)
    app.register_blueprint(monai_label.bp)
    commands.register(app)
    return app
