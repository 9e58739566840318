"""The reference engine over a checkpoint, before a package is made of it."""

from pathlib import Path

from ml.cards import Card
from ml.engines.torch import TorchEngine
from ml.networks import load_network, read_checkpoint


def engine_of_checkpoint(checkpoint: Path, card: Card) -> TorchEngine:
    """A published checkpoint on the processor, used as the card says."""
    return TorchEngine(load_network(card.architecture, read_checkpoint(checkpoint).weights), card, device="cpu")
