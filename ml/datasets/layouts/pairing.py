"""Which mask belongs to which image, by their names."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import IMAGE_SUFFIXES

MASK_ENDING = "_mask"
# A barcode of The Cancer Genome Atlas (project, site, participant), and the date of the study behind it.
_PATIENT = re.compile(r"TCGA[_-][A-Z0-9]{2}[_-][A-Z0-9]{4}(?:[_-]\d{8})?(?=[_-]|$)", re.ASCII)

# Files of one name: by stem.
Named = Mapping[str, Sequence[Path]]


def patient_of(stem: str, prefix: str = "") -> str:
    """The patient named at the start of a file name (TCGA_DU_6404_19850629_32), else the whole name with `prefix`."""
    match = _PATIENT.match(stem)
    return match[0] if match else prefix + stem


def images_and_masks(directory: Path) -> tuple[Named, Named]:
    """Images, and masks `NAME_mask` under NAME, of one folder."""
    by_stem = _by_stem(directory, IMAGE_SUFFIXES)
    images = {stem: paths for stem, paths in by_stem.items() if not stem.endswith(MASK_ENDING)}
    masks = {stem.removesuffix(MASK_ENDING): paths for stem, paths in by_stem.items() if stem.endswith(MASK_ENDING)}
    return images, masks


def images_beside_masks(directory: Path) -> tuple[Named, Named]:
    """Images of `directory/images`, and masks of equal name in `directory/masks` (`NAME_mask` is taken for NAME)."""
    images = _by_stem(directory / "images", IMAGE_SUFFIXES)
    masks: dict[str, list[Path]] = defaultdict(list)
    for stem, paths in _by_stem(directory / "masks", IMAGE_SUFFIXES).items():
        masks[stem if stem in images else stem.removesuffix(MASK_ENDING)].extend(paths)
    return images, masks


def pair(images: Named, masks: Named, patient: Callable[[str], str], folder: Path) -> tuple[list[Case], list[Problem]]:
    """A case for each image, in the order of the paths, and what does not match, by paths below `folder`."""
    cases: list[Case] = []
    problems: list[Problem] = []

    def report(code: str, paths: Sequence[Path], text: str) -> None:
        problems.append(Problem(code, tuple(path.relative_to(folder).as_posix() for path in paths), text))

    for stem, paths in images.items():
        found = masks.get(stem, ())
        if len(paths) > 1:
            report("doubled_image", paths, "One name, several images: keep one of them.")
        if not found:
            report("missing_mask", paths[:1], "The image has no mask: add one (all black if no tumor) or remove it.")
        if len(found) > 1:
            report("doubled_mask", found, "One image, several masks: keep one of them.")
        cases.extend(Case(patient(stem), path, found[0] if found else None) for path in paths)
    for stem, paths in masks.items():
        if stem not in images:
            report("mask_without_image", paths, "The mask belongs to no image: add the image or remove the mask.")
    return sorted(cases, key=lambda case: case.image), problems


def _by_stem(directory: Path, suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    """Files with one of the suffixes, in the order of the suffixes where several share a name."""
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(directory.iterdir()):
        # Hidden files (._NAME.tif of macOS) are not part of the data.
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file():
            files[path.stem].append(path)
    for paths in files.values():
        paths.sort(key=lambda path: suffixes.index(path.suffix.lower()))
    return dict(files)
