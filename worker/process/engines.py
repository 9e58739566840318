"""The models that this process has loaded."""

import logging
import sys
from collections import OrderedDict
from pathlib import Path

from ml.cards import PackageError, find_package, load_card
from ml.engines import KINDS, Engine, load_engine
from webapp.domain.settings import Settings

logger = logging.getLogger(__name__)

# A loaded int8 model takes some 200 MB; more than two are rarely in use at once.
MOST_MODELS = 2


class LoadedEngines:
    """The models that were asked for last, loaded and warm."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines: OrderedDict[str, Engine] = OrderedDict()

    def get(self, model: str) -> Engine:
        """The model, loaded where it is not. Raises PackageError, EngineError."""
        if model not in self._engines:
            folder = find_package(model, self._settings.model_directories)
            while len(self._engines) >= MOST_MODELS:  # before the next one takes its memory
                self._engines.popitem(last=False)
            self._engines[model] = self._load(folder)
        self._engines.move_to_end(model)
        return self._engines[model]

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


def check_default_model(settings: Settings) -> None:
    """End the worker, before it takes any job, where the default model is missing or its card cannot be read."""
    try:
        load_card(find_package(settings.default_model, settings.model_directories))
    except PackageError as error:
        logger.critical("the worker does not start: %s", error)
        sys.exit(1)
