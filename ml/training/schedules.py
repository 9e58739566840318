"""Learning rates over the course of a run, as shares of the recipe's. Imports no torch."""

import math

from ml.training.configuration import Configuration, Schedule


def learning_rate_share(schedule: Schedule, done: float, epochs: int) -> float | None:
    """Share (0 to 1) of the full rates after `done` of `epochs` epochs, both from the run's start.

    None where ReduceLROnPlateau sets the rates: after the warm-up. Cosine: Loshchilov and Hutter, 2017
    (arXiv:1608.03983), without restarts; linear warm-up: Goyal et al., 2017 (arXiv:1706.02677).
    """
    if done < schedule.warmup_epochs:
        # Not 0: the first step would change nothing.
        return max(done / schedule.warmup_epochs, 1e-3)
    if schedule.name == "plateau":
        return None
    if schedule.name == "constant":
        return 1.0
    return _cosine(schedule, done - schedule.warmup_epochs, epochs - schedule.warmup_epochs)


def stage_rate_share(configuration: Configuration, done: float) -> float | None:
    """The same for a run with stages: times the stage's `rate_share`, and with a cosine a stage where asked for.

    A warm-up shortens the first stage's cosine.
    """
    schedule = configuration.schedule
    stage, within = configuration.stage_position(done)
    if not schedule.is_per_stage or done < schedule.warmup_epochs or schedule.name != "cosine":
        share = learning_rate_share(schedule, done, configuration.epochs)
    else:
        warmup = max(schedule.warmup_epochs - (done - within), 0.0)
        share = _cosine(schedule, within - warmup, stage.epochs - warmup)
    return None if share is None else share * stage.rate_share


def _cosine(schedule: Schedule, done: float, epochs: float) -> float:
    position = done / max(epochs, 1e-9)
    cosine = (1 + math.cos(math.pi * min(position, 1.0))) / 2
    return schedule.minimum_share + (1 - schedule.minimum_share) * cosine
