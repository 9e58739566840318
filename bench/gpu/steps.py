"""The models that ship, from data and encoders to packages.

A step whose result lies there is left out and one that was ended goes on, so the same line repeated ends the work.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ml.__main__ import main
from ml.atomic_files import write_text
from ml.cards import CARD_FILE, PackageError
from ml.packaging.cascades import CascadePlan, make_cascade
from ml.packaging.ensembles import Ensemble, make_ensemble
from ml.packaging.packages import make_package
from ml.packaging.quantization import Calibration
from ml.training.callbacks import FINAL_FILE, LAST_FILE
from ml.training.records import RESULT_FILE

# Recipes, each with the folder of its encoder (docs/training.md converts them); the first one's package is the
# ensemble's first member, the last one's is asked first in the cascade.
ENCODERS = {"unet-vgg16-lgg": "vgg16", "unet-lite0-lgg": "lite0"}
ENSEMBLE = "unet-ensemble-lgg"
CASCADE = "unet-cascade-lgg"
_SECONDS_FILE = "seconds.json"


@dataclass(frozen=True)
class Work:
    """What is made of what. excluded: the file of the test patients. encoders: a folder, None for random weights.

    facts: a folder with NAME.facts.yaml for the cards, or None. changes: `--set` of every recipe.
    """

    data: Path
    out: Path
    excluded: Path
    encoders: Path | None
    folds: int = 5
    facts: Path | None = None
    is_tested: bool = False
    changes: tuple[str, ...] = ()
    calibration: Calibration | None = None

    @property
    def models(self) -> Path:
        """The folder of the packages."""
        return self.out / "models"

    @property
    def packages(self) -> tuple[Path, ...]:
        """All that was made: networks, then what joins them."""
        folders = (self.models / name for name in (*ENCODERS, ENSEMBLE, CASCADE))
        return tuple(folder for folder in folders if (folder / CARD_FILE).is_file())

    def folds_of(self, recipe: str) -> Path:
        """The cross-validation."""
        return self.out / recipe / "folds"

    def run_of(self, recipe: str) -> Path:
        """The run on all patients but the excluded ones."""
        return self.out / recipe / "all"

    def facts_of(self, name: str) -> Path | None:
        """The package's facts, where there are any."""
        path = None if self.facts is None else self.facts / f"{name}.facts.yaml"
        return path if path is not None and path.is_file() else None


def make_models(work: Work) -> None:
    """Every step, in turn. Raises SystemExit where a command fails, and what `make_package` raises."""
    work.out.mkdir(parents=True, exist_ok=True)
    for recipe in ENCODERS:
        _cross_validate(work, recipe)
        _train_on_all(work, recipe)
        _package(work, recipe)
    _join(work)
    _ask_in_turn(work)


def read_seconds(work: Work) -> dict[str, float]:
    """What each step took, in the order of the steps, calls that ended with an error included."""
    path = work.out / _SECONDS_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _cross_validate(work: Work, recipe: str) -> None:
    out = work.folds_of(recipe)
    if (out / "report.json").is_file():
        return
    with _timed(work, f"{recipe}: {work.folds} folds"):
        _command("crossval", recipe, "--out", str(out), "--folds", str(work.folds), *_words(work, recipe))


def _train_on_all(work: Work, recipe: str) -> None:
    out = work.run_of(recipe)
    if (out / RESULT_FILE).is_file():
        return
    with _timed(work, f"{recipe}: all patients"):
        if (out / LAST_FILE).is_file():
            _command("train", recipe, "--data", str(work.data), "--out", str(out), "--resume")
            return
        shutil.rmtree(out, ignore_errors=True)  # ended before its first epoch was: nothing is lost
        _command("train", recipe, "--out", str(out), "--set", "shares=[100, 0, 0]", *_words(work, recipe))


def _package(work: Work, recipe: str) -> None:
    out = work.models / recipe
    if (out / CARD_FILE).is_file():
        return
    with _timed(work, f"{recipe}: package"):
        make_package(
            work.run_of(recipe) / FINAL_FILE,
            out,
            work.data,
            facts=work.facts_of(recipe),
            calibration=work.calibration,
            is_tested=work.is_tested,
            folds=work.folds_of(recipe),
        )


def _join(work: Work) -> None:
    out = work.models / ENSEMBLE
    if (out / CARD_FILE).is_file():
        return
    plan = Ensemble(
        members=tuple(work.models / recipe for recipe in ENCODERS),
        out=out,
        folds=tuple(work.folds_of(recipe) for recipe in ENCODERS),
        data=work.data,
        facts=work.facts_of(ENSEMBLE),
        is_tested=work.is_tested,
    )
    with _timed(work, ENSEMBLE):
        make_ensemble(plan, work.calibration)


def _ask_in_turn(work: Work) -> None:
    """The cascade; where it does not pass its gate the ensemble is the last package, and that is said."""
    out = work.models / CASCADE
    if (out / CARD_FILE).is_file():
        return
    plan = CascadePlan(
        ensemble=work.models / ENSEMBLE,
        first=list(ENCODERS)[-1],
        out=out,
        folds=tuple(work.folds_of(recipe) for recipe in ENCODERS),
        data=work.data,
        facts=work.facts_of(CASCADE),
        is_tested=work.is_tested,
    )
    with _timed(work, CASCADE):
        try:
            make_cascade(plan, work.calibration)
        except PackageError as error:
            print(f"No {CASCADE}: {error}", flush=True)


def _words(work: Work, recipe: str) -> list[str]:
    """The data, who is kept out, and the changes of the recipe, for the command line."""
    weights = "null" if work.encoders is None else work.encoders / ENCODERS[recipe]
    changes = (f"network.encoder_weights={weights}", *work.changes)
    words = ["--data", str(work.data), "--exclude", str(work.excluded)]
    return [*words, *(word for change in changes for word in ("--set", change))]


def _command(*words: str) -> None:
    """`python -m ml`, which has said why where it fails."""
    status = main(words)
    if status:
        raise SystemExit(status)


@contextmanager
def _timed(work: Work, step: str) -> Iterator[None]:
    print(f"== {step}", flush=True)
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds = read_seconds(work)
        seconds[step] = round(seconds.get(step, 0.0) + time.perf_counter() - began, 1)
        write_text(work.out / _SECONDS_FILE, json.dumps(seconds, indent=1) + "\n")
