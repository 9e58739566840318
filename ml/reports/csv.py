"""Tables as CSV: `metrics.csv`, one row a slice, `patients.csv`, one row a patient, and the writer of every table."""

import csv
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from ml.evaluation.scoring import Failure, SliceResult
from ml.evaluation.summary import PatientResult
from ml.metrics.registry import SLICE_METRICS, Metric, Output, shown_in
from ml.metrics.slices import Value

# More than any metric is good for; and those that every computer shows alike.
METRIC_DIGITS, ALL_DIGITS = 6, 15
SLICE_COLUMNS = ("patient", "image", *(metric.name for metric in shown_in(SLICE_METRICS, Output.CSV)))


class TableWriter:
    """A CSV file being written: its head at once, then row by row."""

    def __init__(self, file: TextIO, columns: Sequence[str], digits: int = METRIC_DIGITS) -> None:
        """digits: significant ones of a float; ALL_DIGITS of figures that come rounded, and of settings."""
        self._digits = digits
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, row: Iterable[object]) -> None:
        """One row; None is an empty field."""
        self._writer.writerow([_cell(value, self._digits) for value in row])


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """A whole table. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = TableWriter(file, columns)
        for row in rows:
            writer.write(row)


def write_slices(path: Path, results: Iterable[SliceResult]) -> None:
    """`metrics.csv`. A failed slice has its patient and image, and nothing else."""
    write_table(path, SLICE_COLUMNS, (_slice_row(result) for result in results))


def write_patients(path: Path, patients: Sequence[PatientResult], metrics: Sequence[Metric[Any, Value]]) -> None:
    """`patients.csv`: pixels pooled over a patient's slices; metrics: of its columns."""
    names = [metric.name for metric in metrics]
    rows = ([patient.patient, *(patient.metrics.get(name) for name in names)] for patient in patients)
    write_table(path, ("patient", *names), rows)


def _slice_row(result: SliceResult) -> list[object]:
    values = {} if isinstance(result, Failure) else result.metrics
    return [result.case.patient, result.case.file_name, *(values.get(name) for name in SLICE_COLUMNS[2:])]


def _cell(value: object, digits: int) -> object:
    """What is not defined is an empty field."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, str):
        # Beside our line ends csv leaves a carriage return bare, and readers end the row there.
        text = value.replace("\r", " ")
        return f"'{text}" if _is_formula(text) else text
    return "" if value is None else value


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a file's name as a formula (OWASP, CSV Injection): also behind blanks and
    characters that it drops, and in full width, which those of East Asian languages read as plain ones."""
    if text[:1].isascii() and text[:1].isalnum():
        return False  # nearly every name
    begun = next((char for char in text if not char.isspace() and unicodedata.category(char)[0] != "C"), "")
    return text.startswith(("\t", "\n")) or unicodedata.normalize("NFKC", begun) in tuple("=+-@")
