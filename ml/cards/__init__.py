"""Model packages and their cards. Never imports torch.

A package is a folder, whose name is the package's: `card.json`, and the files that the card lists with their SHA-256
(`model.safetensors`, `int8.xml`, `int8.bin`, `familiarity.npz`, `sequences.npz`, `training_slices.npz`).
docs/models.md describes every field.

card: what a card says, as dataclasses. reading: JSON to a checked card. packages: folders, files and their digests.
members: the packages that an ensemble joins.
"""

from ml.cards.card import (
    LOST_PIXELS,
    MAX_DICE_DELTA,
    MIN_VERDICTS_EQUAL,
    NESTED,
    OUT_OF_FOLD,
    Architecture,
    Card,
    Cascade,
    CascadeFigures,
    DepthRule,
    DoubtRule,
    EncoderSource,
    InputConvention,
    Member,
    Metric,
    OodFacts,
    PackageFile,
    Parity,
    SequenceFacts,
    SequenceFigures,
    TemperatureScaling,
    Training,
    VolumeError,
)
from ml.cards.errors import CardError, PackageError, PackageFileError, PackageNotFoundError
from ml.cards.members import check_members, find_members
from ml.cards.packages import (
    INT8_GRAPH_FILE,
    INT8_WEIGHTS_FILE,
    OOD_FILE,
    SEQUENCES_FILE,
    SLICES_FILE,
    WEIGHTS_FILE,
    card_sha256,
    find_package,
    list_packages,
    path_advice,
    verify_files,
)
from ml.cards.reading import CARD_FILE, NAME_PATTERN, card_from_json, load_card

__all__ = [
    "CARD_FILE",
    "INT8_GRAPH_FILE",
    "INT8_WEIGHTS_FILE",
    "LOST_PIXELS",
    "MAX_DICE_DELTA",
    "MIN_VERDICTS_EQUAL",
    "NAME_PATTERN",
    "NESTED",
    "OOD_FILE",
    "OUT_OF_FOLD",
    "SEQUENCES_FILE",
    "SLICES_FILE",
    "WEIGHTS_FILE",
    "Architecture",
    "Card",
    "CardError",
    "Cascade",
    "CascadeFigures",
    "DepthRule",
    "DoubtRule",
    "EncoderSource",
    "InputConvention",
    "Member",
    "Metric",
    "OodFacts",
    "PackageError",
    "PackageFile",
    "PackageFileError",
    "PackageNotFoundError",
    "Parity",
    "SequenceFacts",
    "SequenceFigures",
    "TemperatureScaling",
    "Training",
    "VolumeError",
    "card_from_json",
    "card_sha256",
    "check_members",
    "find_members",
    "find_package",
    "list_packages",
    "load_card",
    "path_advice",
    "verify_files",
]
