"""Tables of cases and patients, on both databases."""

import pytest

from tests.support.evaluations import begin, write_data_set
from webapp.domain.evaluations import cases
from webapp.domain.evaluations.cases import CaseFilter
from webapp.domain.evaluations.models import EvaluationPatient
from webapp.domain.resources import Resources


@pytest.mark.parametrize("words", ["ÖZTÜRK", "o\u0308ztu\u0308rk", "strasse", "ß"])
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
