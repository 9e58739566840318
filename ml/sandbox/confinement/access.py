"""The files that one child may use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Access:
    """Absolute paths. reads: files, and folders with all below them. writes: files, which exist, and may be emptied and
    written; folders, in which files and folders may be made. What is written may be read."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    @classmethod
    def to(cls, *, reads: Iterable[Path] = (), writes: Iterable[Path] = ()) -> Access:
        """Of these paths, wherever links lead."""
        return cls(tuple(str(path.resolve()) for path in reads), tuple(str(path.resolve()) for path in writes))

    @classmethod
    def to_folders_of(cls, files: Iterable[Path]) -> Access:
        """To read in the folders of these files, wherever links lead; a folder inside another is not named."""
        chosen: list[str] = []
        for folder in sorted({f"{path.resolve().parent}/" for path in files}):
            if not chosen or not folder.startswith(chosen[-1]):
                chosen.append(folder)
        return cls(reads=tuple(chosen))

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Access:
        """What a child is told: the fields, as lists."""
        return cls(tuple(fields["reads"]), tuple(fields["writes"]))
