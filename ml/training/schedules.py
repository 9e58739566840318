"""Learning rates over the course of a run, as shares of the recipe's. Imports no torch."""

import math

from ml.training.configuration import Schedule


def learning_rate_share(schedule: Schedule, done: float, epochs: int) -> float | None:
    """Share (0 to 1) of the full rates after `done` of `epochs` epochs, both from the run's start.

    None where the plateau's scheduler has the say: after its warm-up. Cosine: Loshchilov and Hutter, 2017
    (arXiv:1608.03983), without restarts; linear warm-up: Goyal et al., 2017 (arXiv:1706.02677).
    """
    if done < schedule.warmup_epochs:
        # Never nothing: the first step would be lost.
        return max(done / schedule.warmup_epochs, 1e-3)
    if schedule.name == "plateau":
        return None
    if schedule.name == "constant":
        return 1.0
    position = (done - schedule.warmup_epochs) / max(epochs - schedule.warmup_epochs, 1e-9)
    cosine = (1 + math.cos(math.pi * min(position, 1.0))) / 2
    return schedule.minimum_share + (1 - schedule.minimum_share) * cosine
