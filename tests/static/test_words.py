"""The same words in scripts and on pages; and what a preview of a case amounts to."""

import pytest
from playwright.sync_api import Page

from webapp.schemas import labels

pytestmark = pytest.mark.browser

THRESHOLDS = {
    0.5: "0.50",
    0.62: "0.62",
    0.999: "0.999",
    0.995: "0.995",
    0.1 + 0.2: "0.30",
    0.0: "0.00",
    1.0: "1.00",
    1e-7: "0.0000001",
}

WORDS = """async (values) => {
  const { threshold } = await import("/js/core/format.js");
  return values.map(threshold);
}"""

OUTCOMES = """async (cases) => {
  const { CaseFinding } = await import("/js/evaluations/finding.js");
  return cases.map(([facts, sum]) => CaseFinding.prototype.outcomeOf.call(facts, sum));
}"""


def test_a_threshold_is_shown_with_all_its_digits(module_page: Page) -> None:
    assert [labels.threshold(value) for value in THRESHOLDS] == list(THRESHOLDS.values())
    assert module_page.evaluate(WORDS, list(THRESHOLDS)) == list(THRESHOLDS.values())


def test_a_preview_of_a_case_finds_nothing_where_no_mark_is_a_finding(module_page: Page) -> None:
    void = {"expertPixels": None, "allClear": "not_assessed", "withMask": "not_assessed"}
    plain = {"expertPixels": None, "allClear": "no_tumor", "withMask": "tumor_detected"}
    marked, doubtful, empty = ({"pixels": n, "doubt": doubt} for n, doubt in ((9, None), (0, {}), (0, None)))
    cases = [[facts, found] for facts in (void, plain) for found in (marked, doubtful, empty)]
    assert module_page.evaluate(OUTCOMES, cases) == [
        *["not_assessed"] * 3,
        *("tumor_detected", "uncertain", "no_tumor"),
    ]


REFUSALS = """async (rejected) => {
  const { refusalsOf } = await import("/js/core/names.js");
  return refusalsOf(rejected);
}"""


def test_each_reason_for_which_files_were_not_taken_is_said_once_with_its_files(module_page: Page) -> None:
    def said(*rejected: tuple[str, str]) -> str:
        items = [{"filename": name, "code": "unreadable", "message": message} for name, message in rejected]
        return str(module_page.evaluate(REFUSALS, items))

    assert said(("a", "A CT.")) == "A CT."
    assert said(("a", "Thin."), ("b", "A CT."), ("c", "Thin.")) == "a, c: Thin. b: A CT."
    assert said(*((str(number), f"{number}.") for number in range(10))).endswith("7: 7. And 2 more, for other reasons.")
