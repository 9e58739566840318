"""The channels of a scan as a viewer offers them, by the card of the model that read it; None: it cannot be read."""

from ml.cards.card import Card

_IN_COLOR = -1
_UNNAMED = ("Channel 1", "Channel 2", "Channel 3")


def names_of(card: Card | None) -> list[str]:
    """What the channels are called."""
    return list(card.input.channels if card else _UNNAMED)


def first_shown(card: Card | None) -> int:
    """FLAIR's, in gray; -1: in color."""
    flair = card.input.flair_channel if card else None
    return _IN_COLOR if flair is None else flair
