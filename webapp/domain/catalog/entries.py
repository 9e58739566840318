"""The models that this portal offers, read from their cards. The weights themselves are the worker's business."""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

from ml.cards import (
    CARD_FILE,
    Card,
    PackageError,
    find_members,
    find_package,
    list_packages,
    load_card,
    verify_files,
)
from webapp.domain.errors import InvalidInput, NotFound


@dataclass(frozen=True)
class CatalogEntry:
    """One package. `problem` says, for people, why it cannot be used; `card` is None where the card cannot be read."""

    name: str
    card: Card | None
    problem: str | None
    files_present: frozenset[str] = frozenset()

    @cached_property
    def card_json(self) -> Mapping[str, Any]:
        """The card as its file has it, and which of its files are there; of a card that cannot be read the name alone.

        Made once for all requests, so it is not to be changed.
        """
        if self.card is None:
            return {"name": self.name}
        card = self.card.to_json()
        for name, file in card.get("files", {}).items():
            file["present"] = name in self.files_present
        return card


# Time of the last change, length and inode of each file that an entry was read from.
State = tuple[tuple[int, int, int], ...]
_NAME = attrgetter("name")


class Catalog:
    """Cards by name, in the order of the directories; read again when a card's file changes."""

    def __init__(self, directories: Sequence[Path], default_name: str) -> None:
        self.directories = tuple(directories)
        self.default_name = default_name
        self._lock = threading.Lock()
        self._entries: dict[Path, tuple[State, CatalogEntry]] = {}

    def entries(self) -> list[CatalogEntry]:
        """Every package found, usable or not."""
        found = (self._entry(folder) for folder in list_packages(self.directories))
        return [entry for entry in found if entry is not None]

    def names(self) -> list[str]:
        """The usable models, the default one first."""
        names = [entry.name for entry in self.entries() if entry.problem is None]
        return sorted(names, key=lambda name: (name != self.default_name, name))

    def thresholds(self) -> dict[str, float]:
        """What each usable model takes where no threshold is given, by its name; the default model first."""
        cards = {entry.name: entry.card for entry in self.entries() if entry.problem is None}
        return {name: card.threshold for name in self.names() if (card := cards.get(name)) is not None}

    def entry(self, name: str) -> CatalogEntry:
        """One package. Raises NotFound."""
        try:
            found = self._entry(find_package(name, self.directories))
        except PackageError as error:
            raise NotFound("There is no such model.") from error
        if found is None:
            raise NotFound("There is no such model.")
        return found

    def card(self, name: str | None) -> Card:
        """The card of a usable model, of the default one where no name is given. Raises InvalidInput."""
        try:
            entry = self.entry(name or self.default_name)
        except NotFound as error:
            known = ", ".join(self.names()) or "none"
            wanted = (name or self.default_name)[:80]
            raise InvalidInput(f"There is no such model, {wanted!r}; the models are: {known}.") from error
        if entry.card is None or entry.problem is not None:
            raise InvalidInput(f"The model {entry.name} cannot be used: {entry.problem}")
        return entry.card

    def readable_card(self, name: str) -> Card | None:
        """The card of a model that has read something, usable or not; None where it is gone, or cannot be read."""
        try:
            return self.entry(name).card
        except NotFound:
            return None

    def flair_channel(self, name: str) -> int | None:
        """The channel of a model's scans that is shown in gray; None where its card has none, or it is gone."""
        card = self.readable_card(name)
        return card.input.flair_channel if card else None

    def default_problem(self) -> str | None:
        """Why the default model cannot be used, or None."""
        try:
            return self.entry(self.default_name).problem
        except NotFound:
            return f"The model {self.default_name} is missing."

    def _entry(self, folder: Path) -> CatalogEntry | None:
        """None where the package has gone since its folder was found. One whose files change right now, or may not be
        read, cannot be used, and is read again when it is next asked for."""
        # Reading a card takes 10 ms and hashing the weights 20: once for each state of the files.
        with self._lock:
            known = self._entries.get(folder)
            try:
                if known is None or known[0] != self._state_of(folder, known[1].card):
                    # The state first: of a package that is still being copied the next look reads the rest.
                    state = self._state_of(folder, _readable_card(folder))
                    known = self._entries[folder] = (state, self._read(folder))
            except OSError as error:
                self._entries.pop(folder, None)
                if not (folder / CARD_FILE).is_file():
                    return None
                return CatalogEntry(folder.name, None, f"Its files cannot be read ({error.strerror}).")
            return known[1]

    def _state_of(self, folder: Path, card: Card | None) -> State:
        """Of the package's files and, for an ensemble, of its members' wherever they may lie."""
        members = () if card is None else card.members
        places = [parent / member.name for member in members for parent in (folder.parent, *self.directories)]
        folders = [folder, *(place for place in places if place.is_dir())]
        # Every page asks: os.scandir makes no Path of each file.
        found = (file for place in folders for file in sorted(os.scandir(place), key=_NAME))
        stats = (file.stat() for file in found)
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _read(self, folder: Path) -> CatalogEntry:
        entry = _read_single(folder)
        if entry.card is None or not entry.card.members:
            return entry
        try:
            members = [_read_single(place) for place in find_members(folder, entry.card, self.directories)]
        except PackageError as error:
            return CatalogEntry(folder.name, entry.card, str(error))
        problems = (f"Its member {member.name}: {member.problem}" for member in members if member.problem)
        return CatalogEntry(folder.name, entry.card, next(problems, None))


def _readable_card(folder: Path) -> Card | None:
    try:
        return load_card(folder)
    except PackageError:
        return None


def _read_single(folder: Path) -> CatalogEntry:
    """The package on its own, without members."""
    try:
        card = load_card(folder)
    except PackageError as error:
        return CatalogEntry(folder.name, None, str(error))
    try:
        # A repository carries the int8 files alone: only what is there is held against the card here. The worker
        # checks the files of its engine, missing ones too.
        present = frozenset(name for name in card.files if (folder / name).is_file())
        verify_files(folder, card, sorted(present))
        if not present and not card.members:
            return CatalogEntry(folder.name, card, "None of its weights are there.")
    except PackageError as error:
        return CatalogEntry(folder.name, card, str(error))
    return CatalogEntry(folder.name, card, None, present)
