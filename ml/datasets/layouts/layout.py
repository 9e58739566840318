"""The three layouts of a data set (docs/datasets.md), told apart by what lies in the folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ml.datasets.case import Case, DatasetError
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import ANNOTATIONS_FILE, IMAGE_SUFFIXES
from ml.datasets.layouts.coco import read_coco_folder
from ml.datasets.layouts.pairing import images_and_masks, images_beside_masks, pair, patient_of

LayoutName = Literal["patient folders", "images and masks", "COCO", "images only"]
SUBSETS = ("train", "valid", "test")


@dataclass(frozen=True)
class Layout:
    """A folder's slices, also those without a mask, and what the file names alone show to be wrong."""

    name: LayoutName
    folder: Path
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]


def list_cases(
    folder: Path, patients: Iterable[str] | None = None, *, is_truth_needed: bool = True
) -> tuple[Case, ...]:
    """All slices that have a mask, ordered by patient and name; only of `patients` where they are given.

    is_truth_needed: False lists slices without a mask as well, of any folder with images. Raises DatasetError where
    there are none.
    """
    wanted = None if patients is None else set(patients)
    usable = [case for case in find_layout(folder).cases if case.has_truth or not is_truth_needed]
    if not usable:
        raise _no_cases(folder)
    cases = tuple(case for case in usable if wanted is None or case.patient in wanted)
    if not cases:
        names = ", ".join(sorted(wanted or ())[:3])
        raise DatasetError(f"{folder} has no slices of the patients asked for ({names}); check their names.")
    return cases


def find_layout(folder: Path) -> Layout:
    """The layout of a folder with all its slices. Raises DatasetError where it is no folder or has no images."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the folder of the data set.")
    roots = [folder, *(folder / name for name in SUBSETS if (folder / name).is_dir())]
    if coco := [root for root in roots if (root / ANNOTATIONS_FILE).is_file()]:
        layout = _list_coco(folder, coco)
    elif pairs := [root for root in roots if (root / "images").is_dir() and (root / "masks").is_dir()]:
        layout = _list_pairs(folder, pairs)
    else:
        layout = _list_patients(folder)
    if not layout.cases:
        raise _no_cases(folder)
    return layout


def _list_coco(folder: Path, roots: list[Path]) -> Layout:
    cases: list[Case] = []
    problems: list[Problem] = []
    for root in roots:
        found, faults = read_coco_folder(root, _prefix(folder, root))
        problems.extend(faults)
        for path in sorted(set(_images_in(root)) - {case.image for case in found}):
            text = f"{ANNOTATIONS_FILE} does not name the image: annotate or remove it."
            problems.append(Problem("missing_mask", (path.relative_to(folder).as_posix(),), text))
        for case in found:
            if case.image.is_file():
                cases.append(case)
            else:
                text = f"{ANNOTATIONS_FILE} names an image that is not there: add it or remove its entry."
                problems.append(Problem("missing_image", (case.image.relative_to(folder).as_posix(),), text))
    return Layout("COCO", folder, tuple(cases), tuple(problems))


def _list_pairs(folder: Path, roots: list[Path]) -> Layout:
    cases: list[Case] = []
    problems: list[Problem] = []
    for root in roots:
        group = partial(patient_of, prefix=_prefix(folder, root))
        found, faults = pair(*images_beside_masks(root), group, folder)
        cases.extend(found)
        problems.extend(faults)
    cases.sort(key=lambda case: (case.patient, case.image))
    return Layout("images and masks", folder, tuple(cases), tuple(problems))


def _list_patients(folder: Path) -> Layout:
    """Patient folders; the folder's own images too, for a person who gives one patient's folder."""
    cases, problems = pair(*images_and_masks(folder), patient_of, folder)
    for directory in sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith(".")):
        found, faults = pair(*images_and_masks(directory), partial(_named, directory.name), folder)
        cases.extend(found)
        problems.extend(faults)
    has_masks = any(case.mask for case in cases)
    return Layout("patient folders" if has_masks else "images only", folder, tuple(cases), tuple(problems))


def _named(patient: str, _stem: str) -> str:
    """All images of a patient folder are this patient's."""
    return patient


def _images_in(folder: Path) -> list[Path]:
    return [
        path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]


def _prefix(folder: Path, root: Path) -> str:
    """What makes names of `train`, `valid` and `test` different from each other."""
    return "" if root == folder else f"{root.name}/"


def _no_cases(folder: Path) -> DatasetError:
    return DatasetError(
        f"{folder} has no patient folders with NAME.tif and NAME_mask.tif, no `images` and `masks`, and no"
        f" {ANNOTATIONS_FILE} (images and masks {', '.join(IMAGE_SUFFIXES)}); give the folder"
        " above them."
    )
