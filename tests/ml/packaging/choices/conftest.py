"""Cross-validations that no network has run: folders as `python -m ml crossval` leaves them, with made-up maps."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ml.cards import INT8_GRAPH_FILE, InputConvention
from ml.cards.fields import encode
from ml.datasets import Case, Split, list_cases, write_split
from ml.datasets.digest import digest_of
from ml.datasets.layouts.search import find_layout
from ml.networks import build_network
from ml.networks.checkpoints import write_checkpoint
from ml.packaging import measuring, packages
from ml.packaging.packages import make_package
from ml.packaging.quantization import Calibration, write_int8
from ml.packaging.surroundings import ALONE, Surroundings
from ml.training.configuration import Configuration
from ml.training.out_of_fold import keys_of
from ml.training.recipes import dump, make_configuration

SIDE = 64
PATIENTS = tuple(f"patient_{number}" for number in range(7))
EXCLUDED = PATIENTS[6:]
RECIPE = {
    "name": "tiny",
    "follows": "no published work; a network for tests",
    "network": {"name": "scratch", "width": 4},
    "loss": {"bce": 1.0},
    "stages": [{"epochs": 1, "size": SIDE}],
    "loop": {"checkpoint": "last"},
}

# What a made-up network says of a slice: uint8 (SIDE, SIDE).
Answer = Callable[[Case], np.ndarray]


def configuration(**changes: object) -> Configuration:
    """The recipe of the made-up runs."""
    return make_configuration({**RECIPE, **changes}, "tests")


def tumor_at(truth: np.ndarray, inside: int = 200, outside: int = 20) -> np.ndarray:
    """A map that is right everywhere."""
    return np.where(truth, inside, outside).astype(np.uint8)


@dataclass(frozen=True)
class FakeRun:
    """A run's folder and its data set."""

    folder: Path
    data: Path


@pytest.fixture(scope="session", autouse=True)
def quantized_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same network on the same slices gives the same int8 files, which take seconds: they are made once."""
    kept = tmp_path_factory.mktemp("quantized")

    def write(
        network: nn.Module,
        convention: InputConvention,
        cases: Sequence[Case],
        folder: Path,
        surroundings: Surroundings = ALONE,
    ) -> None:
        content = hashlib.sha256(f"{network} {convention}".encode())
        for name, values in network.state_dict().items():
            content.update(name.encode() + values.numpy().tobytes())
        for case in cases:
            for way in surroundings.ways(case):
                content.update(way.tobytes())
        made = kept / content.hexdigest()
        if not (made / INT8_GRAPH_FILE).exists():
            made.mkdir(exist_ok=True)
            write_int8(network, convention, cases, made, surroundings)
        shutil.copytree(made, folder, dirs_exist_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packages, "write_int8", write)
        yield


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven patients with four numbered slices: the first two have a bright square, the last two nothing."""
    folder = tmp_path_factory.mktemp("heads")
    random = np.random.default_rng(11)
    for patient in PATIENTS:
        (folder / patient).mkdir()
        row, column = random.integers(8, 40, 2)
        for number in range(4):
            truth = np.zeros((SIDE, SIDE), dtype=bool)
            truth[row : row + 14, column : column + 14] = number < 2
            pixels = random.integers(0, 80, (SIDE, SIDE, 3), dtype=np.uint8)
            pixels[truth] += 150
            Image.fromarray(pixels).save(folder / patient / f"{patient}_{number}.png")
            Image.fromarray(truth).save(folder / patient / f"{patient}_{number}_mask.png")
    return folder


def write_tiny_checkpoint(path: Path, data: Path, seed: int = 3, **recipe: object) -> Path:
    """A checkpoint of `python -m ml train` on all six patients of the folds; its weights are random."""
    made = configuration(**recipe)
    torch.manual_seed(seed)
    sides = {
        "data_sha256": split_of_heads(data).data_sha256,
        "split_seed": 1,
        "train_patients": list(PATIENTS[:6]),
        "validation_patients": [],
        "test_patients": [],
        "excluded_patients": list(EXCLUDED),
    }
    facts = {
        "architecture": encode(made.architecture),
        "configuration": made.model_dump(mode="json"),
        "data": sides,
    }
    figures = {"epoch": 1, "val_iou": None, "val_dice": None}
    write_checkpoint(path, build_network(made.architecture).state_dict(), figures, facts)
    return path


@pytest.fixture
def checkpoint(heads: Path, tmp_path: Path) -> Path:
    """Of the made-up runs' recipe."""
    return write_tiny_checkpoint(tmp_path / "final.pth", heads)


def leave_out_checks(patch: pytest.MonkeyPatch) -> None:
    """The input check draws 500 pictures; it is tested with the package of tests/ml/conftest.py."""
    patch.setattr(measuring, "add_checks", lambda folder, card, *given: card)


@pytest.fixture
def without_check(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_checks(monkeypatch)


def split_of_heads(data: Path, folds: Mapping[int, tuple[str, ...]] | None = None) -> Split:
    """Three folds of two patients, the last patient excluded."""
    sides = tuple((folds or {k: PATIENTS[2 * k : 2 * k + 2] for k in range(3)}).values())
    return Split(digest_of(data, find_layout(data).cases), seed=1, folds=sides, excluded=EXCLUDED)


def write_run(
    out: Path,
    data: Path,
    answer: Answer | None = None,
    finished: tuple[int, ...] = (0, 1, 2),
    split: Split | None = None,
    **recipe: object,
) -> FakeRun:
    """A run's folder. finished: the folds that have maps; answer: makes them, by default right everywhere."""
    answer = answer or (lambda case: tumor_at(case.truth()))
    split = split or split_of_heads(data)
    write_split(split, out / "split.json")
    for number in range(len(split.folds)):
        folder = out / f"fold-{number}"
        folder.mkdir()
        (folder / "configuration.yaml").write_text(dump(configuration(**recipe)))
        if number not in finished:
            continue
        cases = list_cases(data, split.folds[number])
        maps = dict(zip(keys_of(cases), map(answer, cases), strict=True))
        np.savez_compressed(folder / "maps.npz", seconds=np.full(len(cases), 0.1), **maps)
        write_tiny_checkpoint(folder / "final.pth", data, **recipe)
        (folder / "result.json").write_text(json.dumps({"checkpoint": "final.pth"}))
    return FakeRun(out, data)


@pytest.fixture
def fake_run(heads: Path, tmp_path: Path) -> Callable[..., FakeRun]:
    """fake_run(name, answer, finished, split, **recipe), as `write_run`."""

    def write(name: str = "cv", answer: Answer | None = None, **options: Any) -> FakeRun:
        return write_run(tmp_path / name, heads, answer, **options)

    return write


# Of the two members that ensembles and cascades are made of: the seed of the weights, and the side of the slices.
MEMBERS = ((3, 64), (4, 96))


def recipe_of(side: int) -> dict[str, Any]:
    """What a member's recipe has of its own."""
    return {"stages": [{"epochs": 1, "size": side}]}


@pytest.fixture(scope="session")
def quantized_members(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`models/tiny-64` and `models/tiny-96`, and their runs `cv64` and `cv96`, whose maps are right everywhere.

    Made once, since each takes seconds to quantize. Copy them before changing anything.
    """
    folder = tmp_path_factory.mktemp("members")
    with pytest.MonkeyPatch.context() as patch:
        leave_out_checks(patch)
        for seed, side in MEMBERS:
            recipe = recipe_of(side)
            run = write_run(folder / f"cv{side}", heads, lambda case: tumor_at(case.truth(), 230, 2), **recipe)
            checkpoint = write_tiny_checkpoint(folder / f"{side}.pth", heads, seed, **recipe)
            out = folder / "models" / f"tiny-{side}"
            make_package(checkpoint, out, heads, calibration=Calibration(slices=4), folds=run.folder)
    return folder
