"""Slices that lie on each other are told by the numbers at the end of their names."""

from pathlib import Path

import pytest

from ml.datasets import Case
from ml.datasets.stacks import find_stacks, parts_of_one_size


def cases(*names):
    return [Case("one", Path(f"{name}.png"), None) for name in names]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("s_2", "s_10", "s_1", "s_11"), {(2, 0), (1, 3)}),
        (("s_1", "s_2", "s_4"), {(0, 1), (2,)}),
        (("a_1", "b_2", "a_2"), {(0, 2), (1,)}),
        (("first", "second"), {(0,), (1,)}),
        (("s_1", "s_01", "s_2"), {(0,), (1, 2)}),
        (("9", "10"), {(0, 1)}),
        ((), set()),
    ],
)
def test_consecutive_numbers_are_a_stack_in_their_order(names, expected):
    assert set(find_stacks(cases(*names))) == expected


def test_patients_are_never_stacked_together():
    found = [Case("one", Path("s_1.png"), None), Case("two", Path("s_2.png"), None)]
    assert set(find_stacks(found)) == {(0,), (1,)}


def test_slices_of_one_number_in_two_folders_are_two_stacks():
    found = [Case("one", Path(f"{folder}/s_{number}.png"), None) for folder in ("train", "val") for number in (1, 2)]
    assert set(find_stacks(found)) == {(0, 1), (2, 3)}
    scattered = [Case("one", Path(f"{folder}/s_{number}.png"), None) for number, folder in enumerate("abab")]
    assert find_stacks(scattered) == ((0, 1, 2, 3),)


@pytest.mark.parametrize(
    ("sizes", "expected"), [("aab", [(3, 1), (2,)]), ("aba", [(3,), (1,), (2,)]), ("aaa", [(3, 1, 2)]), ("", [])]
)
def test_neighbors_of_one_size_stay_together_and_what_lies_between_divides_them(sizes, expected):
    places = (3, 1, 2)[: len(sizes)]
    shapes: list[tuple[int, ...]] = [()] * 4
    for place, size in zip(places, sizes, strict=True):
        shapes[place] = (64, 64) if size == "a" else (32, 64)
    assert list(parts_of_one_size(places, shapes)) == expected
