"""Which files a model predicts on, and the names of their results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.datasets.case import DatasetError
from ml.datasets.file_names import IMAGE_SUFFIXES
from ml.datasets.layouts.pairing import MASK_ENDING


@dataclass(frozen=True)
class Source:
    """A file to predict on. name: its place in the results, without suffix; unique among the sources."""

    path: Path
    name: str


def find_sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    """Files as they are given, and images of folders with all folders in them, expert masks (`_mask`) left out.

    Raises DatasetError where a path does not exist or a folder has no images.
    """
    found: list[tuple[Path, Path]] = []  # the file, and its place below what was given
    for path in paths:
        if path.is_file():
            found.append((path, Path(path.name)))
            continue
        if not path.is_dir():
            raise DatasetError(f"{path} does not exist; give an image or a folder with images.")
        images = sorted(item for item in path.rglob("*") if _is_image(item))
        if not images:
            raise DatasetError(f"{path} has no images ({', '.join(IMAGE_SUFFIXES)}); give another folder.")
        found.extend((image, image.relative_to(path)) for image in images)
    sources: list[Source] = []
    taken: set[str] = set()
    for path, place in found:
        name = place.with_suffix("").as_posix()
        number = 2
        while name in taken:  # a.png and a.tif, or two folders with equal names
            name, number = f"{place.with_suffix('').as_posix()}_{number}", number + 1
        taken.add(name)
        sources.append(Source(path, name))
    return tuple(sources)


def _is_image(path: Path) -> bool:
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not path.stem.endswith(MASK_ENDING)
        and not path.name.startswith(".")
        and path.is_file()
    )
