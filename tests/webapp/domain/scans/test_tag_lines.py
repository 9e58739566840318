"""Tags on one line and back: what is shown in a form and saved unchanged is unchanged."""

import pytest

from webapp.domain.scans.tag_lines import line_of, tags_of


@pytest.mark.parametrize(
    "tags",
    [
        [],
        ["visit 2", "glioma"],
        ["left, frontal", "glioma"],
        ['"quoted"', '5" coil', 'a "b", c', '"', '""', '",", ","'],
        ["a,", ",b", ","],
    ],
)
def test_a_line_of_tags_is_read_as_the_same_tags(tags: list[str]) -> None:
    assert tags_of(line_of(tags)) == tags


@pytest.mark.parametrize(
    ("line", "tags"),
    [
        ("a, b,,A", ["a", "b", "", "A"]),
        ('"left, frontal" , x', ["left, frontal", "x"]),
        ('"not closed, x', ['"not closed', "x"]),
        ('5" coil, x', ['5" coil', "x"]),
        ('"a" b, c', ['"a" b', "c"]),
        (" , ", ["", ""]),
        ("", []),
    ],
)
def test_whatever_is_typed_is_read(line: str, tags: list[str]) -> None:
    assert tags_of(line) == tags
