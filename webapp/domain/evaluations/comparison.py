"""Two finished evaluations on the same cases: paired Dice of the patients, and the verdicts that changed.

A patient's Dice is pooled in both over the very same slices: those that both compared with the same truth. Slices that
one of them lacks, or could not read, would else be taken for a difference of the models.
"""

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from ml.datasets.time_points import person_of
from ml.metrics.comparison import PairedComparison, compare_pairs
from ml.metrics.overlap import Counts, dice
from ml.plots.comparison import PairPoint, plot_pairs
from webapp.domain.errors import InvalidInput, NotReady
from webapp.domain.evaluations import lookup
from webapp.domain.evaluations.models import COMPARED, Evaluation, EvaluationCase
from webapp.domain.jobs.models import Status

# Rows that an answer lists; the counts are of all.
CHANGES_SHOWN = 200
PATIENTS_SHOWN = 500
MOST_CANDIDATES = 100
DIFFERENCES_SHOWN = 6


@dataclass(frozen=True)
class PatientPair:
    """One patient's Dice in both, pooled over `slices` that both compared."""

    patient: str
    slices: int
    first: float
    second: float


@dataclass(frozen=True)
class Change:
    """A slice whose outcome differs."""

    patient: str
    image: str
    first_position: int
    second_position: int
    first: str
    second: str


@dataclass(frozen=True)
class Difference:
    """A slice that both compared with the same truth, and its Dice in each."""

    patient: str
    image: str
    first_position: int
    second_position: int
    first: float
    second: float


@dataclass(frozen=True)
class Comparison:
    """Second less first. shared: images in both by their name; compared: those of them that both could compare with the
    same truth, over which the Dice are pooled. altered: those whose bytes or whose truth differ; failed: those that one
    of both could not read.

    differences: the slices whose Dice differ most, the largest difference first.
    changed: slices by (outcome in the first, outcome in the second), those with one outcome in both left out.
    """

    first: Evaluation
    second: Evaluation
    shared: int
    compared: int
    altered: int
    failed: int
    only_first: int
    only_second: int
    paired: PairedComparison
    patients: tuple[PatientPair, ...]
    changed: dict[tuple[str, str], int]
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...] = ()

    @property
    def names(self) -> tuple[str, str]:
        """What tells them apart: models on one data set have its name, and which is the better one must be said."""
        first, second = (_described(item) for item in (self.first, self.second))
        if self.first.name != self.second.name:
            return self.first.name, self.second.name
        return (first, second) if first != second else (f"{first}, first", f"{second}, second")


def _described(evaluation: Evaluation) -> str:
    """As the choice of what to compare with has it (templates/evaluations/show.html)."""
    return f"{evaluation.name} ({evaluation.model}, {evaluation.threshold})"


def candidates(session: Session, evaluation: Evaluation) -> list[Evaluation]:
    """Other finished evaluations with masks, those of as many cases first."""
    return list(
        session.scalars(
            select(Evaluation)
            .where(
                Evaluation.id != evaluation.id, Evaluation.status == Status.SUCCEEDED, Evaluation.has_truth.is_(True)
            )
            .order_by((Evaluation.case_count == evaluation.case_count).desc(), Evaluation.created_at.desc())
            .limit(MOST_CANDIDATES)
        )
    )


def compare(session: Session, first_id: str, second_id: str) -> Comparison:
    """Raises NotFound, NotReady (one has not ended well), InvalidInput (no masks, or not one case in common)."""
    first, second = (lookup.get(session, evaluation_id) for evaluation_id in (first_id, second_id))
    if first.id == second.id:
        raise InvalidInput("An evaluation is not compared with itself; choose another one.")
    for row in (first, second):
        if row.status is not Status.SUCCEEDED:
            raise NotReady(f"Both evaluations must have ended; {row.name} is {row.status.value}.")
        if not row.has_truth:
            raise InvalidInput(f"{row.name} has no expert masks, so there is no Dice to compare.")
    left, right = aliased(EvaluationCase), aliased(EvaluationCase)
    same = (left.evaluation_id == first.id) & (right.evaluation_id == second.id) & (left.image == right.image)
    is_altered = ~_is_unchanged(left, right)
    groups = session.execute(
        select(left.outcome, right.outcome, func.count(), func.count().filter(is_altered))
        .join(right, same)
        .group_by(left.outcome, right.outcome)
    ).all()
    shared = sum(count for _, _, count, _ in groups)
    both = [(count, altered) for a, b, count, altered in groups if a in COMPARED and b in COMPARED]
    if not shared:
        raise InvalidInput("The two evaluations have no image in common; compare evaluations of one data set.")
    rows = session.execute(
        select(left.patient, left.image, left.position, right.position, left.outcome, right.outcome)
        .join(right, same)
        .where(left.outcome != right.outcome)
        .order_by(left.position)
        .limit(CHANGES_SHOWN)
    ).all()
    pairs = _patients(session, first.id, second.id)
    compared = sum(count - altered for count, altered in both)
    ranked = sorted(pairs, key=lambda pair: (pair.second - pair.first, pair.patient))
    return Comparison(
        first=first,
        second=second,
        shared=shared,
        compared=compared,
        altered=sum(altered for _, altered in both),
        failed=shared - sum(count for count, _ in both),
        only_first=(first.case_count or 0) - shared,
        only_second=(second.case_count or 0) - shared,
        paired=compare_pairs(
            [pair.first for pair in pairs],
            [pair.second for pair in pairs],
            persons=[person_of(pair.patient) for pair in pairs],
        ),
        patients=tuple(ranked[:PATIENTS_SHOWN]),
        changed={(a.value, b.value): count for a, b, count, _ in groups if a is not b},
        changes=tuple(Change(*row[:4], row[4].value, row[5].value) for row in rows),
        differences=_differences(session, first.id, second.id),
    )


def plot(found: Comparison) -> str:
    """The patients' pairs as SVG: those that the comparison lists."""
    points = [PairPoint(pair.patient, pair.first, pair.second) for pair in found.patients]
    return plot_pairs(points, *found.names).render()


def _differences(session: Session, first_id: str, second_id: str) -> tuple[Difference, ...]:
    left, right = aliased(EvaluationCase), aliased(EvaluationCase)
    apart = func.abs(left.dice - right.dice)
    rows = session.execute(
        select(left.patient, left.image, left.position, right.position, left.dice, right.dice)
        .join(right, left.image == right.image)
        .where(
            left.evaluation_id == first_id,
            right.evaluation_id == second_id,
            left.outcome.in_(COMPARED),
            right.outcome.in_(COMPARED),
            apart > 0,
            _is_unchanged(left, right),
        )
        .order_by(apart.desc(), left.position)
        .limit(DIFFERENCES_SHOWN)
    )
    return tuple(Difference(*row[:4], float(row[4] or 0), float(row[5] or 0)) for row in rows)


def _patients(session: Session, first_id: str, second_id: str) -> list[PatientPair]:
    """Patients with tumor in the slices that both compared."""
    left, right = aliased(EvaluationCase), aliased(EvaluationCase)
    names = [field.name for field in fields(Counts)]
    rows = session.execute(
        select(left.patient, func.count(), *(func.sum(_pixels(side, name)) for side in (left, right) for name in names))
        .join(right, left.image == right.image)
        .where(
            left.evaluation_id == first_id,
            right.evaluation_id == second_id,
            left.outcome.in_(COMPARED),
            right.outcome.in_(COMPARED),
            _is_unchanged(left, right),
        )
        .group_by(left.patient)
        .order_by(func.min(left.position))
    )
    pairs = []
    for patient, slices, *sums in rows:
        counts = [int(value or 0) for value in sums]
        first, second = dice(Counts(*counts[: len(names)])), dice(Counts(*counts[len(names) :]))
        if first is not None and second is not None:
            pairs.append(PatientPair(patient, slices, first, second))
    return pairs


def _is_unchanged(left: Any, right: Any) -> ColumnElement[bool]:
    """Whether two cases show the same slice and the same truth.

    Cases of earlier versions have no digest of what was read: there the image must be the same file, and the truth of
    as many pixels on as many.
    """
    same_content = and_(
        left.pixels_sha256.is_not(None),
        left.pixels_sha256.is_not_distinct_from(right.pixels_sha256),
        left.truth_sha256.is_not_distinct_from(right.truth_sha256),
    )
    has_none = or_(left.pixels_sha256.is_(None), right.pixels_sha256.is_(None))
    same = [left.image_sha256.is_not_distinct_from(right.image_sha256)]
    for group in (("true_positive", "false_negative"), ("false_positive", "true_negative")):
        sums = [sum((func.coalesce(_pixels(side, name), 0) for name in group), start=0) for side in (left, right)]
        same.append(sums[0] == sums[1])
    return or_(same_content, and_(has_none, *same))


def _pixels(case: Any, name: str) -> ColumnElement[int]:
    """One of the four counts of pixels of a case that was compared."""
    return case.metrics[name].as_integer()  # type: ignore[no-any-return]
