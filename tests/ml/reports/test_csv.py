"""Every table's cells: numbers short, nothing that a spreadsheet runs."""

import csv
from pathlib import Path

import pytest

from ml.reports.csv import write_table


def written(folder: Path, value: object) -> str:
    write_table(folder / "t.csv", ["name"], [[value]])
    with (folder / "t.csv").open(encoding="utf-8", newline="") as file:
        return next(csv.DictReader(file))["name"]


@pytest.mark.parametrize(
    "begun", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹣", " =", "\u00a0=", "\u3000＝", "\ufeff=", "\u200b@"]
)
def test_what_a_spreadsheet_would_run_is_quoted(tmp_path: Path, begun: str) -> None:
    assert written(tmp_path, f"{begun}1+2") == f"'{begun}1+2"


@pytest.mark.parametrize("begun", ["\t", "\n"])
def test_what_may_begin_a_cell_of_its_own_is_quoted(tmp_path: Path, begun: str) -> None:
    assert written(tmp_path, f"{begun}x") == f"'{begun}x"


@pytest.mark.parametrize("name", ["patient 1", " a=b", "1-2", "_@", "Ü", "", "   ", "'=1"])
def test_other_names_stay_as_they_are(tmp_path: Path, name: str) -> None:
    assert written(tmp_path, name) == name


def test_a_carriage_return_ends_no_row(tmp_path: Path) -> None:
    assert written(tmp_path, "a\rb") == "a b" and written(tmp_path, "\r=1") == "' =1"


def test_numbers_are_short_and_keep_their_sign(tmp_path: Path) -> None:
    assert [written(tmp_path, value) for value in (-0.123456789, -3, None)] == ["-0.123457", "-3", ""]
