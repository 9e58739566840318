"""Which mask belongs to which image, by their names."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import IMAGE_SUFFIXES, name_key
from ml.datasets.mask_names import MASK_ENDING, is_read_as_mask

# A barcode of The Cancer Genome Atlas (project, site, participant), and the date of the study behind it.
_PATIENT = re.compile(r"TCGA[_-][A-Z0-9]{2}[_-][A-Z0-9]{4}(?:[_-]\d{8})?(?=[_-]|$)", re.ASCII)

# Files of one name: by stem.
Named = Mapping[str, Sequence[Path]]


def patient_of(stem: str, prefix: str = "") -> str:
    """The patient named at the start of a file name (TCGA_DU_6404_19850629_32), else the whole name with `prefix`."""
    match = _PATIENT.match(stem)
    return match[0] if match else prefix + stem


def images_and_masks(files: Iterable[Path]) -> tuple[Named, Named]:
    """Images, and masks `NAME_mask` under NAME, of one folder."""
    by_stem = _by_stem(files)
    images = {stem: paths for stem, paths in by_stem.items() if not is_read_as_mask(stem)}
    masks: dict[str, list[Path]] = defaultdict(list)
    for stem, paths in by_stem.items():
        if is_read_as_mask(stem):
            masks[stem[: -len(MASK_ENDING)]].extend(paths)
    return images, _named_as(images, masks)


def images_beside_masks(image_files: Iterable[Path], mask_files: Iterable[Path]) -> tuple[Named, Named]:
    """Images of one folder, and masks of equal name in another (`NAME_mask` is taken for NAME)."""
    images = _by_stem(image_files)
    keys = {name_key(stem) for stem in images}
    masks: dict[str, list[Path]] = defaultdict(list)
    for stem, paths in _by_stem(mask_files).items():
        has_ending = is_read_as_mask(stem) and name_key(stem) not in keys
        masks[stem[: -len(MASK_ENDING)] if has_ending else stem].extend(paths)
    return images, _named_as(images, masks)


def _named_as(images: Named, masks: Named) -> Named:
    """The masks under the names of their images, where the two are written differently (`Scan.png`, `scan_mask.png`).

    A name that several images or several masks have in some case stays as it is.
    """
    lonely_images, lonely_masks = defaultdict(list), defaultdict(list)
    for stem in images:
        if stem not in masks:
            lonely_images[name_key(stem)].append(stem)
    for stem in masks:
        if stem not in images:
            lonely_masks[name_key(stem)].append(stem)
    names = {
        stems[0]: lonely_images[key][0]
        for key, stems in lonely_masks.items()
        if len(stems) == 1 and len(lonely_images.get(key, ())) == 1
    }
    return {names.get(stem, stem): paths for stem, paths in masks.items()}


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


def _by_stem(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Images by name, in the order of the suffixes where several share one."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        found[path.stem].append(path)
    for paths in found.values():
        paths.sort(key=lambda path: IMAGE_SUFFIXES.index(path.suffix.lower()))
    return dict(found)
