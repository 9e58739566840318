"""The portal's services of the application that answers now."""

from typing import cast

from flask import current_app

from webapp.domain.resources import Portal

EXTENSION = "portal"


def portal() -> Portal:
    """The services, opened by the factory."""
    return cast(Portal, current_app.extensions[EXTENSION])
