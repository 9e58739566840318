"""What a check finds in a data set: a code for programs, the files, and a sentence with the remedy."""

from collections.abc import Iterable
from dataclasses import dataclass

from ml.datasets.file_names import shown
from ml.datasets.mask_findings import MASK_FINDINGS, NON_BINARY

# What a reader drops of an image, by the codes of `ml.scans.WARNINGS`.
DROPPING_NOTES = ("second_channel_dropped", "fourth_channel_dropped", "first_frame_only")
# What the layout says of the folder, and of annotations that are used all the same.
_LAYOUT_NOTES = (
    "clipped_outline",
    "found_by_name",
    "box_outlines",
    "outlines_in_corner",
    "nested_patients",
    "masks_by_pixels",
    "unnamed_patients",
    "transparent_images",
    "stray_piece",
    "stray_annotations",
    "no_annotations",
    "left_out",
    "doubled_folder",
    "shared_patient",
    "volume_count",
    "mixed_channels",
    "automatic_masks",
    "cavities",
    "other_labels",
    "not_flair",
    "empty_masks",
    "empty_mask",
)
# Of these the files are used all the same, and the data set stays sound; a person should look at them.
WARNING_CODES = frozenset({*MASK_FINDINGS, *DROPPING_NOTES, *_LAYOUT_NOTES} - {NON_BINARY})
# Codes of files that no figure has anything of.
LEFT_OUT = frozenset(
    {
        "missing_mask",
        "mask_without_image",
        "mask_name",
        "missing_image",
        "missing_file",
        "left_out",
        "doubled_folder",
        "expert_mask",
    }
)
# Codes whose sentences stand beside the headline of an evaluation.
FIGURE_NOTES = frozenset(
    {"box_outlines", "outlines_in_corner", "no_annotations", "shared_patient", "stray_annotations"}
    | {"nested_patients", "masks_by_pixels", "unnamed_patients", "volume_count", "mixed_channels"}
    | {"automatic_masks", "cavities", "other_labels", "not_flair"}
)
# Names of a reason that a report repeats; the check has all of them.
NAMES_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One finding. files: paths relative to the data set's folder. message: what is wrong and how to mend it."""

    code: str
    files: tuple[str, ...]
    message: str

    @property
    def is_warning(self) -> bool:
        """Whether the data set can be used as it is."""
        return self.code in WARNING_CODES


@dataclass(frozen=True)
class LeftOut:
    """Files of a data set's folder that are no part of an evaluation, for one reason. files: the first of them."""

    code: str
    message: str
    count: int
    files: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The names and the reason."""
        more = self.count - len(self.files)
        return f"{', '.join(self.files)}{f' and {more:,} more' if more > 0 else ''}: {self.message}"


def left_out_of(problems: Iterable[Problem]) -> tuple[LeftOut, ...]:
    """The files that the findings name as left out, those of one code and sentence together."""
    files: dict[tuple[str, str], dict[str, None]] = {}  # two entries may name one file
    for problem in problems:
        if problem.code in LEFT_OUT:
            files.setdefault((problem.code, problem.message), {}).update(dict.fromkeys(problem.files))
    return tuple(
        LeftOut(code, message, len(names), tuple(shown(name) for name in sorted(names)[:NAMES_SHOWN]))
        for (code, message), names in sorted(files.items())
    )
