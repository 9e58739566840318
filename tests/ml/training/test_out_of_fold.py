"""The maps that a fold keeps are those of its slices, whatever these are called."""

import numpy as np

from ml.datasets import list_cases
from ml.training.out_of_fold import evaluate_and_keep, read_maps, score_maps
from tests.ml.evaluation.conftest import FakeEngine, square, write_case


def test_slices_of_one_name_in_two_folders_of_a_patient_keep_a_map_each(tmp_path):
    for side, length in (("train", 8), ("val", 12)):
        write_case(tmp_path / "data" / side, "P1", "s_1", square(4, 4, length), square(4, 4, 8))
        write_case(tmp_path / "data" / side, "P1", f"own_of_{side}", square(4, 4, 4), square(4, 4, 8))
    cases, engine = list_cases(tmp_path / "data"), FakeEngine()
    assert len(cases) == 4 and len({(case.patient, case.name) for case in cases}) == 3
    outcome = evaluate_and_keep(engine, cases, 0.5, tmp_path)
    assert [np.count_nonzero(map_u8) for map_u8, _ in read_maps(tmp_path, cases)] == [
        score.counts.predicted for score in outcome.scores
    ]
    kept = score_maps(tmp_path, cases, engine.card, 0.5)
    assert [score.metrics["dice"] for score in kept] == [score.metrics["dice"] for score in outcome.scores]
