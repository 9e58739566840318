"""What every blueprint of the API is made of: its prefix, its parser, its ids, its pictures."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

from flask import Request, Response, current_app, jsonify, request
from flask_smorest import Blueprint
from marshmallow import Schema, fields
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from webapp.context import SAFE_METHODS
from webapp.domain.accounts import sessions
from webapp.domain.errors import InvalidInput

PREFIX = "/api/v1"
BYTES = "application/octet-stream"
NO_JSON = "The body is not JSON in UTF-8 without a byte order mark; send it so."
# Of a name in an address, in a sentence.
_LONGEST_SHOWN = 60

View = TypeVar("View", bound=Callable[..., Any])
Decorator = Callable[[View], View]


class HexId(BaseConverter):
    """An id of ours in a path: 32 hexadecimal digits; anything else is 404 before a query is made."""

    regex = "[0-9a-f]{32}"


class ApiParser(FlaskParser):
    """webargs' parser, without its gaps: what it takes for no body at all, what makes it fail, and values that it
    leaves out."""

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """The names behind the address. Raises InvalidInput."""
        _refuse_several(req.args, schema)
        return super().load_querystring(req, schema)

    def load_form(self, req: Request, schema: Schema) -> Any:
        """The fields of a form beside its files. Raises InvalidInput."""
        _refuse_several(req.form, schema)
        return super().load_form(req, schema)

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

    def _handle_invalid_json_error(self, error: Exception, req: Request, *args: Any, **values: Any) -> NoReturn:
        """What such a body mostly is, beside cut: JSON in another coding, as shells and old clients send it."""
        broken = BadRequest()
        broken.data = {"messages": NO_JSON}  # type: ignore[attr-defined]
        raise broken from error


class PortalBlueprint(Blueprint):  # type: ignore[misc]  # flask-smorest ships no types
    """A blueprint of the API. flask-smorest's decorators with types, and `answers`."""

    ARGUMENTS_PARSER = ApiParser()

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

    def arguments(self, schema: type[Schema], *, location: str = "json", is_required: bool = True) -> Decorator[Any]:
        """What the request says, read by the schema. is_required: whether a call without any body is refused."""
        read = super().arguments(schema, location=location, required=is_required)
        if location != "query":
            return cast(Decorator[Any], read)

        def decorate(view: Callable[..., Any]) -> Any:
            # functools.wraps carries it through every decorator above.
            decorated = read(view)
            decorated.address_names = _names_of(schema)
            return decorated

        return decorate

    def response(self, status: int, schema: type[Schema] | None = None) -> Decorator[Any]:
        """A view that returns a Response, or nothing."""
        return cast(Decorator[Any], super().response(status, schema))

    def sends(self, *content_types: str, in_parts: bool = False) -> Decorator[Any]:
        """A view that sends a file, in one of these types. in_parts: also a part of it, as a `Range` asks.

        Client generators make a call without an answer of one whose content is not described, or is of no type that
        they know: behind the others stands the type that all of them hand on as bytes.
        """
        described = {name: _file_schema(name) for name in content_types}
        if not any(name.startswith("text/") or name == "application/json" for name in described):
            described[BYTES] = _file_schema(BYTES)

        def decorate(view: Callable[..., Any]) -> Any:
            # The innermost is described first.
            for name, schema in described.items():
                view = super(PortalBlueprint, self).response(200, schema, content_type=name)(view)
                if in_parts:
                    view = super(PortalBlueprint, self).alt_response(206, schema=schema, content_type=name)(view)
            return view

        return decorate

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
    made = PortalBlueprint(f"api-{name}", __name__, url_prefix=f"{PREFIX}/{path}", description=description)
    made.before_request(refuse_unknown_names)
    return made


def refuse_unknown_names() -> None:
    """A name behind the `?` that the call does not know: what it asks for would else be answered as if it were done.

    Raises InvalidInput.
    """
    view: Any = current_app.view_functions[str(request.endpoint)]
    if cls := getattr(view, "view_class", None):
        method = "get" if request.method == "HEAD" else request.method.lower()
        view = getattr(cls, method, None)
    known: tuple[str, ...] = getattr(view, "address_names", ())
    unknown = [name for name in request.args if name not in known]
    if not unknown or request.method == "OPTIONS":
        return
    names = ", ".join(name[:_LONGEST_SHOWN] for name in unknown[:3])
    takes = f"it takes: {', '.join(known)}" if known else "it takes none"
    remedy = "." if request.method in SAFE_METHODS else ", and what changes something is sent in the body."
    raise InvalidInput(f"{names}: not a name that is taken behind the address; {takes}{remedy}")


def _refuse_several(values: MultiDict[str, str], schema: Schema) -> None:
    """Several values of what takes one: the first would count, and a filter leave out the scans of the others."""
    for key, field in schema.load_fields.items():
        name = field.data_key or key
        if not isinstance(field, (fields.List, fields.Raw)) and len(set(values.getlist(name))) > 1:
            raise InvalidInput(f"{name}: several values, and it takes one; send a request for each.")


def _file_schema(content_type: str) -> dict[str, str]:
    if content_type == "application/json":
        return {}
    return {"type": "string"} if content_type.startswith("text/") else {"type": "string", "format": "binary"}


def _names_of(schema: type[Schema]) -> tuple[str, ...]:
    return tuple(sorted(field.data_key or name for name, field in schema().load_fields.items()))


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
