"""What every blueprint of the API is made of: its prefix, its parser, its ids, its pictures."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Request, Response, jsonify, request
from flask_smorest import Blueprint
from marshmallow import Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from webapp.domain.accounts import sessions

PREFIX = "/api/v1"

View = TypeVar("View", bound=Callable[..., Any])
Decorator = Callable[[View], View]


class HexId(BaseConverter):
    """An id of ours in a path: 32 hexadecimal digits; anything else is 404 before a query is made."""

    regex = "[0-9a-f]{32}"


class JsonParser(FlaskParser):
    """webargs' parser, without its gaps: what it takes for no body at all, and what makes it fail."""

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body. Raises 415 for another content type, which would otherwise count as no body; 400 for no JSON."""
        # A body in chunks has no length.
        if (req.content_length or "Transfer-Encoding" in req.headers) and not req.is_json:
            raise UnsupportedMediaType
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError) as error:
            # Nested deeper than Python's stack, or a number of more digits than it converts.
            raise BadRequest from error


class PortalBlueprint(Blueprint):  # type: ignore[misc]  # flask-smorest ships no types
    """A blueprint of the API. flask-smorest's decorators with types, and `answers`."""

    ARGUMENTS_PARSER = JsonParser()

    def route(self, rule: str, **options: Any) -> Decorator[Any]:
        """A view function's or a MethodView's address."""
        return cast(Decorator[Any], super().route(rule, **options))

    def get(self, rule: str, **options: Any) -> Decorator[Any]:
        """The address of a GET."""
        return self.route(rule, methods=["GET"], **options)

    def post(self, rule: str, **options: Any) -> Decorator[Any]:
        """The address of a POST."""
        return self.route(rule, methods=["POST"], **options)

    def doc(self, **options: Any) -> Decorator[Any]:
        """Entries of the OpenAPI description, as they are."""
        return cast(Decorator[Any], super().doc(**options))

    def arguments(self, schema: type[Schema], *, location: str = "json") -> Decorator[Any]:
        """What the request says, read by the schema."""
        return cast(Decorator[Any], super().arguments(schema, location=location))

    def response(self, status: int, schema: type[Schema] | None = None, **options: Any) -> Decorator[Any]:
        """A view that returns a Response, or nothing."""
        return cast(Decorator[Any], super().response(status, schema, **options))

    def alt_response(self, status: int, *, schema: type[Schema], description: str | None = None) -> Decorator[Any]:
        """Another answer that OpenAPI names."""
        return cast(Decorator[Any], super().alt_response(status, schema=schema, description=description))

    def answers(self, status: int, schema: type[Schema]) -> Decorator[Any]:
        """A view that returns JSON values which the schema has dumped already, inside its database session."""

        def decorate(view: Callable[..., Any]) -> Any:
            @wraps(view)
            def answer(*args: Any, **values: Any) -> Response:
                response = jsonify(view(*args, **values))
                response.status_code = status
                return response

            return self.response(status, schema)(answer)

        return decorate


def blueprint(name: str, path: str, description: str) -> PortalBlueprint:
    """A blueprint below the API's prefix."""
    return PortalBlueprint(f"api-{name}", __name__, url_prefix=f"{PREFIX}/{path}", description=description)


def png(render: Callable[[], bytes], etag: str) -> Response:
    """A picture that a browser may keep but asks about before it shows it again.

    It is rendered where it is asked for and not known: a browser that has it gets 304, a HEAD the head alone.
    """
    return _picture(render, etag, "image/png", "private, no-cache")


def thumbnail(render: Callable[[], bytes], etag: str, *, is_final: bool) -> Response:
    """A JPEG of a list. is_final: its address names what it shows, and a browser shows it again without asking.

    Not for longer than an idle session lasts; a logout empties the browser's cache before.
    """
    kept = f"private, max-age={sessions.IDLE_S:.0f}, immutable" if is_final else "private, no-cache"
    response = _picture(render, etag, "image/jpeg", kept)
    # Nobody who logs in with the same browser is shown it from there.
    response.vary.add("Cookie")
    return response


def _picture(render: Callable[[], bytes], etag: str, mimetype: str, kept: str) -> Response:
    if request.if_none_match.contains_weak(etag):
        response = Response(status=304, mimetype=mimetype)
    else:
        response = Response(render(), mimetype=mimetype) if request.method != "HEAD" else head(mimetype)
    response.set_etag(etag)
    response.headers["Cache-Control"] = kept
    return response


def head(mimetype: str) -> Response:
    """The head of an answer whose bytes, and so their number, nobody has made."""
    return Response(iter(()), mimetype=mimetype)
