"""A converted encoder as a folder: `encoder.safetensors` and its card, `encoder.json`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ml.atomic_files import fresh_folder
from ml.networks.checkpoints import CheckpointError

FORMAT = "glioscope-encoder-1"
WEIGHTS_FILE = "encoder.safetensors"
CARD_FILE = "encoder.json"


@dataclass(frozen=True)
class EncoderCard:
    """Where an encoder's weights come from. source_input, input: what they took, and take now, in words."""

    encoder: str
    source: str
    source_sha256: str
    licence: str
    source_input: str
    input: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PretrainedEncoder:
    """Weights under the names of smp's encoder, in single precision."""

    weights: Mapping[str, torch.Tensor]
    card: EncoderCard


def write_encoder(encoder: PretrainedEncoder, out: Path) -> None:
    """Write the folder, whole or not at all. Raises FileExistsError and OSError."""
    with fresh_folder(out) as folder:
        save_file({name: value.contiguous() for name, value in encoder.weights.items()}, folder / WEIGHTS_FILE)
        digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
        document = {"format": FORMAT, **asdict(encoder.card), "sha256": digest}
        (folder / CARD_FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def load_encoder(path: Path, encoder: str) -> PretrainedEncoder:
    """A folder of `write_encoder`, or a published file, which is converted. Raises CheckpointError."""
    if path.is_dir():
        return _read_folder(path, encoder)
    from ml.networks.pretrained.conversion import convert_encoder  # it builds on this module

    return convert_encoder(path, encoder)


def _read_folder(folder: Path, encoder: str) -> PretrainedEncoder:
    document = _read_card(folder / CARD_FILE)
    card = _card_of(document, folder)
    if card.encoder != encoder:
        raise CheckpointError(f"{folder} holds the encoder {card.encoder!r}, and the recipe has {encoder!r}.")
    path = folder / WEIGHTS_FILE
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != document.get("sha256"):
            raise CheckpointError(f"{path} is not the file that its card describes; convert the encoder again.")
        return PretrainedEncoder(load_file(path), card)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); convert the encoder again.") from error


def _read_card(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); give a folder of `python -m ml encoder`, or a file of weights."
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no card of the format {FORMAT}; make it with `python -m ml encoder`.")
    return document


def _card_of(document: Mapping[str, Any], folder: Path) -> EncoderCard:
    texts = ("encoder", "source", "source_sha256", "licence", "source_input", "input")
    changes = document.get("changes")
    if not all(isinstance(document.get(name), str) for name in texts) or not isinstance(changes, list):
        raise CheckpointError(f"{folder / CARD_FILE} is damaged; make it again with `python -m ml encoder`.")
    return EncoderCard(**{name: document[name] for name in texts}, changes=tuple(map(str, changes)))
