"""What every blueprint of the API is made of: its prefix, its parser, its ids, its pictures."""

from typing import Any

from flask import Request, Response
from flask_smorest import Blueprint
from marshmallow import Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.routing import BaseConverter

PREFIX = "/api/v1"


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


def blueprint(name: str, path: str, description: str) -> Blueprint:
    """A blueprint below the API's prefix."""
    return PortalBlueprint(f"api-{name}", __name__, url_prefix=f"{PREFIX}/{path}", description=description)


def png(data: bytes, etag: str) -> Response:
    """A picture that a browser may keep but asks about before it shows it again."""
    response = Response(data, mimetype="image/png")
    response.set_etag(etag)
    response.headers["Cache-Control"] = "private, no-cache"
    return response
