"""Is a data set sound? Names, readability, sizes, masks and doubles of every file, and an analysis of what is there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ml.datasets.analysis import Analysis, PatientCounts, analyze, count_by_patient
from ml.datasets.case import Case
from ml.datasets.checking.file_checks import FileCheck, check_files
from ml.datasets.checking.problems import DROPPING_NOTES, WARNING_CODES, LeftOut, Problem
from ml.datasets.digest import digest_of
from ml.datasets.duplicates import count_duplicates, find_duplicates
from ml.datasets.layouts.coco import Category
from ml.datasets.layouts.glances import OF_ALPHA, TRANSPARENT
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.search import find_layout, no_truth
from ml.datasets.mask_findings import (
    COVERS_HEAD,
    COVERS_SLICE,
    MASK_FINDINGS,
    NON_BINARY,
    OUTSIDE_HEAD,
    PICTURE,
    DoubtfulMasks,
    MaskTraits,
    count_doubtful,
    find_doubtful,
)
from ml.datasets.volume_slices import file_of
from ml.scans import WARNINGS as READER_WARNINGS

# Wraps the file checks while they are made, with their number: a progress bar.
Progress = Callable[[Iterable[FileCheck], int], Iterable[FileCheck]]
# Makes the file checks: `check_files`, or a `FileChecker`'s.
CheckFiles = Callable[[Sequence[Case]], Iterable[FileCheck]]


@dataclass(frozen=True)
class Report:
    """The result of `check`.

    warnings: what leaves the data set sound, and a person should look at. doubtful_masks: how many masks show signs of
    not being an expert's. analysis: of the slices whose image and mask are good. data_sha256: the data's digest
    (`ml.datasets.digest`), None where there are problems. patients: counts of each patient, of good slices. left_out:
    the files that no evaluation takes. sides: patients of each side where the data set comes divided, else empty.
    categories: COCO's. duplicate_slices: how many of those with masks that can be compared are another patient's, too.
    """

    layout: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    doubtful_masks: DoubtfulMasks
    analysis: Analysis
    data_sha256: str | None
    patients: tuple[PatientCounts, ...]
    left_out: tuple[LeftOut, ...] = ()
    sides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()
    duplicate_slices: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Plain values, keys as the fields."""
        return {"is_sound": self.is_sound, **asdict(self)}


@dataclass(frozen=True)
class CheckResult:
    """A report, and of each of the layout's cases, in their order, the check of its files, and what is doubtful about
    its mask (codes of `ml.datasets.mask_findings`)."""

    report: Report
    file_checks: tuple[FileCheck, ...]
    mask_codes: tuple[tuple[str, ...], ...]


def check(folder: Path, progress: Progress = lambda checks, _: checks, *, is_binary_needed: bool = True) -> Report:
    """Read every file of a data set. Never raises for what a file holds.

    is_binary_needed: False lets masks have the values of several classes. Raises DatasetError where the folder has no
    images or no masks at all.
    """
    layout = find_layout(folder)
    if not layout.has_truth:
        raise no_truth(layout, folder)
    return check_layout(layout, progress, is_binary_needed=is_binary_needed).report


def check_layout(
    layout: Layout,
    progress: Progress = lambda checks, _: checks,
    *,
    is_binary_needed: bool = True,
    check_files: CheckFiles = check_files,
) -> CheckResult:
    """Read every file of a layout; one without any mask is checked for all the rest."""
    folder, cases = layout.base, layout.cases
    file_checks = list(progress(check_files(cases), len(cases)))
    has_masks = layout.has_truth
    found = list(layout.problems)
    good: list[tuple[Case, FileCheck]] = []
    for case, file_check in zip(cases, file_checks, strict=True):
        faults = list(_find_faults(folder, case, file_check, is_binary_needed))
        found.extend(faults)
        if not faults and case.fault is None and (file_check.tumor_pixels is not None or not has_masks):
            good.append((case, file_check))
    found.extend(_find_duplicates(folder, cases, file_checks))
    masks = [
        _traits(file_check, is_binary_needed) if case.fault is None else None
        for case, file_check in zip(cases, file_checks, strict=True)
    ]
    found.extend(_find_exchanged(layout, masks))
    patients = [case.patient for case in cases]
    doubtful = find_doubtful(masks, patients)
    for case, file_check, codes in zip(cases, file_checks, doubtful, strict=True):
        found.extend(_find_warnings(folder, case, file_check, codes))
    found.extend(_find_emptiness(zip(cases, file_checks, strict=True)))
    found.extend(_find_empty_volumes(layout, file_checks))
    if not has_masks:
        found.extend(_find_transparent(file_checks))
    found = list(dict.fromkeys(found))  # a volume that cannot be read says so for each slice
    found.sort(key=lambda problem: (problem.files, problem.code))
    problems = tuple(problem for problem in found if not problem.is_warning)
    counts = count_by_patient(good)
    report = Report(
        layout=layout.name,
        problems=problems,
        warnings=tuple(problem for problem in found if problem.is_warning),
        doubtful_masks=count_doubtful(masks, patients),
        analysis=analyze(good),
        data_sha256=None if problems else digest_of(layout.folder, cases, file_checks),
        patients=counts,
        left_out=layout.left_out,
        sides=layout.sides,
        categories=layout.categories,
        duplicate_slices=count_duplicates(
            (case.patient, mask.pixels_sha256) for case, mask in zip(cases, masks, strict=True) if mask is not None
        ),
    )
    return CheckResult(report, tuple(file_checks), tuple(doubtful))


def _find_faults(folder: Path, case: Case, file_check: FileCheck, is_binary_needed: bool) -> Iterable[Problem]:
    """What is wrong with one case's files."""
    image, mask = _names(folder, case)
    if file_check.image_error is not None:
        yield Problem("unreadable_image", (image,), file_check.image_error)
    if file_check.mask_error is not None:
        yield Problem("unreadable_mask", (mask,), file_check.mask_error)
    size, mask_size = file_check.image_size, file_check.mask_size
    if size is not None and mask_size is not None and tuple(size) != tuple(mask_size):
        (height, width), (mask_height, mask_width) = size, mask_size
        text = (
            f"The image has {width} x {height} pixels and its mask {mask_width} x {mask_height}:"
            " export both from one series, on one grid."
        )
        yield Problem("unequal_size", (image,) if mask == image else (image, mask), text)
    if file_check.is_binary is False and is_binary_needed:
        found = f"{file_check.value_count} different values{', none of them 0' if file_check.value_count == 2 else ''}"
        text = (
            f"The mask has {found}; it must have 0 for background and one other for tumor: set a threshold and export"
            " it again, without interpolation."
        )
        yield Problem("non_binary_mask", (mask,), text)


def _find_warnings(folder: Path, case: Case, file_check: FileCheck, mask_codes: Sequence[str]) -> Iterable[Problem]:
    """What a reader dropped of the image, and what makes the mask doubtful."""
    image, mask = _names(folder, case)
    for code in file_check.image_notes:
        if code in DROPPING_NOTES:
            yield Problem(code, (image,), f"{READER_WARNINGS[code]} Store the channels that you mean.")
    for code in mask_codes:
        if code in WARNING_CODES:
            yield Problem(code, (mask,), MASK_FINDINGS[code].message)


def _traits(file_check: FileCheck, is_binary_needed: bool) -> MaskTraits | None:
    """Of a mask of several classes its values are no sign."""
    traits = file_check.mask_traits
    if traits is None or is_binary_needed:
        return traits
    return replace(traits, codes=tuple(code for code in traits.codes if code != NON_BINARY))


def _find_exchanged(layout: Layout, masks: Sequence[MaskTraits | None]) -> Iterable[Problem]:
    """One problem where most masks with tumor cannot be what an expert drew: no figure of such data means anything."""
    with_tumor = [
        (case, mask)
        for case, mask in zip(layout.cases, masks, strict=True)
        if mask is not None and mask.truth_sha256 is not None
    ]
    heads = [case for case, mask in with_tumor if COVERS_HEAD in mask.codes]
    doubtful = [case for case, mask in with_tumor if {COVERS_SLICE, OUTSIDE_HEAD}.intersection(mask.codes)]
    pictures = [case for case, mask in with_tumor if PICTURE in mask.codes]
    if 2 * len(pictures) > len(with_tumor):
        text = (
            f"{len(pictures):,} of {len(with_tumor):,} masks with tumor look like scans, or like scans with something"
            " drawn on them: images and masks seem to be exchanged, or overlays were saved as masks. Give the labels, 0"
            " for background."
        )
        yield Problem("exchanged_masks", (_names(layout.base, pictures[0])[1],), text)
    elif 2 * len(heads) > len(with_tumor):
        text = (
            f"{len(heads):,} of {len(with_tumor):,} masks with tumor cover most of the head: they seem to be masks of"
            " the brain. Give the tumor's."
        )
        yield Problem("exchanged_masks", (_names(layout.base, heads[0])[1],), text)
    elif 2 * len(doubtful) > len(with_tumor):
        text = (
            f"{len(doubtful):,} of {len(with_tumor):,} masks with tumor cover most of their slice, or a corner outside"
            " the head: background and tumor seem to be exchanged. Export the masks again with 0 as background."
        )
        yield Problem("exchanged_masks", (_names(layout.base, doubtful[0])[1],), text)


def _find_emptiness(pairs: Iterable[tuple[Case, FileCheck]]) -> Iterable[Problem]:
    """A set whose masks all are empty may be of healthy heads, or have lost its tumors on export.

    Of annotations their reader says it (`no_annotations`).
    """
    usable = [seen for case, seen in pairs if case.fault is None and case.mask is not None]
    masks = [seen.tumor_pixels for seen in usable if seen.tumor_pixels is not None]
    if masks and not any(masks):
        text = (
            f"Not one of {len(masks):,} masks has a pixel of tumor: export them again if there are tumors; of healthy"
            " heads only false alarms can be told."
        )
        yield Problem("empty_masks", (), text)


def _find_transparent(file_checks: Sequence[FileCheck]) -> Iterable[Problem]:
    """Images that have no masks and a channel that may be one."""
    count = sum(TRANSPARENT in seen.image_notes for seen in file_checks)
    if 2 * count > len(file_checks):
        yield Problem("transparent_images", (), f"{count:,} of {len(file_checks):,} images {OF_ALPHA}")


def _find_empty_volumes(layout: Layout, file_checks: Sequence[FileCheck]) -> Iterable[Problem]:
    """DICOM masks without a voxel of tumor: a head without one, or an export that lost it."""
    pixels: dict[Path, int] = {}
    for case, seen in zip(layout.cases, file_checks, strict=True):
        if layout.name == "DICOM" and case.mask is not None and seen.tumor_pixels is not None:
            mask = file_of(case.mask)
            pixels[mask] = pixels.get(mask, 0) + seen.tumor_pixels
    for mask in (mask for mask, count in pixels.items() if not count):
        text = "The mask has not one voxel of tumor: export it again if there is a tumor."
        yield Problem("empty_mask", (mask.relative_to(layout.base).as_posix(),), text)


def _names(folder: Path, case: Case) -> tuple[str, str]:
    """Image and mask below the data set's folder; polygons are called as their image."""
    image = file_of(case.image).relative_to(folder).as_posix()
    return image, image if case.mask is None else file_of(case.mask).relative_to(folder).as_posix()


def _find_duplicates(folder: Path, cases: Sequence[Case], file_checks: Sequence[FileCheck]) -> Iterable[Problem]:
    """Images with equal pixels in different patients: a split by patient would not keep them apart."""
    usable = [(case, seen) for case, seen in zip(cases, file_checks, strict=True) if case.fault is None]
    for places in find_duplicates((case.patient, seen.pixels_sha256) for case, seen in usable):
        files = tuple(usable[place][0].image.relative_to(folder).as_posix() for place in places)
        text = (
            "The images are equal and belong to different patients, and all of them count: keep one, or put them into"
            " one patient."
        )
        yield Problem("duplicate_image", files, text)
