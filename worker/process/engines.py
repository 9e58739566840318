"""The models that this process has loaded."""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from ml.cards import PackageError, card_sha256, find_package
from ml.engines import KINDS, Engine, load_engine
from webapp.domain.catalog.default_model import check_default_model
from webapp.domain.settings import Settings
from worker.process.waiting import wait_until

logger = logging.getLogger(__name__)

# A loaded int8 model takes some 200 MB; more than two are rarely in use at once.
MOST_MODELS = 2


@dataclass(frozen=True)
class _Loaded:
    """card_sha256: of the card of the package it was loaded from, which names the digests of its other files."""

    engine: Engine
    card_sha256: str


class LoadedEngines:
    """The models that were asked for last, loaded and warm."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines: OrderedDict[str, _Loaded] = OrderedDict()

    def get(self, model: str) -> Engine:
        """The model, loaded where it is not, and again where its package has become another one.

        One that is taken away meanwhile still answers what was asked of it. Raises PackageError, EngineError.
        """
        loaded = self._engines.get(model)
        try:
            folder = find_package(model, self._settings.model_directories)
            found = card_sha256(folder)
        except (PackageError, OSError):  # a package that is being replaced is away for a moment, too
            if loaded is None:
                raise
            return self._used(model, loaded)
        if loaded is None or loaded.card_sha256 != found:
            if self._engines.pop(model, None) is not None:
                logger.info("the package of %s has become another one and is loaded again", model)
            del loaded
            while len(self._engines) >= MOST_MODELS:  # before the next one takes its memory
                self._engines.popitem(last=False)
            loaded = _Loaded(self._load(folder), found)
        return self._used(model, loaded)

    def _used(self, model: str, loaded: _Loaded) -> Engine:
        """Keep it as the last that was asked for."""
        self._engines[model] = loaded
        self._engines.move_to_end(model)
        return loaded.engine

    def _load(self, folder: Path) -> Engine:
        settings = self._settings
        engine = load_engine(
            folder,
            next(kind for kind in KINDS if kind == settings.engine),
            settings.worker_threads,
            settings.instance_dir / "compiled",
            settings.model_directories,
        )
        engine.warm_up()
        return engine


def wait_for_default_model(settings: Settings, stopped: threading.Event) -> None:
    """Come back, before any job is taken, when the default model is there, or when `stopped`; say once why not."""
    wait_until(
        lambda: check_default_model(settings.default_model, settings.model_directories),
        (PackageError,),
        "model",
        settings.sweep_s,
        stopped,
    )
