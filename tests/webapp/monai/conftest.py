"""A portal that serves viewers."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from webapp.domain.database import ownership


@pytest.fixture(autouse=True)
def _nobody_asks_any_more() -> Iterator[None]:
    yield
    ownership.act_as(None)


@pytest.fixture
def served(make_app: Callable[..., Flask]) -> Flask:
    """A portal that serves viewers, without a worker."""
    return make_app(GLIOSCOPE_MONAI_LABEL="on")
