"""The files of a finished evaluation's report, and what the pages read of them."""

import json
from functools import lru_cache
from typing import Any

from ml.plots.evaluation import NAMES as FIGURES
from webapp.domain.errors import NotFound, NotReady
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.jobs.models import OPEN_STATUSES, Status
from webapp.domain.resources import Resources
from webapp.domain.storage.interface import Storage
from webapp.domain.storage.keys import findings_key, report_key

__all__ = ["DOWNLOADS", "FIGURES", "findings_file", "page_document", "report_file"]

DOWNLOADS = {
    "metrics.csv": "text/csv",
    "patients.csv": "text/csv",
    "report.json": "application/json",
    "report.html": "text/html",
    "report.pdf": "application/pdf",
}


def report_file(resources: Resources, evaluation: Evaluation, name: str) -> str:
    """The key of a file of the report. Raises NotReady before there is one, NotFound where it has no such figure,
    StorageUnavailable."""
    if evaluation.status is not Status.SUCCEEDED or evaluation.report_attempt is None:
        state = evaluation.status.value
        if evaluation.status in OPEN_STATUSES:
            raise NotReady(f"There is no report yet: the evaluation is {state}.")
        raise NotReady(f"There is no report: the evaluation is {state}. Its finished cases stay; start another one.")
    key = report_key(evaluation.id, evaluation.report_attempt, name)
    # Every report has the others: where one is missing, the storage has lost it.
    if name not in DOWNLOADS and not resources.storage.exists(key):
        raise NotFound("This evaluation has no such file: slices without expert masks have no figures.")
    return key


def findings_file(evaluation: Evaluation) -> str:
    """The key of all that the check found, as JSON. Raises NotReady before there is anything."""
    if evaluation.findings is None:
        raise NotReady("The data set has not been checked yet.")
    return findings_key(evaluation.id, evaluation.findings["attempt"])


def page_document(resources: Resources, evaluation: Evaluation) -> dict[str, Any] | None:
    """The report without its long lists, None before there is a report."""
    if evaluation.report_attempt is None or evaluation.status is not Status.SUCCEEDED:
        return None
    key = report_key(evaluation.id, evaluation.report_attempt, "page.json")
    return _read(resources.storage, key) if resources.storage.exists(key) else None


@lru_cache(maxsize=8)
def _read(storage: Storage, key: str) -> dict[str, Any]:
    """A stored document; what an attempt has stored never changes."""
    with storage.open(key) as file:
        document: dict[str, Any] = json.load(file)
    if "in_doubt" in document.get("calibration", {}):
        _rename_foreground(document)
    return document


def _rename_foreground(document: dict[str, Any]) -> None:
    """Reports of earlier versions call the pixels with p of at least 0.05 "in doubt"."""
    document["calibration"]["foreground"] = document["calibration"].pop("in_doubt")
    for part in ("summary", "intervals", "aggregation"):
        document[part]["ece_foreground"] = document[part].pop("ece_in_doubt")
