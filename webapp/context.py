"""The portal's services of the application that answers now."""

from typing import cast

from flask import current_app

from webapp.domain.resources import Resources

EXTENSION = "resources"


def resources() -> Resources:
    """The services, opened by the factory."""
    return cast(Resources, current_app.extensions[EXTENSION])
