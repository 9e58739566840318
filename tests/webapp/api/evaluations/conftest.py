"""The portal of these tests is the application's."""

import pytest
from flask import Flask

from tests.webapp.clients import resources_of
from webapp.domain.resources import Resources


@pytest.fixture
def resources(app: Flask) -> Resources:
    return resources_of(app)
