"""What must be known before an evaluation's figures: patients that the model knows already, and too few of them."""

from dataclasses import replace

import pytest

from ml.cards import Training
from ml.datasets import list_cases
from ml.evaluation.caveats import caveats_of, is_apart, known_patient
from ml.evaluation.report import Settings, make_report, summary_of
from ml.evaluation.run import evaluate_cases
from ml.reports.folder import fill_folder
from ml.reports.gallery import arrays_of
from ml.reports.pdf import report_pdf
from tests.ml.reports.test_pdf import words_of
from tests.support.reports import TITLE

TRAINING = Training(patients=3, training_patients=("a", "b", "c"), validation_patients=("v", "w"), test_patients=("t",))
MANY = [f"patient {number}" for number in range(10)]


@pytest.mark.parametrize(
    ("patients", "sentence"),
    [
        (["a", "b", "v"], "By their names, 2 of 3 patients were trained on, 1 was used to choose the epoch"),
        (["a"], "By their names, 1 of 1 patient was trained on"),
        (["v", "w", "t"], "By their names, 2 of 3 patients were used to choose the epoch"),
    ],
)
def test_patients_that_the_card_names_are_no_test(patients, sentence):
    assert caveats_of(TRAINING, patients, 3, has_interval=False) == (f"{sentence}: this is no test.",)


def test_a_person_at_another_time_is_no_test_either():
    training = Training(patients=1, training_patients=("BraTS-GLI-00001-000",))
    (sentence,) = caveats_of(training, ["BraTS-GLI-00001-001", "BraTS-GLI-00002-000"], 2, has_interval=False)
    assert sentence == "By their names, 1 of 2 patients was trained on: this is no test."
    assert known_patient(training, ["BraTS-GLI-00001-001-t2f.nii.gz"]) is not None
    assert known_patient(training, ["BraTS-GLI-00002-000-t2f.nii.gz", "BraTS-GLI-000010-000"]) is None


def test_masks_that_hardly_overlap_with_the_result_are_said():
    (sentence,) = caveats_of(Training(), MANY, 10, has_interval=False, apart=MANY[:7])
    assert "hardly overlap" in sentence
    assert sentence.endswith("of 7 patients: patient 0, patient 1, patient 2, patient 3, patient 4 and 2 more.")
    assert is_apart(0.001, 12) and not is_apart(0.001, 0) and not is_apart(0.5, 12) and not is_apart(None, 12)


def test_slices_of_the_training_are_said_where_they_are_more_than_chance():
    def said(slices, known):
        return caveats_of(TRAINING, ["t"], 1, has_interval=False, slices=slices, training_slices=known)

    assert said(3, 3) == ("By their pixels, 3 of 3 slices were trained on, whatever they are called: this is no test.",)
    assert said(2, 2) == said(1000, 19) == () and said(1000, 20)


def test_slices_that_are_patients_of_their_own_are_said():
    (sentence,) = caveats_of(Training(), MANY, 10, has_interval=True, slices=10)
    assert "Each slice is a patient of its own" in sentence
    assert caveats_of(Training(), MANY, 10, has_interval=True, slices=11) == ()


def test_patients_that_the_card_does_not_name_or_kept_for_its_test_are_one():
    assert caveats_of(TRAINING, ["t", *MANY], 11, has_interval=True) == ()
    assert caveats_of(Training(), ["a"], 10, has_interval=True) == ()


@pytest.mark.parametrize(
    ("names", "use"),
    [
        (["tcga_12-07.tif"], "trained on"),
        (["TCGA_12"], "trained on"),
        (["slice 3.png", "TCGA_13_flair"], "used to choose the epoch"),
        (["TCGA_120_1.tif", "P7 flair", "TCGA_14.png", ""], None),
    ],
)
def test_a_scan_of_a_patient_that_the_model_knows_is_told_by_how_its_name_begins(names, use):
    training = Training(
        training_patients=("P7", "TCGA_12"), validation_patients=("TCGA_13",), test_patients=("TCGA_14",)
    )
    assert known_patient(training, names) == (use and f"By its name, this patient was {use}: this is no test.")


@pytest.mark.parametrize(("patients", "is_said"), [(9, True), (10, False)])
def test_an_interval_of_fewer_than_ten_patients_is_too_narrow(patients, is_said):
    said = caveats_of(Training(), MANY, patients, has_interval=True)
    assert (
        any("9 patients with tumor: with fewer than ten they are too narrow." in sentence for sentence in said)
        == is_said
    )
    assert caveats_of(Training(), MANY, patients, has_interval=False) == ()


def test_every_form_of_the_report_says_it(engine, data, tmp_path):
    engine.card = replace(engine.card, training=Training(training_patients=("one",)))
    report = make_report(engine, evaluate_cases(engine, list_cases(data), 0.5), Settings(0.5, False, 1))
    own, few = report.caveats
    assert own.startswith("By their names, 1 of ") and "too narrow" in few
    assert summary_of(report)["caveats"] == [own, few]
    (tmp_path / "report").mkdir()
    written = fill_folder(tmp_path / "report", report, arrays_of(engine, 0.5), TITLE)
    assert written.document["summary"]["caveats"] == [own, few]
    page = (tmp_path / "report" / "report.html").read_text()
    paper = words_of(report_pdf(report, written.drawings, written.pictures, tmp_path / "report" / "gallery", TITLE))
    for sentence in (own, few):
        assert sentence in page and sentence in " ".join(paper.split())
