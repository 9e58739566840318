"""A case as a row, and a row as the result that `ml.evaluation` adds up: nothing is lost between the two."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import undefer

from ml.cards.card import Card
from ml.datasets.case import Case
from ml.evaluation.run import CaseResult
from ml.evaluation.scoring import Failure, Prediction, Score
from ml.masks import min_pixels_on_grid
from ml.metrics.overlap import Counts, dice
from ml.metrics.surfaces import SurfaceFigures
from webapp.domain.evaluations.manifest import ListedCase
from webapp.domain.evaluations.models import CaseOutcome, EvaluationCase
from webapp.domain.resources import Resources

# Rows that are in memory as database objects at once.
ROWS_AT_ONCE = 2000


@dataclass(frozen=True)
class StoredResult:
    """A case's result, and where its map and truth are."""

    position: int
    result: Score | Prediction | Failure
    map_key: str | None
    image_sha256: str | None


def map_name(position: int) -> str:
    """The probability map of a case in its stored group, uint8 (H, W)."""
    return f"q{position}"


def truth_name(position: int) -> str:
    """The expert's mask of a case in its stored group, bits of (H, W), packed."""
    return f"t{position}"


def case_row(listed: ListedCase, judged: CaseResult, map_key: str | None, card: Card) -> dict[str, Any]:
    """The columns of EvaluationCase but the evaluation's id."""
    row: dict[str, Any] = {
        "position": listed.position,
        "patient": listed.patient,
        "image": listed.image,
        "image_sha256": listed.image_sha256,
    }
    result = judged.result
    if isinstance(result, Failure):
        code, message = result.code, result.message
        return {**row, "outcome": CaseOutcome.FAILED, "error_code": code, "error_message": message}
    if judged.q is not None:
        height, width = judged.q.shape
        smallest = min_pixels_on_grid(card.min_tumor_pixels, card.input.size, height, width)
        row |= {"height": height, "width": width, "min_tumor_pixels": smallest, "map_key": map_key}
    row |= {
        "max_probability": result.max_probability,
        "seconds": result.seconds,
        "is_unlike": judged.is_out_of_distribution,
    }
    if isinstance(result, Prediction):
        found = result.predicted_pixels > 0
        outcome = CaseOutcome.TUMOR_DETECTED if found else CaseOutcome.NO_TUMOR
        return {**row, "outcome": outcome, "predicted_pixels": result.predicted_pixels}
    counts = result.counts
    return {
        **row,
        "outcome": _OUTCOMES[counts.truth > 0, counts.predicted > 0],
        "true_positive": counts.true_positive,
        "false_positive": counts.false_positive,
        "false_negative": counts.false_negative,
        "true_negative": counts.true_negative,
        "truth_pixels": counts.truth,
        "predicted_pixels": counts.predicted,
        "dice": dice(counts),
        "hd95": result.surface.hd95,
        "surface_dice": result.surface.surface_dice,
        "levels": result.levels,
    }


def read_results(resources: Resources, evaluation_id: str) -> Iterator[StoredResult]:
    """All results in the order of the cases."""
    after = -1
    while True:
        with resources.database.read() as session:
            rows = session.scalars(
                select(EvaluationCase)
                .where(EvaluationCase.evaluation_id == evaluation_id, EvaluationCase.position > after)
                .order_by(EvaluationCase.position)
                .limit(ROWS_AT_ONCE)
                .options(undefer(EvaluationCase.levels))
            ).all()
        if not rows:
            return
        for row in rows:
            yield StoredResult(row.position, _result(row), row.map_key, row.image_sha256)
        after = rows[-1].position


def _result(row: EvaluationCase) -> Score | Prediction | Failure:
    # The image's name is what tables and reports show; its mask plays no part any more.
    case = Case(row.patient, Path(row.image), None)
    if row.outcome is CaseOutcome.FAILED:
        return Failure(case, row.error_message or "", row.error_code or "internal")
    if row.levels is None:
        return Prediction(case, row.predicted_pixels or 0, row.max_probability or 0.0, row.seconds or 0.0)
    return Score(
        case=case,
        counts=Counts(row.true_positive or 0, row.false_positive or 0, row.false_negative or 0, row.true_negative or 0),
        surface=SurfaceFigures(row.hd95, row.surface_dice),
        max_probability=row.max_probability or 0.0,
        levels=row.levels,
        seconds=row.seconds or 0.0,
    )


_OUTCOMES = {
    (True, True): CaseOutcome.FOUND,
    (True, False): CaseOutcome.MISSED,
    (False, True): CaseOutcome.FALSE_ALARM,
    (False, False): CaseOutcome.CLEAR,
}
