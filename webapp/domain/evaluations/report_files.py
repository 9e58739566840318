"""The files of a finished evaluation's report, and what the pages read of them."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from webapp.domain.errors import NotFound, NotReady
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.storage.keys import findings_key, report_key

FIGURES = ("patient_dice", "dice_by_size", "roc", "reliability", "verdicts")
DOWNLOADS = {
    "metrics.csv": "text/csv; charset=utf-8",
    "patients.csv": "text/csv; charset=utf-8",
    "report.json": "application/json",
    "report.html": "text/html; charset=utf-8",
    "report.pdf": "application/pdf",
}


def report_file(resources: Resources, evaluation: Evaluation, name: str) -> Path:
    """A file of the report. Raises NotReady before there is one, NotFound where the report has none of that name."""
    if evaluation.status is not Status.SUCCEEDED or evaluation.report_attempt is None:
        raise NotReady(f"There is no report yet: the evaluation is {evaluation.status.value}.")
    path = resources.storage.path(report_key(evaluation.id, evaluation.report_attempt, name))
    if not path.is_file():
        raise NotFound("This evaluation has no such file: slices without expert masks have no figures.")
    return path


def findings_file(resources: Resources, evaluation: Evaluation) -> Path:
    """All that the check found, as JSON. Raises NotReady before there is anything."""
    if evaluation.findings is None:
        raise NotReady("The data set has not been checked yet.")
    return resources.storage.path(findings_key(evaluation.id, evaluation.findings["attempt"]))


def page_document(resources: Resources, evaluation: Evaluation) -> dict[str, Any] | None:
    """The report without its long lists, None before there is a report."""
    if evaluation.report_attempt is None or evaluation.status is not Status.SUCCEEDED:
        return None
    path = resources.storage.path(report_key(evaluation.id, evaluation.report_attempt, "page.json"))
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else None


@lru_cache(maxsize=8)
def _read(path: Path, _modified_ns: int) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
