"""The JSON of an evaluation, a case and a patient: the same for the API and the pages."""

from dataclasses import asdict
from typing import Any

from flask import url_for
from sqlalchemy.orm import Session

from ml.ood.detector import UNLIKE
from webapp.domain.evaluations import progress as evaluation_progress
from webapp.domain.evaluations.comparison import Comparison
from webapp.domain.evaluations.images import KINDS, OF_TRUTH
from webapp.domain.evaluations.models import Evaluation, EvaluationCase, EvaluationPatient, SourceKind
from webapp.domain.evaluations.report_files import DOWNLOADS
from webapp.domain.jobs.models import Status
from webapp.schemas.metrics import case_metrics, patient_metrics
from webapp.schemas.scans import WARNING_MESSAGES, timestamp

# Findings in an answer; the whole list is `findings.json`.
PROBLEMS_SHOWN = 100


def evaluation_json(session: Session, evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation with its progress."""
    progress = evaluation_progress.progress(session, evaluation)
    findings = evaluation.findings
    return {
        "id": evaluation.id,
        "name": evaluation.name,
        "source": evaluation.source.value,
        # A folder's path is the operator's own; of an archive the name that it came under.
        "path": evaluation.location if evaluation.source is SourceKind.FOLDER else None,
        "filename": evaluation.location if evaluation.source is SourceKind.ARCHIVE else None,
        "status": evaluation.status.value,
        "model": evaluation.model,
        "model_version": evaluation.model_version,
        "engine": evaluation.engine,
        "threshold": evaluation.threshold,
        "min_tumor_pixels": evaluation.min_tumor_pixels,
        "has_truth": evaluation.has_truth,
        "created_at": timestamp(evaluation.created_at),
        "started_at": timestamp(evaluation.started_at) if evaluation.started_at else None,
        "finished_at": timestamp(evaluation.finished_at) if evaluation.finished_at else None,
        "progress": {
            **asdict(progress),
            "rate_per_s": _rounded(progress.rate_per_s, 2),
            "seconds_left": _rounded(progress.seconds_left, 0),
            "mean_dice": _rounded(progress.mean_dice, 4),
        },
        "findings": None if findings is None else {**findings, "problems": findings["problems"][:PROBLEMS_SHOWN]},
        "headline": evaluation.headline,
        "summary": evaluation.summary,
        "error": {"code": evaluation.error_code, "message": evaluation.error_message}
        if evaluation.error_code
        else None,
        "links": evaluation_links(evaluation),
    }


def evaluation_links(evaluation: Evaluation) -> dict[str, str]:
    """Where an evaluation's parts are; the report's once there is one."""
    own = {"evaluation_id": evaluation.id}
    links = {
        "self": url_for("api-evaluations.EvaluationItem", **own),
        "page": url_for("evaluations.show", **own),
        "cases": url_for("api-evaluations.cases", **own),
        "patients": url_for("api-evaluations.patients", **own),
        "findings": url_for("api-evaluations.findings", **own),
    }
    if evaluation.status is Status.SUCCEEDED:
        links |= {name: url_for("api-evaluations.report", name=name, **own) for name in DOWNLOADS}
    return links


def case_json(row: EvaluationCase) -> dict[str, Any]:
    """One finished case; metrics are null where nothing defines them."""
    own = {"evaluation_id": row.evaluation_id, "position": row.position}
    kinds = [kind for kind in KINDS if row.has_truth or kind not in OF_TRUTH] if row.map_key else []
    return {
        "position": row.position,
        "patient": row.patient,
        "image": row.image,
        "outcome": row.outcome.value,
        "width": row.width,
        "height": row.height,
        **case_metrics(row),
        "warnings": [{"code": UNLIKE, "message": WARNING_MESSAGES[UNLIKE]}] if row.is_unlike else [],
        "error": {"code": row.error_code, "message": row.error_message} if row.error_code else None,
        "links": {"page": url_for("evaluations.case", **own), **_picture_links(own, kinds)},
    }


def _picture_links(own: dict[str, Any], kinds: list[str]) -> dict[str, str]:
    """The pictures of a case by their kind, from one address: building each took a fifth of a page's time."""
    if not kinds:
        return {}
    folder = url_for("api-evaluations.picture", kind=kinds[0], **own).removesuffix(f"{kinds[0]}.png")
    return {kind: f"{folder}{kind}.png" for kind in kinds}


def patient_json(row: EvaluationPatient) -> dict[str, Any]:
    """One patient; pixels are pooled over all slices."""
    return {"patient": row.patient, **patient_metrics(row)}


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Two evaluations on the same cases."""
    paired = comparison.paired
    return {
        "first": comparison.first.id,
        "second": comparison.second.id,
        "shared": comparison.shared,
        "altered": comparison.altered,
        "only_first": comparison.only_first,
        "only_second": comparison.only_second,
        "patient_dice": {
            "pairs": paired.pairs,
            "mean_difference": _rounded(paired.mean_difference, 6),
            "median_difference": _rounded(paired.median_difference, 6),
            "ci95": None if paired.ci95 is None else [round(value, 6) for value in paired.ci95],
            "better": paired.better,
            "worse": paired.worse,
            "equal": paired.equal,
            "wilcoxon_p": paired.p_value,
        },
        "changed": [
            {"first": first, "second": second, "slices": count}
            for (first, second), count in sorted(comparison.changed.items())
        ],
        "changes": [asdict(change) for change in comparison.changes],
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
