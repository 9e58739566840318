"""/api/v1: its blueprints, its description in OpenAPI, and the page made of it."""

from typing import Any

from flask import Flask, render_template
from flask_smorest import Api
from werkzeug.routing import BaseConverter

from webapp import security
from webapp.api import evaluations, models, scans, segmentations
from webapp.api.blueprints import PREFIX, HexId
from webapp.error_handlers import error_table
from webapp.schemas.errors import ErrorSchema

DESCRIPTION = (
    "Drop a scan, get the segmentation. Every failure has the form "
    '{"code", "message", "request_id"}. Research use only. Not for diagnosis.'
)


class PortalApi(Api):  # type: ignore[misc]  # flask-smorest ships no types
    """flask-smorest's Api with the error handlers of webapp.error_handlers and our form of an error."""

    ERROR_SCHEMA = ErrorSchema

    def _register_error_handlers(self) -> None:
        """Nothing: one handler answers everything."""


def register(app: Flask) -> None:
    """Install every blueprint of the API, its description and its page."""
    app.config.update(
        API_TITLE="Glioscope",
        API_VERSION="v1",
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={"info": {"description": DESCRIPTION}},
    )
    api = PortalApi(app)
    api.register_converter(HexId, _describe_id)
    for blueprint in (scans.blp, segmentations.blp, evaluations.blp, models.blp):
        # JSON clients send no token; foreign sites are refused by their headers (webapp.security).
        security.csrf.exempt(blueprint)
        api.register_blueprint(blueprint)

    @app.get(f"{PREFIX}/docs")
    def api_docs() -> str:
        return render_template("api/docs.html", spec=api.spec.to_dict(), error_codes=error_table())


def _describe_id(_converter: BaseConverter) -> dict[str, Any]:
    return {"type": "string", "pattern": "^[0-9a-f]{32}$"}
