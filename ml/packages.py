"""From a published checkpoint to a model package: card, safetensors, int8, and the proof that int8 is the same model.

Everything is written into a hidden folder beside the target and renamed into place at the end: what has the package's
name is whole. Imports torch.
"""

import json
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save
from torch import nn

from ml.cards import (
    CARD_FILE,
    INT8_GRAPH_FILE,
    INT8_WEIGHTS_FILE,
    NAME_PATTERN,
    WEIGHTS_FILE,
    Card,
    CardError,
    PackageError,
    PackageFile,
    card_from_json,
    sha256_of,
)
from ml.datasets import Case, list_cases
from ml.engines.openvino import OpenVinoEngine
from ml.engines.torch import TorchEngine
from ml.networks import UNET_VGG16, CheckpointError, build_network, load_weights, read_checkpoint
from ml.parity import compare_engines
from ml.quantization import Calibration, choose_slices, write_int8

logger = logging.getLogger(__name__)

PARITY_SLICES = 300
# Where no validation patients are stated, this share of the patients is kept from calibration and compared on.
_HELD_OUT_SHARE = 0.15

# What a published checkpoint is used with unless the facts say otherwise: the input of the LGG MRI Segmentation data
# (Buda et al., Computers in Biology and Medicine 109, 2019) with ImageNet's mean and standard deviation.
_DEFAULTS: dict[str, Any] = {
    "version": None,
    "architecture": {"network": "unet", "encoder": "vgg16", "in_channels": 3, "classes": 1},
    "input": {
        "size": [256, 256],
        "channels": ["pre-contrast", "FLAIR", "post-contrast"],
        "grey": "FLAIR repeated",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
    "threshold": 0.5,
    "min_tumor_pixels": 30,
}
_FACTS = frozenset(_DEFAULTS) | {"title", "chosen_on", "training", "metrics", "limits", "licence"}


@dataclass(frozen=True)
class Split:
    """Which cases calibrate and which are compared on; no patient is in both."""

    calibration: tuple[Case, ...]
    parity: tuple[Case, ...]


def make_package(
    checkpoint: Path,
    out: Path,
    calibrate: Path | None = None,
    facts: Path | None = None,
    calibration: Calibration | None = None,
) -> Card:
    """Write the package `out` (its folder's name is the package's) and return its card.

    `calibrate`: a data set folder; without one there is no int8 and no parity. `facts`: YAML with fields of the card.
    An older package called `out` is replaced. Raises PackageError and DatasetError, and leaves nothing behind then.
    """
    if out.exists() and not (out / CARD_FILE).is_file():
        raise PackageError(f"{out.name} exists and is no model package; give --out a folder that does not exist yet.")
    published = read_checkpoint(checkpoint)
    card = _card_of_facts(out.resolve().name, _read_facts(facts), published.epoch)
    network = load_weights(build_network(card.architecture), published.weights)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.partial-", dir=out.parent) as staging:
        folder = Path(staging) / out.resolve().name
        folder.mkdir()
        _write_weights(network, folder / WEIGHTS_FILE)
        card = _write_card(folder, card)
        if calibrate is not None:
            card = _add_int8(folder, card, network, calibrate, calibration or Calibration())
        _replace_folder(folder, out)
    return card


def split_cases(cases: Sequence[Case], held_out: Iterable[str], validation: Iterable[str], seed: int) -> Split:
    """Keep the patients of `held_out` (validation patients among them) away from calibration.

    Parity takes the validation patients where the folder has some, else patients drawn with the seed. Raises
    PackageError where one of the two parts would be empty.
    """
    patients = sorted({case.patient for case in cases})
    compared = set(validation) & set(patients)
    if not compared:
        free = [patient for patient in patients if patient not in set(held_out)]
        count = max(1, round(_HELD_OUT_SHARE * len(free)))
        compared = set(np.random.default_rng(seed).permutation(free)[:count].tolist())
    withheld = compared | set(held_out)
    split = Split(
        calibration=tuple(case for case in cases if case.patient not in withheld),
        parity=tuple(case for case in cases if case.patient in compared),
    )
    if not split.calibration or not split.parity:
        raise PackageError(
            f"The data set has {len(patients)} patients; at least one to calibrate on and another one to compare on are"
            " needed: give a folder with training patients in it."
        )
    return split


def _add_int8(folder: Path, card: Card, network: nn.Module, data: Path, calibration: Calibration) -> Card:
    """Quantise, then compare through the engine that serves with torch in single precision."""
    training = card.training
    validation = training.validation_patients or ()
    held_out = {*validation, *(training.test_patients or ())}
    split = split_cases(list_cases(data), held_out, validation, calibration.seed)
    chosen = choose_slices(split.calibration, calibration)
    logger.info("Calibrating on %d slices of %d patients", len(chosen), len({case.patient for case in chosen}))
    write_int8(network, card.input, chosen, folder)
    card = _write_card(folder, card)
    order = np.random.default_rng(calibration.seed).permutation(len(split.parity))[:PARITY_SLICES]
    compared = [split.parity[index] for index in sorted(order)]
    logger.info("Comparing int8 with torch fp32 on %d slices", len(compared))
    parity = compare_engines(OpenVinoEngine(folder), TorchEngine(network, card, device="cpu"), compared)
    return _write_card(folder, replace(card, parity={"int8": parity}))


def _read_facts(path: Path | None) -> Mapping[str, Any]:
    """The facts file's fields. Raises CardError where it is no YAML object or has a field that is not a fact."""
    if path is None:
        return {}
    try:
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CardError(f"{path.name} cannot be read as YAML ({error}).") from error
    if not isinstance(facts, dict):
        raise CardError(f"{path.name} is not a YAML object with fields of a card; see docs/models.md.")
    unknown = sorted(str(key) for key in facts.keys() - _FACTS)
    if unknown:
        raise CardError(f"{path.name} has the unknown field {unknown[0]!r}; known are {', '.join(sorted(_FACTS))}.")
    return facts


def _card_of_facts(name: str, facts: Mapping[str, Any], epoch: float | None) -> Card:
    """The card before there are files. The checkpoint's own figures have no stated patients and stay off the card."""
    if NAME_PATTERN.fullmatch(name) is None:
        raise CardError(f"A package cannot be called {name!r}; give --out a folder named with a-z, 0-9, '.', '_', '-'.")
    card = card_from_json({**_DEFAULTS, **facts, "name": name, "files": {}})
    if card.architecture != UNET_VGG16:
        raise CheckpointError(f"{card.architecture} is unknown; published checkpoints are {UNET_VGG16}.")
    return card


def _write_weights(network: nn.Module, path: Path) -> None:
    """safetensors in half precision. Raises CheckpointError where a weight does not fit in it."""
    weights = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    too_large = next((key for key, value in weights.items() if not torch.isfinite(value).all()), None)
    if too_large is not None:
        raise CheckpointError(f"{too_large} has weights beyond 65504, the largest number in half precision.")
    # Not save_file: it leaves a file that only its owner may read, which a portal run by another account cannot.
    path.write_bytes(save({key: value.contiguous() for key, value in weights.items()}))


def _write_card(folder: Path, card: Card) -> Card:
    """Write the card with the files that are there now, and return it."""
    names = (name for name in (WEIGHTS_FILE, INT8_GRAPH_FILE, INT8_WEIGHTS_FILE) if (folder / name).is_file())
    files = {name: PackageFile(sha256_of(folder / name), (folder / name).stat().st_size) for name in names}
    card = replace(card, files=files)
    (folder / CARD_FILE).write_text(json.dumps(card.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return card


def _replace_folder(folder: Path, out: Path) -> None:
    """Rename the finished folder to `out`; an older one goes into the staging folder, and with it away."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if out.exists():
        out.rename(folder.parent / "replaced")
    folder.rename(out)
