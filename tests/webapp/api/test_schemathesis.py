"""Calls that schemathesis makes of the API's description: no fault, and no answer that it does not have."""

from collections import Counter
from collections.abc import Callable

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ml.datasets.case_reader import CaseReader
from tests.support.evaluations import run_all, write_data_set
from tests.webapp.clients import finished, resources_of
from tests.webapp.evaluation_calls import started
from tests.worker.conftest import BrightnessEngine
from worker.process.runtime import Runtime

# Of each call; the same ones at every run.
CALLS = 20
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXPLORE = settings(
    max_examples=CALLS,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.long
# It does not close what the application answers with.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_call_at_random_is_a_fault_or_is_answered_otherwise_than_described(
    app: Flask, case_reader: CaseReader, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    runtime, engine = Runtime(resources_of(app)), BrightnessEngine()
    monkeypatch.setattr(runtime, "engine", lambda _model: engine)
    monkeypatch.setattr(runtime, "case_reader", case_reader)
    scan = finished(app)
    data = write_data_set(runtime.resources.settings.evaluation_roots[0] / "set")
    known = {
        "scan_id": scan["id"],
        "segmentation_id": scan["segmentation"]["id"],
        "evaluation_id": started(app.test_client(), data),
        "position": 0,
        "name": "report.json",
    }
    run_all(runtime, known["evaluation_id"])
    operations = [
        found.ok() for found in schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app).get_all_operations()
    ]
    answers: Counter[int] = Counter()
    faults: list[str] = []
    for operation in operations:

        @seed(12)
        @EXPLORE
        @given(case=operation.as_strategy(), is_known=st.booleans())
        def call(case: schemathesis.Case, is_known: bool) -> None:
            if is_known and case.method != "DELETE":
                case.path_parameters.update({key: known[key] for key in case.path_parameters if key in known})
            response = case.call()
            answers[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        try:
            call()
        except FailureGroup as group:
            faults += [f"{operation.label}: {fault}" for fault in group.exceptions]
    seen = ", ".join(f"{count} times {status}" for status, count in sorted(answers.items()))
    figure(f"schemathesis: {len(operations)} calls of the API, {answers.total()} requests: {seen}")
    assert len(operations) > 20 and answers[200] > answers.total() / 10
    assert not faults, "\n\n".join(faults)
