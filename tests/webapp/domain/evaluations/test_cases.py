"""Tables of cases and patients, on both databases."""

import pytest

from tests.support.evaluations import begin, write_data_set
from webapp.domain.evaluations import cases
from webapp.domain.evaluations.cases import CaseFilter
from webapp.domain.evaluations.models import CaseOutcome, EvaluationCase, EvaluationPatient
from webapp.domain.resources import Resources


@pytest.mark.parametrize("words", ["ÖZTÜRK", "o\u0308ztu\u0308rk", "strasse", "ß", "straße öztürk"])
def test_a_search_for_a_patient_knows_no_case_and_no_form_of_an_umlaut(resources: Resources, words: str) -> None:
    name = "O\u0308ztu\u0308rk, Straße"
    evaluation_id = begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "set", patients=1))
    with resources.database.write() as session:
        for position, patient in enumerate((name, "Ozturk, Str_%")):
            session.add(EvaluationPatient(evaluation_id=evaluation_id, position=position, patient=patient, metrics={}))
    with resources.database.read() as session:
        found = cases.patients(session, evaluation_id, CaseFilter(query=words)).rows
        assert [row.patient for row in found] == [name]
        assert [row.position for row in cases.patients(session, evaluation_id, CaseFilter(query="r_%")).rows] == [1]


def add_cases(resources: Resources, scores: list[tuple[float | None, int]]) -> str:
    """Finished cases of (Dice, missed pixels) in an evaluation."""
    evaluation_id = begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "set", patients=1))
    with resources.database.write() as session:
        for position, (dice, missed) in enumerate(scores):
            session.add(
                EvaluationCase(
                    evaluation_id=evaluation_id,
                    position=position,
                    patient="anna" if position % 2 else "ben",
                    image=f"{position}.png",
                    outcome=CaseOutcome.CLEAR if dice is None else CaseOutcome.FOUND,
                    predicted_pixels=0,
                    dice=dice,
                    metrics={"false_negative": missed},
                )
            )
    return evaluation_id


def test_a_case_is_stepped_from_as_its_list_was_sorted_and_filtered(resources: Resources) -> None:
    evaluation_id = add_cases(resources, [(0.5, 1), (0.1, 1), (None, 0), (0.1, 1), (0.9, 1)])

    def steps(position: int, **wanted: str) -> tuple[int | None, int | None]:
        with resources.database.read() as session:
            row = cases.case(session, evaluation_id, position)
            before, after = cases.neighbors(session, row, CaseFilter(**wanted))
            return before and before.position, after and after.position

    assert steps(0) == (None, 1) and steps(4) == (3, None)
    assert [steps(position, order="worst") for position in (1, 3, 0, 4)] == [(None, 3), (1, 0), (3, 4), (0, None)]
    assert steps(0, order="best") == (4, 3)
    assert steps(2, order="worst") == (1, 3), "one without a Dice is stepped from in the data set's order"
    assert steps(3, order="worst", patient="anna") == (1, None)


def test_the_gallery_of_equally_bad_slices_begins_with_the_largest_missed_area(resources: Resources) -> None:
    evaluation_id = add_cases(resources, [(0.0, missed) for missed in (1, 2, 3, 4, 5, 600, 7, 8)] + [(0.2, 9000)])
    with resources.database.read() as session:
        shown = dict(cases.gallery_cases(session, evaluation_id))
    assert [row.position for row in shown["Worst slices with tumor"]] == [5, 7, 6, 4, 3, 2]
