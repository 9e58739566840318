"""A data set below the root that evaluations may read."""

from pathlib import Path

import pytest

from tests.support.evaluations import write_data_set
from webapp.domain.resources import Resources


@pytest.fixture
def data(resources: Resources) -> Path:
    """Three patients with five slices each."""
    return write_data_set(resources.settings.evaluation_roots[0] / "set")
