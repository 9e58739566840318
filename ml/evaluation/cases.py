"""Which cases an evaluation takes, and when there is nothing to evaluate."""

from pathlib import Path

from ml.datasets import Case, DatasetError, find_layout, list_cases
from ml.evaluation.run import Outcome

_MAX_LIST_BYTES = 1_000_000


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
    wanted = read_patients(patients_file)
    unknown = sorted(wanted - {case.patient for case in cases})
    if unknown:
        raise DatasetError(
            f"{patients_file} names {len(unknown)} patients that {folder} does not have (the first: {unknown[0]!r});"
            " correct the list."
        )
    return tuple(case for case in cases if case.patient in wanted)


def read_patients(path: Path) -> set[str]:
    """One id a line; empty lines and what follows `#` are left out. Raises DatasetError."""
    try:
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise DatasetError(f"{path} has more than {_MAX_LIST_BYTES} bytes; give a list with one patient a line.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as a list of patients ({error}); give a text file.") from error
    patients = {line.partition("#")[0].strip() for line in lines} - {""}
    if not patients:
        raise DatasetError(f"{path} names no patient; give one id a line.")
    return patients


def check_outcome(outcome: Outcome) -> None:
    """Raises DatasetError where not one slice could be evaluated: such a report would be empty."""
    if not outcome.scores:
        raise DatasetError(f"No slice could be evaluated: {outcome.failures[0].message}")
