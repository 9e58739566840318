"""A converted encoder as a folder: `encoder.safetensors` and its card, `encoder.json`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ml.atomic_files import fresh_folder
from ml.cards import EncoderSource
from ml.cards.fields import FieldError, decode, encode
from ml.networks.checkpoints import CheckpointError

FORMAT = "glioscope-encoder-1"
WEIGHTS_FILE = "encoder.safetensors"
CARD_FILE = "encoder.json"


@dataclass(frozen=True)
class PretrainedEncoder:
    """Weights under the names of smp's encoder, in single precision."""

    weights: Mapping[str, torch.Tensor]
    card: EncoderSource


def write_encoder(encoder: PretrainedEncoder, out: Path) -> None:
    """Write the folder, whole or not at all. Raises FileExistsError and OSError."""
    with fresh_folder(out) as folder:
        # Not save_file: its file is readable by the owner only.
        content = save({name: value.contiguous() for name, value in encoder.weights.items()})
        (folder / WEIGHTS_FILE).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        document = {"format": FORMAT, **encode(encoder.card), "sha256": digest}
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


def _card_of(document: Mapping[str, Any], folder: Path) -> EncoderSource:
    try:
        return decode(EncoderSource, document)
    except FieldError as error:
        raise CheckpointError(
            f"{folder / CARD_FILE} is damaged ({error}); make it again with `python -m ml encoder`."
        ) from error
