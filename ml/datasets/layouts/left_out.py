"""What lies in a data set's folder and is no part of it: named, so that nobody takes it for evaluated."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import IMAGE_SUFFIXES, OTHER_SUFFIXES, suffix_of
from ml.datasets.layouts.tree import Tree


def find_strays(tree: Tree, folder: Path, base: Path, used: Iterable[Path], skipped: frozenset[Path]) -> list[Problem]:
    """One finding for each folder and ending of images that are not in `used`; their paths relative to `base`."""
    known = set(used)
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for here, listing in tree.walk(folder, skipped):
        for path in listing.files:
            suffix = suffix_of(path.name)
            if path not in known and suffix in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES):
                groups[here, suffix].append(path)
    return [
        Problem("left_out", tuple(relative(path, base) for path in paths), _sentence(suffix, len(paths)))
        for (_, suffix), paths in sorted(groups.items())
    ]


def relative(path: Path, base: Path) -> str:
    """With `/`, and `..` where the path lies beside the base."""
    return Path(os.path.relpath(path, base)).as_posix()


def _sentence(suffix: str, count: int) -> str:
    files = f"{count:,} file{'s' if count > 1 else ''}"
    if suffix in OTHER_SUFFIXES:
        return f"{files} of the kind {suffix}, which is not read in a data set: export slices as PNG or TIFF."
    return f"{files} where the layout has no images: left out; move them to the others if they belong to the data set."
