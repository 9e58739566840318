"""The threshold of a job: what a person chose, else the model card's."""

from webapp.domain.errors import InvalidInput


def checked_threshold(threshold: float | None, default: float) -> float:
    """The threshold to use. Raises InvalidInput outside [0, 1] and for NaN."""
    if threshold is None:
        return default
    if not 0 <= threshold <= 1:
        raise InvalidInput("The threshold must be a number from 0 to 1.")
    return float(threshold)
