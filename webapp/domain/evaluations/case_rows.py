"""A case's result as a row, and a row as the result that `ml.evaluation` adds up: nothing is lost between the two."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import undefer

from ml.cards import Card
from ml.datasets.case import Case
from ml.evaluation.run import CaseResult
from ml.evaluation.scoring import Failure, Prediction, Score, SliceContent, SliceResult
from ml.evaluation.summary import PatientResult
from ml.masks import rule_on_grid
from ml.measurements import Verdict, verdict_of
from ml.metrics.overlap import Counts
from ml.metrics.slices import Value
from webapp.domain.evaluations.manifest import ListedCase
from webapp.domain.evaluations.models import (
    CASE_COLUMNS,
    PATIENT_COLUMNS,
    CaseOutcome,
    EvaluationCase,
    EvaluationPatient,
)
from webapp.domain.resources import Resources

# Rows that are in memory as database objects at once.
ROWS_AT_ONCE = 2000
_COUNTS = tuple(field.name for field in fields(Counts))
# By the verdict, and whether the truth has tumor.
_OUTCOMES = {
    (Verdict.TUMOR_DETECTED, True): CaseOutcome.FOUND,
    (Verdict.UNCERTAIN, True): CaseOutcome.UNCERTAIN_TUMOR,
    (Verdict.NO_TUMOR, True): CaseOutcome.MISSED,
    (Verdict.TUMOR_DETECTED, False): CaseOutcome.FALSE_ALARM,
    (Verdict.UNCERTAIN, False): CaseOutcome.UNCERTAIN_CLEAR,
    (Verdict.NO_TUMOR, False): CaseOutcome.CLEAR,
}


def case_row(
    evaluation_id: str, listed: ListedCase, found: CaseResult, map_key: str | None, card: Card
) -> EvaluationCase:
    """The row of a finished case. map_key: the stored group of its map and truth."""
    result = found.result
    if isinstance(result, Failure):
        return failed_row(evaluation_id, listed, result.code, result.message)
    row = _named_row(evaluation_id, listed)
    if found.probability_u8 is not None:
        row.height, row.width = found.probability_u8.shape
        rule = rule_on_grid(card, card.threshold, row.height, row.width)
        row.min_tumor_pixels = rule.min_tumor_pixels
        row.doubt_rule = None if rule.doubt is None else asdict(rule.doubt)
        row.map_key = map_key
    if result.content is not None:
        row.pixels_sha256, row.truth_sha256 = result.content.pixels_sha256, result.content.truth_sha256
    row.dropped = [list(pixel) for pixel in result.dropped] or None
    row.is_out_of_distribution, row.input_warning = found.is_out_of_distribution, found.input_warning
    row.is_of_training = found.is_of_training
    row.is_first_look = found.is_first_look
    if isinstance(result, Prediction):
        row.outcome = CaseOutcome(_verdict(result.metrics, row.warning_codes))
        _put(row, CASE_COLUMNS, result.metrics)
        return row
    # Beside a truth an empty mask is right or wrong, whatever was warned about.
    row.outcome = _OUTCOMES[_verdict(result.metrics), result.counts.truth > 0]
    row.probability_histogram = result.probability_histogram
    row.outlines = result.outlines
    _put(row, CASE_COLUMNS, {**asdict(result.counts), **result.metrics})
    return row


def _verdict(metrics: Mapping[str, Value], warnings: Sequence[str] = ()) -> Verdict:
    has_tumor, has_doubt = bool(metrics["predicted_pixels"]), bool(metrics["doubtful_pixels"])
    return verdict_of(has_tumor=has_tumor, has_doubt=has_doubt, warnings=warnings)


def failed_row(evaluation_id: str, listed: ListedCase, code: str, message: str) -> EvaluationCase:
    """The row of a case that has no result."""
    row = _named_row(evaluation_id, listed)
    row.outcome, row.error_code, row.error_message = CaseOutcome.FAILED, code, message
    return row


def result_of(row: EvaluationCase) -> SliceResult:
    """What the row says, as it was when it was written; its histogram and outlines must be loaded."""
    # The image's name is what tables and reports show; its mask plays no part any more.
    case = Case(row.patient, Path(row.image), None)
    if row.outcome is CaseOutcome.FAILED:
        return Failure(case, row.error_message or "", row.error_code or "internal")
    metrics = row.all_metrics
    dropped = tuple((pixel[0], pixel[1]) for pixel in row.dropped or ())
    content = None if row.pixels_sha256 is None else SliceContent(row.pixels_sha256, row.truth_sha256)
    if row.probability_histogram is None:
        return Prediction(case, metrics, dropped, content)
    counts = Counts(*(int(metrics.pop(name) or 0) for name in _COUNTS))
    return Score(case, counts, metrics, row.probability_histogram, dropped, content, row.outlines)


def read_results(resources: Resources, evaluation_id: str) -> Iterator[SliceResult]:
    """All results in the order of the cases."""
    return map(result_of, read_rows(resources, evaluation_id))


def read_rows(resources: Resources, evaluation_id: str) -> Iterator[EvaluationCase]:
    """All rows in the order of the cases, so many at once."""
    after = -1
    while True:
        with resources.database.read() as session:
            rows = session.scalars(
                select(EvaluationCase)
                .where(EvaluationCase.evaluation_id == evaluation_id, EvaluationCase.position > after)
                .order_by(EvaluationCase.position)
                .limit(ROWS_AT_ONCE)
                .options(undefer(EvaluationCase.probability_histogram), undefer(EvaluationCase.outlines))
            ).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].position


def find_case(resources: Resources, evaluation_id: str, case: Case) -> EvaluationCase:
    """The row that a result was read from. Raises NoResultFound."""
    with resources.database.read() as session:
        return session.scalars(
            select(EvaluationCase).where(
                EvaluationCase.evaluation_id == evaluation_id,
                EvaluationCase.patient == case.patient,
                EvaluationCase.image == case.image.as_posix(),
            )
        ).one()


def patient_rows(evaluation_id: str, patients: Sequence[PatientResult]) -> list[EvaluationPatient]:
    """The rows of a report's patients, in their order."""
    rows = []
    for position, patient in enumerate(patients):
        row = EvaluationPatient(evaluation_id=evaluation_id, position=position, patient=patient.patient)
        _put(row, PATIENT_COLUMNS, patient.metrics)
        rows.append(row)
    return rows


def _named_row(evaluation_id: str, listed: ListedCase) -> EvaluationCase:
    return EvaluationCase(
        evaluation_id=evaluation_id,
        position=listed.position,
        patient=listed.patient,
        image=listed.image,
        image_sha256=listed.image_sha256,
    )


def _put(row: EvaluationCase | EvaluationPatient, columns: Sequence[str], metrics: Mapping[str, Value]) -> None:
    """Metrics with a column of their own go there, the others into the one JSON column."""
    for name in columns:
        setattr(row, name, metrics.get(name))
    row.metrics = {name: value for name, value in metrics.items() if name not in columns}
