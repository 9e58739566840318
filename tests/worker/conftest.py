"""A worker's runtime whose model is a fake at the border: bright pixels are tumor."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.cards import Card, load_card
from ml.datasets.case_reader import CaseReader
from ml.datasets.checking.file_checks import FileChecker
from ml.engines import Inference
from ml.engines.context import Context
from ml.ood.sequences import SequenceEvidence
from tests.support.resources import MODEL, MODELS, make_settings
from webapp.domain.resources import Resources
from worker.process.runtime import Runtime


class BrightnessEngine:
    """An engine whose probability is the first channel's brightness; it can be told to fail."""

    name = "brightness"

    def __init__(self) -> None:
        # Without a doubt rule: a test of doubt states its own.
        self.card: Card = replace(load_card(MODELS / MODEL), doubt=None)
        self.failures: list[BaseException] = []
        self.before = lambda: None
        self.pieces: list[int] = []
        # What the input check will say of the next slices; None: the model has no such check.
        self.is_out_of_distribution: list[bool] | None = None
        # And which of them have a bright background, likewise.
        self.is_bright: list[bool] | None = None
        self.is_of_training: bool | None = None
        # Whether the first member of a cascade answers the next slices alone; None: the model is no cascade.
        self.is_first_look: list[bool] | None = None
        # Log-odds of the sequence check, gray and color, of the next slices; None likewise.
        self.sequence_log_odds: list[tuple[float, float]] | None = None

    def warm_up(self) -> None:
        """Nothing to do."""

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        return self.infer(pixels).probability_u8

    def infer(self, pixels: np.ndarray, context: Context | None = None) -> Inference:
        self.pieces.append(len(pixels))
        pixels = pixels if context is None else pixels[context.asked]
        self.before()
        if self.failures:
            raise self.failures.pop(0)
        flags = self.is_out_of_distribution
        known = None if self.is_of_training is None else np.full(len(pixels), self.is_of_training)
        found = None if flags is None else np.array([flags.pop(0) for _ in pixels])
        sequences = None
        if self.sequence_log_odds is not None:
            log_odds = np.array([self.sequence_log_odds.pop(0) for _ in pixels], np.float32)
            sequences = SequenceEvidence(log_odds, slice_limits=(3.0, 3.0), stack_limits=(1.0, 1.0))
        looks, bright = self.is_first_look, self.is_bright
        return Inference(
            pixels[..., 0].copy(),
            is_out_of_distribution=found,
            sequences=sequences,
            is_of_training=known,
            is_first_look=None if looks is None else np.array([looks.pop(0) for _ in pixels]),
            is_bright=None if bright is None else np.array([bright.pop(0) for _ in pixels]),
        )


@pytest.fixture(scope="session", autouse=True)
def statements_are_compiled_once(statements: None) -> None:
    """Each test has a database of its own."""


@pytest.fixture
def resources(tmp_path: Path, empty_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Resources]:
    """A portal on SQLite whose broker is away; leases of a second."""
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    resources = Resources.open(
        make_settings(tmp_path, GLIOSCOPE_LEASE_S="1", GLIOSCOPE_HEARTBEAT_S="0.2", GLIOSCOPE_SWEEP_S="0.1")
    )
    # As the engine's card below: what is in doubt is for the tests that state a rule.
    card_of = resources.catalog.card
    monkeypatch.setattr(resources.catalog, "card", lambda name=None: replace(card_of(name), doubt=None))
    yield resources
    resources.close()


@pytest.fixture
def engine() -> BrightnessEngine:
    return BrightnessEngine()


@pytest.fixture
def runtime(
    resources: Resources,
    engine: BrightnessEngine,
    case_reader: CaseReader,
    file_checker: FileChecker,
    monkeypatch: pytest.MonkeyPatch,
) -> Runtime:
    """A runtime with the fake engine for every model."""
    return runtime_with(engine, resources, case_reader, file_checker, monkeypatch)


def runtime_with(
    engine: BrightnessEngine,
    resources: Resources,
    case_reader: CaseReader,
    file_checker: FileChecker,
    monkeypatch: pytest.MonkeyPatch,
) -> Runtime:
    """A worker in this process, with this engine for every model and the test run's readers of files."""
    runtime = Runtime(resources)
    monkeypatch.setattr(runtime, "engine", lambda _model: engine)
    monkeypatch.setattr(runtime, "case_reader", case_reader)
    monkeypatch.setattr(runtime, "file_checker", file_checker)
    return runtime
