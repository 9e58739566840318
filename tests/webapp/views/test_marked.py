"""Words between backticks in sentences, on pages."""

from webapp.views.marked import marked


def test_what_stands_between_backticks_is_code() -> None:
    said = marked("Put it into `masks` & name it `<a>`.")
    assert said == "Put it into <code>masks</code> &amp; name it <code>&lt;a&gt;</code>."


def test_a_single_backtick_stays_and_other_text_is_escaped() -> None:
    assert marked("of `a` and <b>`") == "of `a` and &lt;b&gt;`"


def test_a_percent_sign_stays_with_its_number():
    assert marked("12.5 % of 3, and % alone") == "12.5\u00a0% of 3, and % alone"
