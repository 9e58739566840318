"""What can be wrong with a data set: a code for programs, the files, and a sentence with the remedy."""

from dataclasses import dataclass

from ml.datasets.mask_findings import MASK_FINDINGS, NON_BINARY

# What a reader drops of an image, by the codes of `ml.scans.WARNINGS`.
DROPPING_NOTES = ("second_channel_dropped", "fourth_channel_dropped", "first_frame_only")
# Of these the files are used all the same, and the data set stays sound; a person should look at them.
WARNING_CODES = frozenset({*MASK_FINDINGS, *DROPPING_NOTES} - {NON_BINARY})


@dataclass(frozen=True)
class Problem:
    """One fault. files: paths relative to the data set's folder. message: what is wrong and how to mend it."""

    code: str
    files: tuple[str, ...]
    message: str

    @property
    def is_warning(self) -> bool:
        """Whether the data set can be used as it is."""
        return self.code in WARNING_CODES
