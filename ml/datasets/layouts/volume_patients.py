"""The files of one patient of a set of volumes, by their sequences, as its layouts find them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml.datasets.file_names import VOLUME_SUFFIXES, suffix_of
from ml.datasets.layouts.sequences import Sequence as Kind
from ml.datasets.layouts.tree import Tree


@dataclass
class VolumePatient:
    """The files of one volume by their sequences. side: of a set that comes divided; doubt: why one has none.

    numbers: of a file that holds all of them (4-D), which volume, from 1, each sequence is; volumes: how many it holds.
    spare: masks that are not taken, as another one says more plainly that it is the expert's of the tumor.
    """

    name: str
    files: dict[Kind, list[Path]] = field(default_factory=lambda: defaultdict(list))
    side: str | None = None
    doubt: str = ""
    numbers: dict[Kind, int] = field(default_factory=dict)
    volumes: int = 1
    spare: list[Path] = field(default_factory=list)

    @property
    def others(self) -> list[Path]:
        """All but its masks."""
        return [path for kind, paths in self.files.items() if kind is not Kind.SEG for path in paths]

    def first(self, kind: Kind) -> Path | None:
        return next(iter(self.files.get(kind, ())), None)


def volumes_in(tree: Tree, folder: Path, suffixes: Sequence[str] = VOLUME_SUFFIXES) -> Iterator[tuple[Path, str]]:
    """The volumes of a folder, and their names without ending."""
    for path in tree.listing(folder).files:
        suffix = suffix_of(path.name)
        if suffix in suffixes:
            yield path, path.name[: -len(suffix)]
