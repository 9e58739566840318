"""What the checks of the input amount to: the codes of a scan's warnings."""

import numpy as np
from numpy.typing import NDArray

from ml.ood.background import BRIGHT_BACKGROUND
from ml.ood.detector import UNLIKE
from ml.ood.sequences import CHANNEL_ORDER, FLAIR_MISSING, NOT_FLAIR, PLAINLY_NOT_FLAIR, SequenceEvidence


def warnings_of(
    is_out_of_distribution: NDArray[np.bool] | None,
    sequences: SequenceEvidence | None,
    is_flair: bool | None = None,
    is_bright: NDArray[np.bool] | None = None,
) -> tuple[str, ...]:
    """The warnings of a scan: of its slices, where more than half are out of distribution, and of its sequence.

    is_out_of_distribution: bool (N,). is_bright: bool (N,), those of them whose background is bright. Each is None
    where the package has no such check. is_flair: what the scan's file says of itself; None where it does not say.
    """
    is_unlike = is_out_of_distribution is not None and bool(is_out_of_distribution.mean() > 0.5)
    is_other = is_unlike and is_bright is not None and bool(is_bright.mean() > 0.5)
    return ((UNLIKE,) if is_unlike else ()) + input_warnings(sequences, is_flair, is_other)


def input_warnings(
    sequences: SequenceEvidence | None, is_flair: bool | None, is_bright: bool = False
) -> tuple[str, ...]:
    """Those of background and sequence. What shows no head has no look of a sequence; its file is believed still.

    is_bright: whether it is out of distribution with a bright background.
    """
    if is_bright:
        return (BRIGHT_BACKGROUND, *((NOT_FLAIR, PLAINLY_NOT_FLAIR) if is_flair is False else ()))
    return sequence_warnings(sequences, is_flair)


def sequence_warnings(sequences: SequenceEvidence | None, is_flair: bool | None) -> tuple[str, ...]:
    """A file that is not FLAIR says so surely. One that says FLAIR is believed where the pictures are in doubt, and
    not where they are plain: a name or header may be another series'."""
    seen = () if sequences is None else sequences.warnings
    if CHANNEL_ORDER in seen or FLAIR_MISSING in seen:
        return seen
    is_plain = sequences is not None and sequences.is_plainly_another
    if is_flair is False:
        return (NOT_FLAIR, PLAINLY_NOT_FLAIR)
    if is_flair:
        return (NOT_FLAIR,) if is_plain else ()
    return (NOT_FLAIR, PLAINLY_NOT_FLAIR) if is_plain else seen
