"""The registry of warnings: what a reader must know beside a result. Rows keep codes; everything else is said here.

A new warning is one entry: the API serializes it whole, pages and scripts loop over what they get.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ml.measurements import VOIDING_FINDINGS, VOIDING_WARNINGS
from ml.ood.background import BRIGHT_BACKGROUND
from ml.ood.detector import UNLIKE
from ml.ood.sequences import (
    CHANNEL_ORDER,
    FLAIR_MISSING,
    MIXED_SEQUENCES,
    NOT_FLAIR,
    PLAINLY_NOT_FLAIR,
    SEQUENCE_UNCHECKED,
)
from ml.scans import WARNINGS as READER_WARNINGS
from webapp.domain.scans import joining
from webapp.domain.scans.doubts import WORDS
from webapp.domain.scans.models import SPACING_ENTERED
from webapp.domain.scans.stacking import SCALED_ALONE, SIZES_DIFFER, SLICES_MISSING, SLICES_REFUSED


@dataclass(frozen=True)
class Warning:
    """One warning. tone: `warn` where the verdict itself is in question, else `info`.

    chip: the few words that stand beside the verdict wherever a scan is listed; None where the sentence on the result
    page is enough. title: what such a warning is called where all are listed. detail: of one scan, which files or
    slices it means; it stands behind the message, too. beside: by the code of another warning of the same scan the
    sentence that is said then in place of `message`, as of a scan that is also unlike the training data and may be no
    brain at all. is_routine: a conversion that most scans of its kind need: such notes share one quiet line.
    """

    code: str
    message: str
    tone: Literal["info", "warn"] = "info"
    chip: str | None = None
    title: str | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    is_routine: bool = False
    detail: str | None = None

    @property
    def voids_all_clear(self) -> bool:
        """Whether an empty mask is no all-clear under this warning: the verdict is `not_assessed` then."""
        return self.code in VOIDING_WARNINGS

    @property
    def voids_finding(self) -> bool:
        """Whether a mask is no finding under this warning either: the verdict is `not_assessed` whatever is marked."""
        return self.code in VOIDING_FINDINGS


_UNLIKE = "The model finds this scan unlike the brain MRI slices that it was trained on."
_TITLES = {
    "intensity_scaled": "Scaled to 8 bits",
    "gray_repeated": "One channel",
    "constant": "One intensity",
    "alpha_removed": "Transparency",
    "cmyk_converted": "CMYK colors",
    "second_channel_dropped": "Two channels",
    "fourth_channel_dropped": "Four channels",
    "head_scaled": "Scaled by the head",
    "resampled": "Resampled",
    "skull_stripped": "Skull taken off",
    "oblique": "Tilted slices",
    "forms_differ": "Two positions",
    "orientation_assumed": "Orientation assumed",
    "position_unknown": "No position",
    "slices_uneven": "Uneven distances",
    "slices_filled": "Slices filled in",
    "slices_doubled": "Slices doubled",
    "burned_in_text": "Text in the pictures",
    "volume_chosen": "One of several volumes",
    "first_frame_only": "First picture alone",
}
_ROUTINE = ("intensity_scaled", "gray_repeated", "alpha_removed", "cmyk_converted", "head_scaled")

WARNINGS: dict[str, Warning] = {
    warning.code: warning
    for warning in (
        *(
            Warning(code, message, title=_TITLES.get(code), is_routine=code in _ROUTINE)
            for code, message in READER_WARNINGS.items()
        ),
        Warning(
            UNLIKE,
            f"{_UNLIKE[:-1]}; its verdict and confidence may mean nothing here.",
            tone="warn",
            chip=WORDS[UNLIKE],
            beside={BRIGHT_BACKGROUND: _UNLIKE},  # there is no verdict then
        ),
        Warning(
            BRIGHT_BACKGROUND,
            "A slice of MRI shows a head on a dark background; this picture is bright at its edges, or full of what it"
            " shows, as photographs, charts and pictures of a screen are. What is marked is no finding. If a head is"
            " in it, crop the picture to it, or export the slice itself.",
            tone="warn",
            chip=WORDS[BRIGHT_BACKGROUND],
        ),
        Warning(
            NOT_FLAIR,
            "This scan is not FLAIR, which the model reads, by what its file says or by its look (that of T1, with or"
            " without contrast); where no tumor is marked, that means nothing.",
            tone="warn",
            chip=WORDS[NOT_FLAIR],
            beside={
                UNLIKE: "If it shows a brain at all, this scan is not FLAIR, which the model reads, by what its file"
                " says or by its look (that of T1, with or without contrast)."
            },
        ),
        Warning(
            PLAINLY_NOT_FLAIR,
            "Nor is what is marked a finding, for this is certain. The mask stays in the pictures; read the FLAIR"
            " series instead.",
            tone="warn",
            title="Certainly not FLAIR",
        ),
        Warning(
            SEQUENCE_UNCHECKED,
            "Neither the file nor the look of this scan tells whether it is FLAIR, which the model reads: the check of"
            " the look needs a whole head. On another sequence what is marked or not marked means nothing.",
            tone="warn",
            chip=WORDS[SEQUENCE_UNCHECKED],
        ),
        Warning(
            MIXED_SEQUENCES,
            "Some slices of this stack look like FLAIR and others like T1, with or without contrast. The model reads"
            " FLAIR alone; where it marks no tumor in the others, that means nothing.",
            tone="warn",
            chip=WORDS[MIXED_SEQUENCES],
            beside={
                UNLIKE: "If it shows a brain at all, some slices of this stack look like FLAIR, which the model"
                " reads, and others like T1, with or without contrast."
            },
        ),
        Warning(
            CHANNEL_ORDER,
            "The channels of this scan seem to stand in another order than pre-contrast, FLAIR, post-contrast, which"
            " the model reads; where it marks no tumor, that means nothing.",
            tone="warn",
            chip=WORDS[CHANNEL_ORDER],
            beside={
                UNLIKE: "If it shows a brain at all, the channels of this scan seem to stand in another order than"
                " pre-contrast, FLAIR, post-contrast, which the model reads."
            },
        ),
        Warning(
            FLAIR_MISSING,
            "The channel of FLAIR, which the model reads, is empty where the other channels show a head: neither what"
            " is marked nor that nothing is marked means anything.",
            tone="warn",
            chip=WORDS[FLAIR_MISSING],
        ),
        Warning(
            SCALED_ALONE,
            "Intensities of each slice were scaled to 8 bits on their own, from percentile 0.5 to 99.5 of that file, so"
            " that brightness cannot be compared between slices.",
            title="Each slice scaled alone",
            is_routine=True,
        ),
        Warning(
            SLICES_MISSING,
            "Numbers are missing between the names of the slices: where slices were left out, what lies beside"
            " each other here does not in the patient.",
            chip=WORDS[SLICES_MISSING],
        ),
        Warning(
            SLICES_REFUSED,
            "Files that were sent with this scan could not be read and are no part of it: slices may lack at its ends"
            " or inside of it.",
            chip=WORDS[SLICES_REFUSED],
        ),
        Warning(
            SIZES_DIFFER,
            "Files of this name differ in their size in pixels, or have several slices each, so they are several"
            " scans.",
            chip="Sizes differ",
        ),
        Warning(
            SPACING_ENTERED,
            "The file does not say how far its pixels and slices lie from each other; a person has entered it, and"
            " lengths, areas and volumes are as right as that.",
            chip="Spacing entered",
        ),
        Warning(
            joining.JOINED,
            "The channels are series of their own, brought onto FLAIR's grid by linear interpolation.",
            title="Sequences joined",
            is_routine=True,
        ),
        Warning(
            joining.FILLED,
            "A sequence is missing, and FLAIR stands in for it, as in the training data.",
            title="A sequence is missing",
            is_routine=True,
        ),
        Warning(
            joining.PARTLY_COVERED,
            "A sequence does not reach over all slices of FLAIR; in the others FLAIR stands in for it.",
            title="A sequence is shorter",
        ),
        Warning(
            joining.FRAMES_DIFFER,
            "By their frames of reference the series were not taken in one position of the patient: the channels may"
            " not lie on each other. Look at them before you trust what is marked.",
            chip=WORDS[joining.FRAMES_DIFFER],
        ),
        Warning(
            joining.FRAMES_UNKNOWN,
            "The files do not say whether the patient lay in one position for all series (NIfTI cannot); their"
            " affines were taken at their word. Look whether the channels lie on each other.",
            title="Position of series not known",
        ),
        Warning(
            joining.HEADS_APART,
            "The heads of the series that were read together overlap poorly: the patient moved between them, or they"
            " are of two patients, and the channels do not lie on each other. Register them first.",
            chip=WORDS[joining.HEADS_APART],
        ),
        Warning("synthetic", "This scan is a synthetic phantom, not a patient.", chip="Synthetic phantom"),
    )
}


def described(codes: Iterable[str], details: Mapping[str, str] | None = None) -> list[Warning]:
    """The warnings of one scan; one that an older version wrote and nobody knows any more is shown by its code.

    details: of `Scan.warning_details`, said behind the sentences.
    """
    given, said = list(codes), details or {}
    found = [WARNINGS.get(code, Warning(code, code)) for code in given]
    for code in given:
        found = [replace(item, message=item.beside.get(code, item.message)) for item in found]
    return [
        replace(item, message=f"{item.message} {detail}", detail=detail) if (detail := said.get(item.code)) else item
        for item in found
    ]
