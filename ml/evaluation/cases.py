"""Which cases an evaluation takes, and when there is nothing to evaluate."""

from pathlib import Path

from ml.datasets import Case, DatasetError, find_layout, list_cases, read_patients
from ml.evaluation.run import Outcome


def choose_cases(folder: Path, patients_file: Path | None) -> tuple[Case, ...]:
    """The slices of a data set that have a mask; of the patients in the file alone, where one is given.

    Raises DatasetError: no data set, no masks, a patient that the folder does not have.
    """
    if not any(case.has_truth for case in find_layout(folder).cases):
        raise DatasetError(
            f"{folder} has images but no expert masks, so there is nothing to compare with; add masks, or run"
            " `python -m ml predict` on it."
        )
    cases = list_cases(folder)
    if patients_file is None:
        return cases
    wanted = set(read_patients(patients_file))
    unknown = sorted(wanted - {case.patient for case in cases})
    if unknown:
        raise DatasetError(
            f"{patients_file} names {len(unknown)} patients that {folder} does not have (the first: {unknown[0]!r});"
            " correct the list."
        )
    return tuple(case for case in cases if case.patient in wanted)


def check_outcome(outcome: Outcome) -> None:
    """Raises DatasetError where not one slice could be evaluated: such a report would be empty."""
    if not outcome.scores:
        raise DatasetError(f"No slice could be evaluated: {outcome.failures[0].message}")
