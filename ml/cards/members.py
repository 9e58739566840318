"""The packages that an ensemble joins: where they are, whether they are those of its card, and whether they fit."""

from collections.abc import Sequence
from pathlib import Path

from ml.cards.card import Card
from ml.cards.errors import CardError, PackageFileError, PackageNotFoundError
from ml.cards.packages import card_sha256, find_package
from ml.cards.reading import CARD_FILE, load_card


def find_members(package: Path, card: Card, directories: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The folders of an ensemble's members, in its card's order: beside the ensemble, else in the directories.

    A member's card is held against its digest; its other files are checked by the engine that loads them.
    Raises PackageNotFoundError, PackageFileError where a member is another than the ensemble was made of, and
    CardError.
    """
    folders = []
    for member in card.members:
        try:
            folder = find_package(member.name, (package.resolve().parent, *directories))
        except PackageNotFoundError as error:
            raise PackageNotFoundError(
                f"{member.name}, a member of the ensemble {card.name}, is missing; put its package beside the ensemble."
            ) from error
        if card_sha256(folder) != member.card_sha256:
            raise PackageFileError(
                f"{member.name} is not the package that the ensemble {card.name} was made of (the sha256 of its"
                f" {CARD_FILE} differs); restore it, or make the ensemble again with `python -m ml ensemble`."
            )
        folders.append(folder)
    check_members([load_card(folder) for folder in folders])
    return tuple(folders)


def check_members(cards: Sequence[Card]) -> None:
    """Raises CardError where the packages cannot be joined: their logits would not mean the same."""
    first = cards[0]
    for card in cards:
        if card.members:
            raise CardError(f"{card.name} is an ensemble itself; join packages that have weights of their own.")
        if card.architecture.classes != first.architecture.classes:
            raise CardError(
                f"{card.name} has {card.architecture.classes} classes and {first.name} {first.architecture.classes};"
                " join packages with the same ones."
            )
        if card.input.channels != first.input.channels:
            raise CardError(
                f"{card.name} takes the channels {', '.join(card.input.channels)} and {first.name}"
                f" {', '.join(first.input.channels)}; join packages with the same ones."
            )
