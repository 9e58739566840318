"""Model cards: what a model package says about itself, read from `card.json` and checked.

A model package is a folder: `card.json`, and the files that the card lists with their sha256 (`model.safetensors`,
`int8.xml`, `int8.bin`, `familiarity.npz`). The folder's name is the package's name. This module never imports torch.

PackageError
├── PackageNotFoundError   no package of that name in the directories searched
├── CardError              card.json is missing, not JSON, or a field has a wrong value
└── PackageFileError       a file of the package is missing, or its bytes are not those that the card names
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from ml.cards.fields import FieldError, decode, encode

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
INT8_GRAPH_FILE = "int8.xml"
INT8_WEIGHTS_FILE = "int8.bin"
OOD_FILE = "familiarity.npz"

# The name is a folder's name and a part of a URL: nothing in it needs escaping or can leave the directory.
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MAX_CARD_BYTES = 1_000_000
# The parity gate: how far the mean patient Dice of a served form may lie from torch fp32's, and the share (0 to 1) of
# slices with its verdict.
MOST_DICE_DELTA = 0.002
LEAST_VERDICTS_EQUAL = 0.995


class PackageError(Exception):
    """A model package cannot be used as it is."""


class PackageNotFoundError(PackageError):
    """No directory holds a package of the name asked for."""


class CardError(PackageError):
    """`card.json` is missing or does not say what a card must say."""


class PackageFileError(PackageError):
    """A file named on the card is missing or is not the file that the card describes."""


@dataclass(frozen=True)
class Architecture:
    """The network's shape, enough to build it again. options: of the network, such as decoder_attention_type."""

    network: str
    encoder: str
    in_channels: int
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InputConvention:
    """What the network takes: x = (v / 255 - mean) / std per channel, on a grid of `size` (height, width).

    planes: which of a scan's three planes (0, 1, 2) becomes each channel; None: all three in order.
    """

    size: tuple[int, int]
    channels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey: str | None = None  # in words: how a scan with one channel becomes three; the scan's reader does it
    planes: tuple[int, ...] | None = None
    is_equalized: bool = False  # each channel's histogram is equalised on the model's grid


@dataclass(frozen=True)
class PackageFile:
    """One file of the package, pinned."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Training:
    """Where the weights come from; a fact that was not given is None and shown as "not stated"."""

    data: str | None = None
    data_sha256: str | None = None
    split: str | None = None
    patients: int | None = None
    validation_patients: tuple[str, ...] | None = None
    test_patients: tuple[str, ...] | None = None
    recipe: Mapping[str, Any] | None = None
    seed: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Metric:
    """One figure, never without the patients it was taken on and the way it was aggregated."""

    name: str
    value: float
    ci95: tuple[float, float] | None = None
    patients: int | None = None
    set: str | None = None
    aggregation: str | None = None


@dataclass(frozen=True)
class TemperatureScaling:
    """Logits divided by one number, which is in the weights (Guo et al., ICML 2017), and what it did for confidence.

    ECE: expected calibration error, 15 bins; in doubt: over pixels with p >= 0.05 alone, before and after each its own.
    """

    temperature: float
    ece_before: float | None
    ece_after: float | None
    ece_in_doubt_before: float | None
    ece_in_doubt_after: float | None
    patients: int
    set: str | None = None


@dataclass(frozen=True)
class OodFacts:
    """The input check (ml.ood.detector): its limit, the shares (0 to 1) that it warns about, and how well it separates.

    auroc, warned_others: validation slices against images that are no brains, drawn by ml.synthetic.negatives.
    """

    method: str
    limit: float
    training_slices: int
    validation_slices: int
    warned_share: float
    warned_share_grey: float
    other_images: int
    auroc: float
    warned_others: float
    warned_by_kind: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Parity:
    """A served form beside torch fp32: the change of mean Dice, the shares (0 to 1) of slices with equal verdicts.

    warnings_equal: of slices on which the input check agrees; None without one.
    """

    patient_dice_delta: float | None
    verdicts_equal: float
    slices: int
    patients: int
    against: str = "torch fp32"
    slice_dice_delta: float | None = None
    warnings_equal: float | None = None

    @property
    def is_close(self) -> bool:
        """Whether the form may stand in for its reference unasked: Dice within 0.002, verdicts equal on 99.5 %."""
        return abs(self.patient_dice_delta or 0.0) <= MOST_DICE_DELTA and self.verdicts_equal >= LEAST_VERDICTS_EQUAL


@dataclass(frozen=True)
class Card:
    """All that `card.json` says."""

    name: str
    version: str | None
    architecture: Architecture
    input: InputConvention
    threshold: float
    min_tumor_pixels: int
    files: Mapping[str, PackageFile]
    title: str | None = None
    chosen_on: str | None = None
    # Height and width of the crops to the brain that the package was measured with (ml.engines.crops).
    crops: tuple[tuple[int, int], ...] = ()
    training: Training = field(default_factory=Training)
    metrics: tuple[Metric, ...] = ()
    temperature: TemperatureScaling | None = None
    familiarity: OodFacts | None = None
    parity: Mapping[str, Parity] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    licence: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The card as plain JSON values, every field present, null where a fact was not stated."""
        return encode(self)


def card_from_json(value: Any) -> Card:
    """Check plain JSON values and make them a Card; fields it does not know are ignored.

    Raises CardError, whose message names the field.
    """
    try:
        card = decode(Card, value)
        _check(card)
    except FieldError as error:
        raise CardError(f"card.json: {error}.") from error
    return card


def load_card(folder: Path) -> Card:
    """Read the card of the package in `folder`.

    Raises CardError where it is missing, too large, not JSON, invalid, or names another package than the folder does.
    """
    path = folder / CARD_FILE
    try:
        size = path.stat().st_size
        if size > MAX_CARD_BYTES:
            raise CardError(f"{CARD_FILE} of {folder.name} has {size} bytes; a card has at most {MAX_CARD_BYTES}.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"{folder.name} has no readable {CARD_FILE}; make one with `python -m ml package`.") from error
    except ValueError as error:
        raise CardError(f"{CARD_FILE} of {folder.name} is not JSON ({error}); make the package again.") from error
    card = card_from_json(value)
    if card.name != folder.resolve().name:
        raise CardError(
            f"{CARD_FILE} names the package {card.name!r}, its folder {folder.resolve().name!r}; give both one name."
        )
    return card


def list_packages(directories: Iterable[Path]) -> tuple[Path, ...]:
    """The folders that hold a card, by name; of two with one name the first directory's is listed."""
    packages: dict[str, Path] = {}
    for directory in directories:
        if not directory.is_dir():
            continue
        for folder in sorted(directory.iterdir()):
            if NAME_PATTERN.fullmatch(folder.name) and (folder / CARD_FILE).is_file():
                packages.setdefault(folder.name, folder)
    return tuple(packages[name] for name in sorted(packages))


def find_package(name: str, directories: Sequence[Path]) -> Path:
    """The first folder called `name` with a card in it. Raises PackageNotFoundError."""
    if NAME_PATTERN.fullmatch(name):
        for directory in directories:
            if (directory / name / CARD_FILE).is_file():
                return directory / name
    known = ", ".join(folder.name for folder in list_packages(directories)) or "none"
    raise PackageNotFoundError(f"There is no model package called {name[:80]!r}; packages found: {known}.")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_files(folder: Path, card: Card, names: Iterable[str] | None = None) -> None:
    """Check that the named files (default: all on the card) are there and have the card's length and sha256.

    Raises PackageFileError, which names the file.
    """
    for name in card.files if names is None else names:
        path, expected = folder / name, card.files.get(name)
        if expected is None:
            raise PackageFileError(
                f"The package {card.name} was made without {name}; make it again with `python -m ml package`"
                f"{' --calibrate FOLDER' if name.startswith('int8') else ''}."
            )
        if not path.is_file():
            raise PackageFileError(
                f"{name} of the package {card.name} is not in its folder; restore it, or make the package again from"
                " its checkpoint with `python -m ml package`."
            )
        if path.stat().st_size != expected.bytes or sha256_of(path) != expected.sha256:
            raise PackageFileError(
                f"{name} of the package {card.name} is not the file that its card describes (its length or sha256"
                " differs); restore the package."
            )


def _check(card: Card) -> None:
    """Bounds that the types do not state. Raises FieldError."""
    channels = card.architecture.in_channels
    checks = {
        "name": NAME_PATTERN.fullmatch(card.name) is not None,
        "architecture.in_channels": channels >= 1,
        "architecture.classes": card.architecture.classes >= 1,
        "input.size": all(16 <= side <= 4096 for side in card.input.size),
        "input.channels": len(card.input.channels) == channels,
        "input.planes": card.input.planes is None
        or (len(card.input.planes) == channels and set(card.input.planes) <= {0, 1, 2}),
        "input.mean": len(card.input.mean) == channels and all(map(isfinite, card.input.mean)),
        "input.std": len(card.input.std) == channels and all(isfinite(s) and s > 0 for s in card.input.std),
        "threshold": 0 <= card.threshold <= 1,
        "min_tumor_pixels": 0 <= card.min_tumor_pixels <= card.input.size[0] * card.input.size[1],
        "crops": all(
            side % 16 == 0 and 0 < side <= most  # ml.engines.crops.STRIDE
            for size in card.crops
            for side, most in zip(size, card.input.size, strict=True)
        ),
        "files": all(
            Path(name).name == name and re.fullmatch("[0-9a-f]{64}", f.sha256) for name, f in card.files.items()
        ),
    }
    for where, is_sound in checks.items():
        if not is_sound:
            raise FieldError(f"{where} has a value out of its range; see docs/models.md for the fields")
