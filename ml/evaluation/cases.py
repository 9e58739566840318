"""Which cases an evaluation takes, and when there is nothing to evaluate."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ml.datasets import Case, DatasetError, find_layout, read_patients
from ml.datasets.checking.problems import LeftOut
from ml.datasets.file_names import natural_key
from ml.datasets.layouts.search import no_truth
from ml.datasets.splits import of_table
from ml.evaluation.run import Outcome


@dataclass(frozen=True)
class Choice:
    """The cases, what the folder has beside them, and what its layout says of the figures."""

    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def choose_cases(folder: Path, patients_file: Path | None) -> Choice:
    """The slices of a data set that have a mask, of the file's patients where one is given.

    Raises DatasetError: no data set, no masks, a patient that the folder does not have.
    """
    layout = find_layout(folder)
    if not layout.has_truth:
        raise no_truth(layout, folder)
    cases = in_reading_order(case for case in layout.cases if case.has_truth)
    choice = Choice(cases, layout.left_out, layout.notes)
    if patients_file is None:
        return choice
    wanted = set(read_patients(patients_file))
    unknown = sorted(wanted - {case.patient for case in cases})
    if unknown:
        raise DatasetError(
            f"{patients_file} names {len(unknown)} patients that {folder} does not have (the first: {unknown[0]!r});"
            f" {of_table(unknown[0]) or 'correct the list.'}"
        )
    return replace(choice, cases=tuple(case for case in cases if case.patient in wanted))


def in_reading_order(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Patients and slices as a person counts them, 2 before 10: the order of tables, CSV files and pages."""
    return tuple(sorted(cases, key=lambda case: natural_key(case.image.as_posix())))


def check_outcome(outcome: Outcome) -> None:
    """Raises DatasetError where not one slice could be evaluated: such a report would be empty."""
    if not outcome.scores:
        raise DatasetError(f"No slice could be evaluated: {outcome.failures[0].sentence}")
