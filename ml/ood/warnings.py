"""What the checks of the input amount to: the codes of a scan's warnings."""

import numpy as np
from numpy.typing import NDArray

from ml.ood.detector import UNLIKE
from ml.ood.sequences import SequenceEvidence


def warnings_of(is_out_of_distribution: NDArray[np.bool] | None, sequences: SequenceEvidence | None) -> tuple[str, ...]:
    """The warnings of a scan: of its slices, where more than half are out of distribution, and of its sequence.

    is_out_of_distribution: bool (N,). Both are None where the package has no such check.
    """
    is_unlike = is_out_of_distribution is not None and bool(is_out_of_distribution.mean() > 0.5)
    return ((UNLIKE,) if is_unlike else ()) + (() if sequences is None else sequences.warnings)
