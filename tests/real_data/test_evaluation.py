"""Two real patients through the portal's chunks and the real model: the numbers of the command line."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.datasets import list_cases
from ml.evaluation.report import Settings as ReportSettings
from ml.evaluation.report import make_report
from ml.evaluation.run import evaluate_cases
from ml.metrics.intervals import DEFAULT_SEED
from ml.reports.json import json_text, report_document
from tests.support.evaluations import begin, case_rows, run_all
from tests.support.reports import TITLE
from tests.support.resources import make_settings
from webapp.domain.database import migration
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.settings import PROJECT_ROOT
from webapp.domain.storage.keys import report_key
from worker.process.runtime import Runtime

PATIENTS = ("TCGA_CS_4941_19960909", "TCGA_HT_7602_19951103")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    shipped = {"GLIOSCOPE_MODELS": str(PROJECT_ROOT / "ml" / "weights"), "GLIOSCOPE_ENGINE": "openvino"}
    resources = Resources.open(make_settings(tmp_path, GLIOSCOPE_EVALUATION_CHUNK="13", **shipped))
    migration.upgrade(resources.settings.database_url)
    runtime = Runtime(resources)
    yield runtime
    runtime.case_reader.close()
    resources.close()


@pytest.mark.data
def test_two_patients_have_the_command_lines_numbers(runtime: Runtime, real_data: Path) -> None:
    resources = runtime.resources
    folder = resources.settings.evaluation_roots[0] / "two patients"
    for patient in PATIENTS:
        shutil.copytree(real_data / "lgg" / patient, folder / patient)
    evaluation_id = begin(resources, folder)
    done = run_all(runtime, evaluation_id)
    assert done.status is Status.SUCCEEDED, done.error_message
    assert done.findings["is_sound"] and done.findings["data_sha256"]
    engine = runtime.engine(done.model)
    outcome = evaluate_cases(engine, list_cases(folder), engine.card.threshold)
    report = make_report(engine, outcome, ReportSettings(engine.card.threshold, False, DEFAULT_SEED))
    expected = json.loads(json_text(report_document(report, (), TITLE)))
    with resources.storage.open(report_key(evaluation_id, done.report_attempt, "report.json")) as file:
        found = json.load(file)
    for document in (expected, found):
        document["summary"].pop("slices_per_second")
        document.pop("gallery")
        document.pop("title")
    assert found == expected
    assert len(case_rows(resources, evaluation_id)) == len(outcome.results) > 40
    assert found["summary"]["patient_dice_mean"] > 0.5
