"""Which image a `file_name` of annotations means: the path that it says, else the one file of its last part's name.

People export where their images lie on a disk, on a server or behind a link (`C:\\data\\x.png`, `//server/share/x.png`,
`file:///data/x.png`, `https://host/x.png?token=1`): whoever moved them knows them by their names alone.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from ml.datasets.file_names import name_key
from ml.datasets.layouts.tree import Tree
from ml.datasets.mask_names import looks_like_mask

# What stands behind a path in a link.
_QUERY = re.compile(r"[?#].*", re.DOTALL)


class Found(NamedTuple):
    """path: None where no image is meant. is_by_name: whether the folders of the name lead nowhere.

    alike: how many images have that name; only of one is it said which.
    """

    path: Path | None
    is_by_name: bool = False
    alike: int = 0


class ImagePaths:
    """Looks images up below folders, the foremost first."""

    def __init__(self, tree: Tree, folders: Sequence[Path]) -> None:
        self._tree, self._folders = tree, folders
        self._by_name: dict[Path, dict[str, list[Path]]] = {}

    def find(self, written: str) -> Found:
        """The image of a `file_name`. Raises LinkOutError."""
        names = dict.fromkeys(path_of(text) for text in (written, unquote(written)))
        for name in filter(None, names):
            found = (self._tree.find(folder, name) for folder in self._folders)
            if path := next(filter(None, found), None):
                return Found(path)
        for name in dict.fromkeys(_last_parts(written)):
            for folder in self._folders:
                if alike := self._names_below(folder).get(name_key(name)):
                    return Found(alike[0] if len(alike) == 1 else None, True, len(alike))
        return Found(None)

    def _names_below(self, folder: Path) -> dict[str, list[Path]]:
        """The images below a folder, masks by their names not among them, by `name_key`."""
        if folder not in self._by_name:
            found: dict[str, list[Path]] = defaultdict(list)
            for here, _ in self._tree.walk(folder):
                for path in self._tree.images(here):
                    if not looks_like_mask(path.relative_to(folder).as_posix()):
                        found[name_key(path.name)].append(path)
            self._by_name[folder] = found
        return self._by_name[folder]


def path_of(written: str) -> str | None:
    """A path below a folder, with `/`; None where there is none or it leads out."""
    if not written or "\0" in written:
        return None
    path = PurePosixPath(posixpath.normpath(written.replace("\\", "/")))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return None
    return path.as_posix()


def _last_parts(written: str) -> Iterator[str]:
    """What the image may be called: without a link's query, or within it (`/files/?d=set/x.png`)."""
    text = written.replace("\\", "/")
    for one in (_QUERY.sub("", text), text):
        for name in (one.rpartition("/")[2], unquote(one).replace("\\", "/").rpartition("/")[2]):
            if name and "\0" not in name:
                yield name
