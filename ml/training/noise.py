"""Silences warnings of Lightning and torch that a person who trains can do nothing about."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_WARNINGS = (
    # torch's deprecation warning about Lightning's own code
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # loop.workers is the operator's choice; slices are decoded once and kept
    r"The '\w+' does not have many workers",
)


@contextmanager
def without_noise() -> Iterator[None]:
    """Leave out the warnings above, and what Lightning logs below a warning: hardware lists, advertisements."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
