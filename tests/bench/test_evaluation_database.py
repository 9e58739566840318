"""Evaluations that the figures of pages are measured on: made as today's workers write them."""

import re
import shutil
from pathlib import Path

from bench.evaluation_database import add_finished
from bench.evaluation_rows import synthetic_cases
from ml.evaluation.scoring import Score
from ml.metrics.registry import SLICE_METRICS
from tests.support.resources import make_settings
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.settings import PROJECT_ROOT


def test_a_made_up_evaluation_has_a_report_and_every_metric(tmp_path: Path, empty_sqlite: Path) -> None:
    results = [found.result for _, found in synthetic_cases(80)]
    names = {metric.name for metric in SLICE_METRICS}
    assert all(set(result.metrics) == names for result in results if isinstance(result, Score))
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    resources = Resources.open(make_settings(tmp_path))
    evaluation_id, seconds = add_finished(resources, 80)
    assert seconds > 0
    with resources.database.read() as session:
        row = session.get_one(Evaluation, evaluation_id)
        assert (row.status, row.case_count) == (Status.SUCCEEDED, 80)
        assert row.summary is not None and row.summary["slices"] == 80
        # A page that asks for a field which these findings lack is an error, and no figure.
        shown = (PROJECT_ROOT / "templates" / "evaluations" / "findings.html").read_text()
        assert row.findings is not None and set(re.findall(r"\bfound\.([a-z_0-9]+)", shown)) <= row.findings.keys()
    resources.close()
