"""A worker in this process, and a data set to evaluate."""

from pathlib import Path

import pytest
from flask import Flask

from ml.datasets.case_reader import CaseReader
from tests.support.evaluations import write_data_set
from tests.webapp.clients import resources_of
from tests.worker.conftest import BrightnessEngine
from webapp.domain.resources import Resources
from worker.process.runtime import Runtime


@pytest.fixture
def resources(app: Flask) -> Resources:
    return resources_of(app)


@pytest.fixture
def runtime(resources: Resources, case_reader: CaseReader, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A worker in this process with a fake engine."""
    runtime, engine = Runtime(resources), BrightnessEngine()
    monkeypatch.setattr(runtime, "engine", lambda _model: engine)
    monkeypatch.setattr(runtime, "case_reader", case_reader)
    return runtime


@pytest.fixture
def data(resources: Resources) -> Path:
    return write_data_set(resources.settings.evaluation_roots[0] / "set")
