"""Writes a package: into a hidden folder beside the target that is renamed into place at the end.

So a folder with the package's name is always complete. Imports torch.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save
from torch import nn

from ml.atomic_files import fresh_folder
from ml.cards import (
    CARD_FILE,
    INT8_GRAPH_FILE,
    INT8_WEIGHTS_FILE,
    OOD_FILE,
    SEQUENCES_FILE,
    SLICES_FILE,
    WEIGHTS_FILE,
    Card,
    PackageError,
    PackageFile,
)
from ml.digests import sha256_of
from ml.networks.checkpoints import in_half_precision


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder of the package's name to write into; it becomes `out` at the end and is removed after an error.

    An older package called `out` is replaced. Raises PackageError where `out` is something else.
    """
    if out.exists() and not (out / CARD_FILE).is_file():
        raise PackageError(f"{out.name} exists and is no model package; give --out a folder that does not exist yet.")
    with fresh_folder(out, may_replace=True) as folder:
        yield folder


def write_weights(network: nn.Module, path: Path) -> None:
    """Write safetensors in half precision, what is too large for it in single. Raises CheckpointError."""
    weights = in_half_precision(network.state_dict())
    # Not save_file: its file is readable by the owner only, and a portal may run under another account.
    path.write_bytes(save({key: value.contiguous() for key, value in weights.items()}))


def write_card(folder: Path, card: Card) -> Card:
    """Write the card with the digests of the files that the folder holds now, and return it."""
    known = (WEIGHTS_FILE, INT8_GRAPH_FILE, INT8_WEIGHTS_FILE, OOD_FILE, SEQUENCES_FILE, SLICES_FILE)
    names = (name for name in known if (folder / name).is_file())
    files = {name: PackageFile(sha256_of(folder / name), (folder / name).stat().st_size) for name in names}
    card = replace(card, files=files)
    (folder / CARD_FILE).write_text(json.dumps(card.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return card
