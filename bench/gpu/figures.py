"""Figures of the made packages on this machine: engines against each other, a folder evaluated, what training took."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.engines import interleaved, one_by_one
from bench.figures import Table, median, ms
from bench.gpu.steps import ENCODERS, Work, read_seconds
from bench.scripts import load_network
from ml.cards import find_members, load_card
from ml.datasets import Case, list_cases, read_patients
from ml.engines import Engine, load_engine
from ml.engines.ensemble import EnsembleEngine
from ml.engines.torch import TorchEngine
from ml.evaluation.run import evaluate_cases
from ml.training.recipes import load_recipe
from ml.training.records import RESULT_FILE
from ml.training.run import CONFIGURATION_FILE

# Slices of the evaluated folder: spread over all patients but the test's.
EVALUATED = 1000


def measure(work: Work, device: str, slices: int, rounds: int) -> Iterator[Table]:
    """Four tables. device: of torch, "cuda" or "cpu". slices, rounds: of the engines' table."""
    test = set(read_patients(work.excluded))
    cases = [case for case in list_cases(work.data) if case.patient not in test]
    yield _engines(work.packages, _same_size(_spread(cases, slices)), device, rounds)
    yield _evaluations(work.packages, _spread(cases, EVALUATED))
    yield _epochs(work)
    rows = tuple((step, f"{seconds / 60:.1f}") for step, seconds in read_seconds(work).items())
    note = "Calls that were interrupted count, too, but not those that were killed."
    yield Table("From the data to the packages", ("step", "minutes"), rows, note)


def _engines(packages: Sequence[Path], stack: np.ndarray, device: str, rounds: int) -> Table:
    engines = {
        (package.name, name): engine for package in packages for name, engine in _engines_of(package, device).items()
    }
    calls = {key: partial(engine.infer, stack) for key, engine in engines.items()}
    seconds = {key: median(taken) for key, taken in interleaved(calls, rounds).items()}
    first = {name: taken for (name, engine), taken in seconds.items() if engine.startswith("int8")}
    rows = []
    for (name, engine), taken in seconds.items():
        single = median(one_by_one(engines[name, engine], stack))
        rate = len(stack) / taken
        rows.append((name, engine, ms(taken / len(stack)), f"{rate:.1f}", f"{first[name] / taken:.2f}", ms(single)))
    note = (
        f"{len(stack)} slices of {stack.shape[1]} x {stack.shape[2]} in one call, resizes, transfers and the sigmoid"
        " included, medians of interleaved rounds; then the same one by one, their median. int8 with the checks"
        " of the input, torch without."
    )
    head = ("package", "engine", "ms a slice", "slices a second", "times int8's", "one alone, ms")
    return Table("Engines beside a GPU" if device == "cuda" else "Engines, no GPU", head, tuple(rows), note)


def _engines_of(package: Path, device: str) -> dict[str, Engine]:
    """int8 on the processor, as it is served, and torch on the device in both precisions."""
    return {
        "int8, processor": load_engine(package, "openvino"),
        f"float32, {device}": _torch_engine(package, device, is_half=False),
        f"half precision, {device}": _torch_engine(package, device, is_half=True),
    }


def _torch_engine(package: Path, device: str, is_half: bool) -> Engine:
    """In the precision that is asked for, whatever the card allows."""
    card = load_card(package)
    if card.members:
        members = find_members(package, card, ())
        engines = [TorchEngine(load_network(each), load_card(each), device, is_half=is_half) for each in members]
        return EnsembleEngine(card, engines)
    return TorchEngine(load_network(package), card, device, is_half=is_half)


def _evaluations(packages: Sequence[Path], cases: Sequence[Case]) -> Table:
    rows = []
    for package in packages:
        engines = {engine.name: engine for engine in (load_engine(package, kind) for kind in ("openvino", "auto"))}
        for name, engine in engines.items():
            engine.warm_up()
            evaluated = evaluate_cases(engine, cases, engine.card.threshold)
            rows.append((package.name, name, f"{len(cases) / evaluated.seconds:.1f}"))
    note = f"{len(cases)} slices: files read, checks of the input, masks compared with the experts'."
    return Table("A folder evaluated, as served", ("package", "engine", "slices a second"), tuple(rows), note)


def _epochs(work: Work) -> Table:
    """Of the runs on all patients, a row a stage. A run that went on has the epochs of its last call."""
    rows = []
    for recipe in ENCODERS:
        folder = work.run_of(recipe)
        configuration = load_recipe(str(folder / CONFIGURATION_FILE))
        seconds = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))["seconds_per_epoch"]
        first = configuration.epochs - len(seconds)
        slices = configuration.sampling.slices or 0
        for stage in dict.fromkeys(configuration.stages):
            taken = [s for epoch, s in enumerate(seconds, first) if configuration.stage_at(epoch) == stage]
            if taken:
                rate = f"{slices / median(taken):.1f}"
                rows.append((recipe, f"{stage.size}", f"{stage.epochs}", f"{median(taken):.2f}", rate))
    head = ("recipe", "pixels", "epochs", "median s an epoch", "slices a second")
    return Table("Training, by the stages of the recipe", head, tuple(rows))


def _spread(cases: Sequence[Case], count: int) -> list[Case]:
    """At most so many, at even steps."""
    return [cases[index] for index in np.unique(np.linspace(0, len(cases) - 1, count).round().astype(int))]


def _same_size(cases: Sequence[Case]) -> np.ndarray:
    """The slices as large as the first, uint8 (N, H, W, 3)."""
    found = [case.pixels() for case in cases]
    return np.stack([pixels for pixels in found if pixels.shape == found[0].shape])
