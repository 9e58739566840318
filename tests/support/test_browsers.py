import pytest

from tests.support.browsers import Chromium

pytestmark = pytest.mark.browser


def test_a_browser_that_does_not_answer_is_ended_and_another_one_started(chromium: Chromium) -> None:
    context = chromium.new_context()
    page = context.new_page()
    for process in chromium.processes():
        process.suspend()
    chromium.close_context(context, within_s=1)
    assert page.is_closed()
    again = chromium.new_page()
    assert again.evaluate("1 + 1") == 2
    chromium.close_context(again.context)
