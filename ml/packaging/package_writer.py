"""Writing a package: everything into a hidden folder beside the target, renamed into place at the end.

What has the package's name is whole. Imports torch.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from ml.atomic_files import fresh_folder
from ml.cards.card import (
    CARD_FILE,
    INT8_GRAPH_FILE,
    INT8_WEIGHTS_FILE,
    OOD_FILE,
    WEIGHTS_FILE,
    Card,
    PackageError,
    PackageFile,
    sha256_of,
)
from ml.networks import CheckpointError


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder of the package's name to write into; it becomes `out` at the end, or is gone after an error.

    An older package called `out` is replaced. Raises PackageError where `out` is something else.
    """
    if out.exists() and not (out / CARD_FILE).is_file():
        raise PackageError(f"{out.name} exists and is no model package; give --out a folder that does not exist yet.")
    with fresh_folder(out, may_replace=True) as folder:
        yield folder


def write_weights(network: nn.Module, path: Path) -> None:
    """safetensors in half precision. Raises CheckpointError where a weight does not fit in it."""
    weights = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    too_large = next((key for key, value in weights.items() if not torch.isfinite(value).all()), None)
    if too_large is not None:
        raise CheckpointError(f"{too_large} has weights beyond 65504, the largest number in half precision.")
    # Not save_file: it leaves a file that only its owner may read, which a portal run by another account cannot.
    path.write_bytes(save({key: value.contiguous() for key, value in weights.items()}))


def write_card(folder: Path, card: Card) -> Card:
    """Write the card with the files that are there now, and return it."""
    names = (name for name in (WEIGHTS_FILE, INT8_GRAPH_FILE, INT8_WEIGHTS_FILE, OOD_FILE) if (folder / name).is_file())
    files = {name: PackageFile(sha256_of(folder / name), (folder / name).stat().st_size) for name in names}
    card = replace(card, files=files)
    (folder / CARD_FILE).write_text(json.dumps(card.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return card
