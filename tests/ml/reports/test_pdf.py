"""The report on paper, and the report of slices without masks."""

import io
import re
import zlib
from collections.abc import Iterator

import pytest

from ml.datasets import list_cases
from ml.evaluation.predictions import summarize_predictions
from ml.evaluation.report import Settings, make_report
from ml.evaluation.run import evaluate_cases, score_cases
from ml.reports.document import Document
from ml.reports.folder import fill_predictions_folder
from ml.reports.gallery import arrays_of, draw_gallery
from ml.reports.pdf import predictions_pdf, report_pdf
from ml.reports.plots import draw_plots
from tests.ml.evaluation.conftest import square, write_case
from tests.support.reports import TITLE


def streams_of(pdf: bytes) -> Iterator[bytes]:
    """Its streams, unpacked where they are packed."""
    for match in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            yield zlib.decompress(match[1])
        except zlib.error:
            yield match[1]


def words_of(pdf: bytes) -> str:
    """The text that a PDF shows, as its own operators have it."""
    text = [words for stream in streams_of(pdf) for words in re.findall(rb"\((.*?)(?<!\\)\) Tj", stream)]
    return b" ".join(text).decode("latin-1").replace("\\(", "(").replace("\\)", ")")


def letters_of(pdf: bytes) -> set[str]:
    """Those of its own fonts, as whoever copies text out of it gets them."""
    maps = [stream for stream in streams_of(pdf) if b"beginbfchar" in stream or b"beginbfrange" in stream]
    return {chr(int(code, 16)) for one in maps for code in re.findall(rb"> <([0-9A-Fa-f]{4})>", one)}


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("Müller", True),
        ("Łucja Wiśniewska", False),
        ("Иванов Ёжик", False),
        ("Παπάς", False),
        ("İstanbul Şule", False),
    ],
)
def test_names_in_the_letters_of_europe_are_whole_on_paper(text: str, is_plain: bool) -> None:
    document = Document(text)
    document.paragraph(text, style="B")
    document.title_block([("Patient", text)])
    document.rows(("patient", "Dice"), [(text, "0.5")], (40, 40))
    pdf = bytes(document.output())
    if is_plain:
        assert letters_of(pdf) == set() and words_of(pdf).count(text) == 3
    else:
        assert letters_of(pdf) >= set(text) - {" "}
        assert pdf.count(b"/FontFile2") == 2, "a plain and a bold one, and of each what is used"


def test_letters_that_no_font_has_are_question_marks() -> None:
    document = Document("x")
    assert document.choose_font("山田 7", size=9) == "?? 7"
    assert document.choose_font("山田 Łuc", size=9) == "?? Łuc"
    document.output()  # closes the font's file


@pytest.fixture
def report(engine, data):
    write_case(data, "Größe 頭", "a", square(2, 2, 6), square(2, 2, 7))
    (data / "two" / "b.png").write_bytes(b"nothing")
    return make_report(engine, evaluate_cases(engine, list_cases(data), 0.5), Settings(0.5, False, 1))


def test_document_has_headline_figures_patients_and_failures(engine, report, tmp_path):
    pictures = draw_gallery(tmp_path / "gallery", report.outcome.scores, arrays_of(engine, 0.5))
    pdf = report_pdf(report, draw_plots(report), pictures, tmp_path / "gallery", TITLE)
    assert pdf.startswith(b"%PDF-")
    said = words_of(pdf)
    for words in ("Patient Dice", "Research use only. Not for diagnosis.", "Patient Dice, mean", "Worst slices", "one"):
        assert words in said
    assert "Größe ?" in said, "letters that the fonts do not have are question marks, and nothing fails"
    assert "Not evaluated: 1 slice" in said and "b.png cannot be read" in said
    assert pdf.count(b"/Subtype /Image") == len(pictures)


def test_document_of_predictions(engine, tmp_path):
    write_case(tmp_path / "data", "one", "a", square(4, 4, 8), None)
    write_case(tmp_path / "data", "one", "b", square(0, 0, 0), None)
    cases = list_cases(tmp_path / "data", is_truth_needed=False)
    results = [item.result for group in score_cases(engine, cases, 0.5) for item in group]
    predictions = summarize_predictions(engine, results, 0.5, seconds=2.0)
    assert predictions.headline == (
        "Tumor detected in 1 of 2 slices, in 1 of 1 patient; there are no expert masks to compare with"
    )
    assert predictions.summary["slices_per_second"] == 1.0
    assert "Tumor detected in 1 of 2 slices" in words_of(predictions_pdf(predictions, TITLE))
    (tmp_path / "out").mkdir()
    fill_predictions_folder(tmp_path / "out", predictions, TITLE)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "metrics.csv",
        "patients.csv",
        "report.json",
        "report.html",
    }
    assert io.StringIO((tmp_path / "out" / "patients.csv").read_text()).readlines()[1] == "one,2,0,1,64\n"
    assert "nothing here says whether the model is right" in (tmp_path / "out" / "report.html").read_text()
