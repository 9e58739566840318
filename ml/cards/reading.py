"""From `card.json` to a checked card."""

import json
import re
from pathlib import Path

from ml.cards.card import Card
from ml.cards.errors import CardError
from ml.cards.fields import FieldError, decode

CARD_FILE = "card.json"
# The name is a folder's name and a part of a URL: nothing in it needs escaping or can leave the directory.
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MAX_CARD_BYTES = 1_000_000
# Of a cascade, on either side: an engine is given so many slices more.
MAX_NEIGHBORS = 8
# The portal's tables keep no longer one.
LONGEST_VERSION = 40

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Crops lie on the grid of the coarse levels (ml.engines.crops.STRIDE).
_CROP_STRIDE = 16


def card_from_json(value: object) -> Card:
    """Check plain JSON values and make them a Card; fields it does not know are ignored.

    Raises CardError, whose message names the field.
    """
    try:
        card = decode(Card, value)
        _check_bounds(card)
    except FieldError as error:
        raise CardError(f"{CARD_FILE}: {error}; docs/models.md describes the fields.") from error
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
        value = json.loads(path.read_bytes())  # of bytes: json knows an editor's byte order mark, and imports for none
    except OSError as error:
        raise CardError(f"{folder.name} has no readable {CARD_FILE}; make one with `python -m ml package`.") from error
    except (ValueError, RecursionError) as error:  # the latter for brackets nested thousands deep
        raise CardError(
            f"{CARD_FILE} of {folder.name} is not JSON ({error}); correct it there, or make the package again."
        ) from error
    card = card_from_json(value)
    if card.name != folder.resolve().name:
        raise CardError(
            f"{CARD_FILE} names the package {card.name!r}, its folder {folder.resolve().name!r}; give both one name."
        )
    return card


def _check_bounds(card: Card) -> None:
    """Bounds that the types do not state. Raises FieldError."""
    classes, grid = card.architecture.classes, card.input
    channels, rest = divmod(card.architecture.in_channels, max(1, grid.slices))  # of one slice
    height, width = grid.size
    # None is all three in order.
    is_plane = channels == 3 if grid.planes is None else len(grid.planes) == channels and set(grid.planes) <= {0, 1, 2}
    is_std = len(grid.std) == channels and all(value > 0 for value in grid.std)
    is_area = 0 <= card.min_tumor_pixels <= height * width
    is_file = all(Path(name).name == name and _SHA256.fullmatch(file.sha256) for name, file in card.files.items())
    is_crop = all(
        tall % _CROP_STRIDE == wide % _CROP_STRIDE == 0 and 0 < tall <= height and 0 < wide <= width
        for tall, wide in card.crops
    )
    _require(NAME_PATTERN.fullmatch(card.name) is not None, "name", card.name, "1 to 64 of a-z, 0-9, '.', '_' and '-'")
    is_version = card.version is None or (len(card.version) <= LONGEST_VERSION and card.version.isprintable())
    _require(is_version, "version", card.version, f"null or at most {LONGEST_VERSION} printable characters")
    _require(channels >= 1, "architecture.in_channels", channels, "at least 1")
    _require(classes >= 1, "architecture.classes", classes, "at least 1")
    _require(min(grid.size) >= 16 and max(grid.size) <= 4096, "input.size", grid.size, "two sides of 16 to 4096")
    is_reach = 0 <= grid.neighbors <= MAX_NEIGHBORS
    _require(is_reach, "input.neighbors", grid.neighbors, f"0 to {MAX_NEIGHBORS}")
    _require(not rest, "architecture.in_channels", card.architecture.in_channels, f"those of {grid.slices} slices")
    _require(len(grid.channels) == channels, "input.channels", grid.channels, f"{channels} names")
    wanted = f"{'null or ' if channels == 3 else ''}{channels} of the planes 0, 1 and 2 of a scan, FLAIR alone as [1]"
    _require(is_plane, "input.planes", grid.planes, wanted)
    _require(len(grid.mean) == channels, "input.mean", grid.mean, f"{channels} numbers")
    _require(is_std, "input.std", grid.std, f"{channels} numbers above 0")
    _require(0 <= card.threshold <= 1, "threshold", card.threshold, "0 to 1")
    _require(is_area, "min_tumor_pixels", card.min_tumor_pixels, f"0 to {height * width}, the pixels of the grid")
    _check_rules(card)
    if card.volumes is not None:
        error = card.volumes
        is_factor = all(1 <= factor < float("inf") for factor in (error.half, error.volume, error.change))
        _require(is_factor, "volumes", (error.half, error.volume, error.change), "three numbers of at least 1")
        _require(0 < error.share < 1, "volumes.share", error.share, "above 0 and below 1")
    _require(is_crop, "crops", card.crops, f"multiples of {_CROP_STRIDE} within {height} x {width}")
    _require(is_file, "files", dict(card.files), "plain file names, each with a SHA-256 of 64 hexadecimal digits")


def _check_rules(card: Card) -> None:
    """Bounds of the rules of doubt and depth, and of an ensemble's members. Raises FieldError."""
    height, width = card.input.size
    doubt, depth, names = card.doubt, card.depth, [member.name for member in card.members]
    if doubt is not None:
        is_below = 0 <= doubt.threshold <= card.threshold
        is_area = 1 <= doubt.min_pixels <= height * width
        _require(is_below, "doubt.threshold", doubt.threshold, f"0 to {card.threshold:g}, the card's threshold")
        _require(is_area, "doubt.min_pixels", doubt.min_pixels, f"1 to {height * width}, the pixels of the grid")
    if depth is not None:
        _require(0 <= depth.min_share <= 1, "depth.min_share", depth.min_share, "0 to 1")
    is_member = all(
        NAME_PATTERN.fullmatch(member.name) and _SHA256.fullmatch(member.card_sha256) for member in card.members
    )
    is_ensemble = is_member and len(names) != 1 and len(set(names)) == len(names) and card.name not in names
    _require(is_ensemble, "members", names, "empty, or two or more other packages, each with its card's SHA-256")
    if card.cascade is not None:
        _require(bool(names), "cascade", card.cascade.limit, "null where the card names no members")
        # What the first member answers alone is then neither a mask nor a doubt.
        highest = card.threshold if doubt is None else doubt.threshold
        is_limit = 0 < card.cascade.limit <= highest
        _require(
            is_limit, "cascade.limit", card.cascade.limit, f"above 0 and at most {highest:g}, the lowest threshold"
        )
        reach = card.cascade.neighbors
        _require(0 <= reach <= MAX_NEIGHBORS, "cascade.neighbors", reach, f"0 to {MAX_NEIGHBORS}")


def _require(is_within: bool, where: str, value: object, bounds: str) -> None:
    if not is_within:
        raise FieldError(f"{where} is {str(value)[:80]}; it must be {bounds}")
