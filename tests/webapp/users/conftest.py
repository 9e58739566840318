"""A portal with users."""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.webapp.accounts import add_user
from webapp.domain.accounts.models import Role


@pytest.fixture
def app(make_app: Callable[..., Flask], database_environ: dict[str, str]) -> Flask:
    """A portal with one administrator and one researcher."""
    app = make_app(GLIOSCOPE_AUTH="password", **database_environ)
    add_user(app, "root", Role.ADMIN)
    add_user(app, "ruth", Role.RESEARCHER)
    return app
