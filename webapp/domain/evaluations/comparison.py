"""Two finished evaluations on the same cases: paired Dice of the patients, and the verdicts that changed."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from ml.metrics.comparison import PairedComparison, compare_pairs
from webapp.domain.errors import InvalidInput, NotReady
from webapp.domain.evaluations import lookup
from webapp.domain.evaluations.models import Evaluation, EvaluationCase, EvaluationPatient
from webapp.domain.jobs.models import Status

# Rows that an answer lists; the counts are of all.
CHANGES_SHOWN = 200
PATIENTS_SHOWN = 500
MOST_CANDIDATES = 100


@dataclass(frozen=True)
class PatientPair:
    """One patient's pooled Dice in both."""

    patient: str
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
class Comparison:
    """Second less first. shared: images in both by their name; altered: those of them whose bytes differ.

    changed: slices by (outcome in the first, outcome in the second), those with one outcome in both left out.
    """

    first: Evaluation
    second: Evaluation
    shared: int
    altered: int
    only_first: int
    only_second: int
    paired: PairedComparison
    patients: tuple[PatientPair, ...]
    changed: dict[tuple[str, str], int]
    changes: tuple[Change, ...]


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
    groups = session.execute(
        select(left.outcome, right.outcome, func.count(), func.count().filter(left.image_sha256 != right.image_sha256))
        .join(right, same)
        .group_by(left.outcome, right.outcome)
    ).all()
    shared = sum(count for _, _, count, _ in groups)
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
    ranked = sorted(pairs, key=lambda pair: (pair.second - pair.first, pair.patient))
    return Comparison(
        first=first,
        second=second,
        shared=shared,
        altered=sum(count for _, _, _, count in groups),
        only_first=(first.case_count or 0) - shared,
        only_second=(second.case_count or 0) - shared,
        paired=compare_pairs([pair.first for pair in pairs], [pair.second for pair in pairs]),
        patients=tuple(ranked[:PATIENTS_SHOWN]),
        changed={(a.value, b.value): count for a, b, count, _ in groups if a is not b},
        changes=tuple(Change(*row[:4], row[4].value, row[5].value) for row in rows),
    )


def _patients(session: Session, first_id: str, second_id: str) -> list[PatientPair]:
    left, right = aliased(EvaluationPatient), aliased(EvaluationPatient)
    rows = session.execute(
        select(left.patient, left.dice, right.dice)
        .join(right, left.patient == right.patient)
        .where(
            left.evaluation_id == first_id,
            right.evaluation_id == second_id,
            left.dice.is_not(None),
            right.dice.is_not(None),
        )
        .order_by(left.position)
    )
    return [PatientPair(patient, first or 0.0, second or 0.0) for patient, first, second in rows]
