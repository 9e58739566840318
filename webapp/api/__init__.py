"""/api/v1: its blueprints, its description in OpenAPI, and the page made of it."""

import threading
from typing import Any

from apispec import APISpec
from flask import Flask, render_template
from flask_smorest import Api
from werkzeug.routing import BaseConverter

from webapp import security
from webapp.api import (
    evaluations,
    exports,
    follow_up,
    measurements,
    models,
    planes,
    scans,
    segmentations,
    sequences,
    studies,
)
from webapp.api.blueprints import PREFIX, HexId, PortalBlueprint
from webapp.api.curl_examples import curl_commands
from webapp.error_handlers import error_table
from webapp.schemas.errors import ErrorSchema

DESCRIPTION = (
    "Drop a scan, get the segmentation. Every failure has the form "
    '{"code", "message", "request_id"}. Research use only. Not for diagnosis.'
)


class PortalApi(Api):  # type: ignore[misc]  # flask-smorest ships no types
    """flask-smorest's Api with the error handlers of webapp.error_handlers and our form of an error.

    The description is built when somebody first asks for it: it took half of an application's start.
    """

    ERROR_SCHEMA = ErrorSchema

    def __init__(self, app: Flask) -> None:
        self._undescribed: list[PortalBlueprint] = []
        self._describing = threading.Lock()
        super().__init__(app)

    def register_blueprint(self, blp: PortalBlueprint) -> None:
        """The blueprint's addresses now, its description later."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blp.name] = self
        self._app.register_blueprint(blp)
        self._undescribed.append(blp)

    @property
    def spec(self) -> APISpec:
        """The description of every blueprint that is registered."""
        with self._describing:
            while self._undescribed:
                blp = self._undescribed.pop(0)
                blp.register_views_in_doc(self, self._app, self._spec, name=blp.name, parameters=None)
                self._spec.tag({"name": blp.name, "description": blp.description})
        return self._spec

    @spec.setter
    def spec(self, spec: APISpec) -> None:
        self._spec = spec

    def _register_error_handlers(self) -> None:
        """Nothing: one handler answers everything."""


def register(app: Flask) -> None:
    """Install every blueprint of the API, its description and its page."""
    app.config.update(
        API_TITLE="Glioscope",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {"description": DESCRIPTION},
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
            # Without users a call needs none, and a browser has its cookie.
            "security": [{"token": []}, {}],
        },
    )
    api = PortalApi(app)
    api.register_converter(HexId, _describe_id)
    for blueprint in (
        scans.blp,
        planes.blp,
        measurements.blp,
        exports.blp,
        sequences.blp,
        studies.blp,
        follow_up.blp,
        segmentations.blp,
        evaluations.blp,
        models.blp,
    ):
        # JSON clients send no token; foreign sites are refused by their headers (webapp.security).
        security.csrf.exempt(blueprint)
        api.register_blueprint(blueprint)

    @app.get(f"{PREFIX}/docs")
    def api_docs() -> str:
        return render_template(
            "api/docs.html", spec=api.spec.to_dict(), error_codes=error_table(), curl_commands=curl_commands
        )


def _describe_id(_converter: BaseConverter) -> dict[str, Any]:
    return {"type": "string", "pattern": "^[0-9a-f]{32}$"}
