"""The evaluation's data set and engine, whose figures were worked out by hand."""

from tests.ml.evaluation.conftest import data, engine

__all__ = ["data", "engine"]
