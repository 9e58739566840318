"""The API's frame: version, OpenAPI, one form of error."""

from typing import Any

from flask import Flask, Request, Response, render_template
from flask_smorest import Api, Blueprint
from marshmallow import Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from webapp import security
from webapp.api.schemas import ErrorSchema
from webapp.errors import error_table

PREFIX = "/api/v1"
DESCRIPTION = (
    "Drop a scan, get the segmentation. Every failure has the form "
    '{"code", "message", "request_id"}. Research use only. Not for diagnosis.'
)


class HexId(BaseConverter):
    """An id of ours in a path: 32 hexadecimal digits; anything else is 404 before a query is made."""

    regex = "[0-9a-f]{32}"


class JsonParser(FlaskParser):
    """webargs' parser, without its gaps: what it takes for no body at all, and what makes it fail."""

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body. Raises 415 for another content type, which would otherwise count as no body; 400 for no JSON."""
        if req.content_length and not req.is_json:
            raise UnsupportedMediaType
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError) as error:
            # Nested deeper than Python's stack, or a number of more digits than it converts.
            raise BadRequest from error


class PortalBlueprint(Blueprint):
    """A blueprint of the API."""

    ARGUMENTS_PARSER = JsonParser()


class PortalApi(Api):
    """flask-smorest's Api with our handlers for errors (webapp.errors) and our form of them instead of its own."""

    ERROR_SCHEMA = ErrorSchema

    def _register_error_handlers(self) -> None:
        """Nothing: one handler answers everything."""


def register(app: Flask) -> None:
    """Install every blueprint of the API, its description and its page."""
    from webapp.api import models, scans, segmentations

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
    for blueprint in (scans.blp, segmentations.blp, models.blp):
        # JSON clients send no token; foreign sites are refused by their headers (webapp.security).
        security.csrf.exempt(blueprint)
        api.register_blueprint(blueprint)

    @app.get(f"{PREFIX}/docs")
    def api_docs() -> str:
        return render_template("api_docs.html", spec=api.spec.to_dict(), error_codes=error_table())


def blueprint(name: str, path: str, description: str) -> Blueprint:
    """A blueprint below the API's prefix."""
    return PortalBlueprint(f"api-{name}", __name__, url_prefix=f"{PREFIX}/{path}", description=description)


def png(data: bytes, etag: str) -> Response:
    """A picture that a browser may keep but asks about before it shows it again."""
    response = Response(data, mimetype="image/png")
    response.set_etag(etag)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _describe_id(_converter: BaseConverter) -> dict[str, Any]:
    return {"type": "string", "pattern": "^[0-9a-f]{32}$"}
