"""Data sets of DICOM series with DICOM SEG or RTSTRUCT as experts' masks, wherever in the folder they lie.

A mask belongs to the series whose UID it refers to, whatever the names. A series with a mask is a patient whose axial
slices are the cases, as a NIfTI volume is. Patients are called as the first folder below the set's.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.dicom_headers import DicomHeaders, MaskFile, OtherFile, SeriesFile, dicom_headers
from ml.datasets.file_names import DICOM_SUFFIXES, is_text, name_key, natural_key, shown, suffix_of
from ml.datasets.layouts.categories import is_tumor
from ml.datasets.layouts.roots import SUBSETS
from ml.datasets.layouts.tree import LinkOutError, Tree
from ml.datasets.layouts.volumes import VolumeSet
from ml.datasets.volume_slices import VolumeSlice, slice_path
from ml.scans.readers.dicom.regions import names_tumor
from ml.scans.scan import EMPTY
from ml.volumes.axial import stack_shape, stack_spacing_mm

# Files whose headers are read; a larger archive is no data set of one evaluation.
MOST_FILES = 50_000
# SEG and RTSTRUCT (PS3.4 B.5). The class stands before all that describes patient and pixels (PS3.10 7.1).
_MASK_CLASSES = (b"1.2.840.10008.5.1.4.1.1.66.4", b"1.2.840.10008.5.1.4.1.1.481.3")
_HEAD_BYTES = 16_384
_LONELY = (
    "The {what} refers to a series that is not in the folder: add the series that it was drawn on, or remove the mask."
)
_OF_UNREAD = (
    "The {what} refers to a series that is there and is not read ({reason}): bring its outlines onto the MR series, for"
    " example in 3D Slicer, and export them as a DICOM SEG or RTSTRUCT of that series."
)
_DOUBLED = (
    "They are masks of one series{called}, and not one alone of them is called as a tumor: keep one, or name the"
    " tumor's region as such."
)
_NO_TUMORS = (
    "A mask of brain, an organ or the like by the names of its regions, no tumor's, so it is not used: name its region"
    " as a tumor if it is one."
)
_SPARE = "Masks of a series of which another mask is called as a tumor, and taken: remove that one if these are right."
_NAMES_SHOWN, _LONGEST_NAME = 6, 32
_MISSING = (
    "The series has no mask: add a DICOM SEG or RTSTRUCT that refers to it (empty if no tumor), or remove the series."
)
_UNUSED = "Series of a patient of whom another one is read, the one with a mask, and of several FLAIR: not read."
_LINK_OUT = "The file is a link that leads out of the data: copy the file itself."
_NOT_TEXT = "The file has a name that is not UTF-8: rename it."


@dataclass
class _Series:
    """uid: of the series; patient: a digest, or the folder where the header names nobody. side: of a divided set."""

    uid: str
    patient: str
    name: str
    side: str | None
    is_flair: bool | None
    files: list[Path] = field(default_factory=list)
    masks: dict[Path, MaskFile] = field(default_factory=dict)

    @property
    def first(self) -> Path:
        """What it is called by."""
        return self.files[0]


def list_dicom(tree: Tree, folder: Path) -> VolumeSet:
    """The series and masks below a folder; nothing where no file is a DICOM SEG or RTSTRUCT."""
    named = (path for _, listing in tree.walk(folder) for path in listing.files)
    files = [path for path in named if suffix_of(path.name) in DICOM_SUFFIXES][:MOST_FILES]
    problems: list[Problem] = []
    readable = [path for path in files if _is_readable(tree, folder, path, problems)]
    if not any(map(_may_be_mask, readable)):
        return VolumeSet()
    with dicom_headers(readable) as headers:
        found = {path: headers.describe(path) for path in readable}
        if not any(isinstance(one, MaskFile) for one in found.values()):
            return VolumeSet()
        around = _around_patients(folder, found)
        series = _series_of(folder, around, found)
        problems += _give_masks(folder, around, series, found)
        problems += [
            Problem("left_out", (_relative(folder, path),), one.message)
            for path, one in found.items()
            if isinstance(one, OtherFile)
        ]
        read, unused = _choose(series.values())
        if unused:
            problems.append(Problem("left_out", tuple(_relative(folder, one.first) for one in unused), _UNUSED))
        problems += _find_other_sequences(folder, read)
        cases = [(case, one.side) for one in read for case in _cases(folder, one, headers, problems)]
    return VolumeSet(tuple(cases), tuple(problems), tuple(files))


def _may_be_mask(path: Path) -> bool:
    """Whether a file's first bytes name the class of a mask: that of every file's header would take minutes."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return any(uid in head for uid in _MASK_CLASSES)


def _is_readable(tree: Tree, folder: Path, path: Path, problems: list[Problem]) -> bool:
    if not path.stat().st_size:  # also what a zip has in place of a kind that is not read
        problems.append(Problem("left_out", (_relative(folder, path),), f"The file {EMPTY}."))
        return False
    try:
        tree.check(path)
    except LinkOutError:
        problems.append(Problem("left_out", (_relative(folder, path),), _LINK_OUT))
        return False
    if not is_text(str(path)):
        problems.append(Problem("bad_name", (_relative(folder, path),), _NOT_TEXT))
        return False
    return True


def _series_of(
    folder: Path, around: Path, found: Mapping[Path, SeriesFile | MaskFile | OtherFile]
) -> dict[tuple[str, str], _Series]:
    """The series by their UIDs and patients, their files in the order of their names. Some programs that de-identify
    give all patients one UID: whom no header names is told by the folder."""
    series: dict[tuple[str, str], _Series] = {}
    for path in sorted(found, key=lambda one: natural_key(one.relative_to(folder).as_posix())):
        one = found[path]
        if not isinstance(one, SeriesFile):
            continue
        side, name = _place(around, path)
        key = one.series, one.patient or name
        if key not in series:
            series[key] = _Series(one.series, one.patient or name, name, side, one.is_flair)
        series[key].files.append(path)
    return series


def _around_patients(folder: Path, found: Mapping[Path, SeriesFile | MaskFile | OtherFile]) -> Path:
    """The folder around the series of all patients, where there are several: NBIA's `manifest-1/COLLECTION/P1`. A side
    is a part of the set."""
    places = {path.parent: one.patient for path, one in found.items() if isinstance(one, SeriesFile)}
    if len({patient for patient in places.values() if patient}) < 2:
        return folder
    around = folder
    for part in Path(os.path.commonpath(places)).relative_to(folder).parts:
        if name_key(part) in SUBSETS or around / part in places:
            break
        around /= part
    return around


def _place(folder: Path, path: Path) -> tuple[str | None, str]:
    """The side and the name of the patient by the folders around a file."""
    parts = path.relative_to(folder).parts[:-1]
    side = SUBSETS.get(name_key(parts[0])) if parts else None
    inner = parts[1:] if side is not None else parts
    return side, inner[0] if inner else (parts[0] if parts else folder.absolute().name)


def _give_masks(
    folder: Path,
    around: Path,
    series: Mapping[tuple[str, str], _Series],
    found: Mapping[Path, SeriesFile | MaskFile | OtherFile],
) -> Iterator[Problem]:
    """Give each mask to the series that it refers to, of several patients' to that in its own folder, and of several of
    a patient to FLAIR, if one of them is. Of several of one series that is taken which alone is called as a tumor; none
    of them is whose regions are all something else."""
    others = [
        path
        for path, one in found.items()
        if isinstance(one, MaskFile) and one.regions and not any(map(is_tumor, one.regions))
    ]
    if others:
        yield Problem("left_out", tuple(_relative(folder, path) for path in others), _NO_TUMORS)
    others_by_uid = {one.series: one for one in found.values() if isinstance(one, OtherFile) and one.series}
    for path, one in found.items():
        if not isinstance(one, MaskFile) or path in others:
            continue
        named = [owner for (uid, _), owner in series.items() if uid in one.refers]
        near = [owner for owner in named if owner.name == _place(around, path)[1]]
        owners = near if len({owner.patient for owner in named}) > 1 else named
        flair = [owner for owner in owners if owner.is_flair]
        for owner in flair if len(flair) == 1 else owners:
            owner.masks[path] = one
        if not owners:
            unread = next(filter(None, map(others_by_uid.get, one.refers)), None)
            reason = "" if unread is None else _as_reason(unread.message)
            text = _OF_UNREAD.format(what=one.what, reason=reason) if reason else _LONELY.format(what=one.what)
            yield Problem("mask_without_image", (_relative(folder, path),), text)
    spare: dict[Path, None] = {}
    for owner in series.values():
        tumors = {path: one for path, one in owner.masks.items() if any(map(names_tumor, one.regions))}
        if len(tumors) == 1:
            spare |= dict.fromkeys(path for path in owner.masks if path not in tumors)
            owner.masks = tumors
    if spare:
        yield Problem("left_out", tuple(_relative(folder, path) for path in spare), _SPARE)


def _as_reason(sentence: str) -> str:
    """What stands before a sentence's remedy, to be put in brackets."""
    reason = sentence.partition(";")[0].rstrip(".")
    return reason[:1].lower() + reason[1:]


def _choose(series: Iterable[_Series]) -> tuple[list[_Series], list[_Series]]:
    """The series to read, called as their patients, and the others: of a patient those with masks, and of several
    FLAIR, where the headers name one alone."""
    by_patient: dict[str, list[_Series]] = defaultdict(list)
    for one in series:
        by_patient[one.patient].append(one)
    names: dict[str, int] = defaultdict(int)
    read: list[_Series] = []
    unused: list[_Series] = []
    for own in by_patient.values():
        candidates = [one for one in own if one.masks] or own
        flair = [one for one in candidates if one.is_flair]
        kept = flair if len(flair) == 1 else candidates
        unused += [one for one in own if one not in kept]
        name = own[0].name  # one patient in two folders is one
        names[name] += 1
        whole = name if names[name] == 1 else f"{name} {names[name]}"
        for number, one in enumerate(kept, 1):
            one.name = whole if len(kept) == 1 else f"{whole}/series {number}"
        read += kept
    return sorted(read, key=lambda one: natural_key(one.name)), unused


def _find_other_sequences(folder: Path, read: Sequence[_Series]) -> Iterator[Problem]:
    """How many series with a mask are no FLAIR by their headers, as where the tumor was drawn on T1 after contrast."""
    compared = [one for one in read if one.masks]
    others = [one for one in compared if one.is_flair is False]
    if others:
        text = (
            f"By their headers {len(others):,} of {len(compared):,} series with a mask are no FLAIR, which the models"
            f" read (the first: {shown(others[0].name)}): figures of these say nothing of what a model finds on FLAIR."
            " Export the masks on the FLAIR series, or leave these out."
        )
        yield Problem("not_flair", tuple(_relative(folder, one.first) for one in others), text)


def _cases(folder: Path, series: _Series, headers: DicomHeaders, problems: list[Problem]) -> list[Case]:
    """The slices of a series; one case with the reason where none can be used."""
    mask = next(iter(series.masks), None)

    def fault(code: str, paths: Sequence[Path], text: str) -> list[Case]:
        problems.append(Problem(code, tuple(_relative(folder, path) for path in paths), text))
        return [Case(series.name, series.first, mask, fault=problems[-1])]

    if len(series.masks) > 1:
        return fault("doubled_mask", list(series.masks), _DOUBLED.format(called=_called(series.masks.values())))
    grid = headers.grid(series.files)
    if isinstance(grid, str):
        return fault("unreadable_image", [series.first], grid)
    if mask is None:
        problems.append(Problem("missing_mask", (_relative(folder, series.first),), _MISSING))
    shape = stack_shape(grid)
    slice_mm, row_mm, column_mm = (round(distance, 6) for distance in stack_spacing_mm(grid, shape))
    volume = VolumeSlice(shape[0], (slice_mm, row_mm, column_mm), series=tuple(series.files))
    return [
        Case(
            series.name,
            slice_path(series.first, index),
            None if mask is None else slice_path(mask, index),
            volume=volume,
        )
        for index in range(shape[0])
    ]


def _called(masks: Iterable[MaskFile]) -> str:
    """What the regions of several masks are called, each name once."""
    names = list(dict.fromkeys(shown(name)[:_LONGEST_NAME] for one in masks for name in one.regions if name.strip()))
    first, more = names[:_NAMES_SHOWN], len(names) - _NAMES_SHOWN
    last = f"{more} more" if more > 0 else first.pop() if len(first) > 1 else ""
    return f" (called {', '.join(first)}{f' and {last}' if last else ''})" if names else ""


def _relative(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
