"""What can be wrong with a data set: a code for programs, the files, and a sentence with the remedy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One fault. files: paths relative to the data set's folder. message: what is wrong and how to mend it."""

    code: str
    files: tuple[str, ...]
    message: str
