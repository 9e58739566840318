"""Data sets of NIfTI volumes: BraTS' folders and nnU-Net's `imagesTr` and `labelsTr`. A volume is a patient whose axial
slices are the cases.

FLAIR is read with T1 before and after contrast where all three are there and on one grid, else FLAIR alone. A patient
of whom no slice can be told (no FLAIR, a mask on other voxels) is one case with the reason: it fails, it is not left
out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import (
    DATASET_JSON,
    MASK_VOLUME_SUFFIXES,
    VOLUME_SUFFIXES,
    is_text,
    name_key,
    natural_key,
    shown,
    suffix_of,
)
from ml.datasets.layouts.categories import is_tumor
from ml.datasets.layouts.copies import copies_of, copy_problems
from ml.datasets.layouts.sequences import Sequence as Kind
from ml.datasets.layouts.sequences import says_flair, sequence_of_channel, split_brats_name
from ml.datasets.layouts.tree import LinkOutError, Tree
from ml.datasets.layouts.unknown import UnknownLayoutError
from ml.datasets.layouts.volume_masks import (
    choose_masks,
    find_automatic_masks,
    find_cavities,
    is_volume_mask,
    join_drawn,
    join_masks,
)
from ml.datasets.layouts.volume_patients import VolumePatient, volumes_in
from ml.datasets.mask_names import doubtful_word, mask_sign
from ml.datasets.volume_headers import read_headers
from ml.datasets.volume_slices import VolumeSlice, slice_path
from ml.scans.scan import EMPTY
from ml.volumes.axial import stack_shape, stack_spacing_mm
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import is_same_lattice
from ml.volumes.places import unplaced, why_unplaced
from ml.volumes.planes import stack_affine

MOST_JSON_BYTES = 2**26
# Folders of images and of labels, and the side that each pair is.
_NNUNET = (("imagestr", "labelstr", "train"), ("imagests", "labelsts", "test"))
# 3D Slicer's ending of a segmentation is `.seg.nrrd`.
_SLICER = ".seg"
_SAME_MM = 0.1
_LONELY = (
    "The mask is no volume's by its name: call it as its volume with `_seg` behind it (of several of one volume join"
    " those of parts of the tumor, or take one person's), add the volume, or remove the mask."
)
_UNNAMED = f" ({DATASET_JSON} does not name all of its channels)"
_WITHOUT_LABELS = (
    "nnU-Net's test images, whose labels are not there: add them as `labelsTs` (`imagesTs/P1_0000.nii.gz` and"
    " `labelsTs/P1.nii.gz`) to have these evaluated, too."
)
_MISSING = "The volume has no mask: add one (all 0 if no tumor) or remove the volume."


@dataclass(frozen=True)
class VolumeSet:
    """What a folder of volumes holds. used: all files that belong to it, also those that no figure needs."""

    cases: tuple[tuple[Case, str | None], ...] = ()
    problems: tuple[Problem, ...] = ()
    used: tuple[Path, ...] = ()

    @property
    def has_truth(self) -> bool:
        """Whether one case at least has a mask."""
        return any(case.has_truth for case, _ in self.cases)


def list_brats(tree: Tree, folder: Path) -> VolumeSet:
    """Folders of patients, or the files of patients in the folder itself, by the names of BraTS."""
    patients: list[VolumePatient] = []
    folders = tree.listing(folder).folders
    copies = copies_of(tree, [path for path in folders if any(volumes_in(tree, path))])
    for place in (folder, *(path for path in folders if path not in copies)):
        by_base: dict[str, VolumePatient] = {}
        drawn: list[Path] = []
        for path, stem in [*volumes_in(tree, place), *volumes_in(tree, place, MASK_VOLUME_SUFFIXES)]:
            named = split_brats_name(stem)
            is_scan = named is not None and named[1] is not Kind.SEG
            if named is not None and not (is_scan and suffix_of(path.name) in MASK_VOLUME_SUFFIXES):
                base, kind = named
                by_base.setdefault(base, VolumePatient(base or place.name)).files[kind].append(path)
            elif named is None and place != folder and is_volume_mask(path, place):
                drawn.append(path)
        _drop_doubtful(by_base)
        if place != folder and not any(patient.first(Kind.FLAIR) for patient in by_base.values()):
            _take_described_flair(tree, place, by_base)
        join_masks(by_base, folder, is_one_patient=place != folder)
        join_drawn(by_base.values(), drawn)
        # T1 and T2 alone are endings that any file may have.
        found = [patient for patient in by_base.values() if patient.first(Kind.FLAIR) or patient.first(Kind.SEG)]
        if len(found) == 1 and place != folder:
            found[0].name = place.name
        elif place != folder:
            for patient in found:
                patient.name = f"{place.name}/{patient.name}"
        patients += found
    return list_volumes(tree, folder, patients, list(copy_problems(copies, tree, folder)))


def _drop_doubtful(by_base: dict[str, VolumePatient]) -> None:
    """Leave out sequences that may be masks drawn on them (`P1_lesion_flair`), where another patient of the folder has
    FLAIR by the rest of the name (`P1_flair`): nobody's scans, and no truth by their names either."""
    words = {base: doubtful_word(base) for base, patient in by_base.items() if Kind.SEG not in patient.files}
    owners = {base: by_base.get(base[: -len(word)]) for base, word in words.items() if len(word) > len("_m")}
    for base, owner in owners.items():
        if owner is not None and owner.first(Kind.FLAIR):
            del by_base[base]


def _take_described_flair(tree: Tree, place: Path, by_base: dict[str, VolumePatient]) -> None:
    """Give a patient's folder without FLAIR by its names the one volume whose name says it elsewhere, as dcm2niix
    has it (`P1_AX_T2_FLAIR_20190304101112_5`)."""
    found = [
        (path, stem)
        for path, stem in volumes_in(tree, place)
        if says_flair(stem) and not is_volume_mask(path, place) and not mask_sign(path.name)
    ]
    if len(found) == 1:
        ((path, stem),) = found
        by_base.setdefault(stem, VolumePatient(stem)).files[Kind.FLAIR].append(path)


def has_nnunet(tree: Tree, folder: Path) -> bool:
    """Whether nnU-Net's folders of images are there, with volumes in them: pictures are not read from these."""
    places = (tree.folder(folder, [images]) for images, _, _ in _NNUNET)
    return any(place is not None and any(volumes_in(tree, place)) for place in places)


def list_nnunet(tree: Tree, folder: Path) -> VolumeSet:
    """`imagesTr/CASE_0000.nii.gz` with `labelsTr/CASE.nii.gz`, channels as dataset.json names them; `imagesTs` where
    `labelsTs` is there too. Raises UnknownLayoutError where dataset.json cannot say which channel is FLAIR."""
    path = next((path for path in tree.listing(folder).files if name_key(path.name) == DATASET_JSON), None)
    if path is None:
        text = f"It has nnU-Net's folders and no {DATASET_JSON}, which says which channel (_0000) is FLAIR: add it"
        lacks_labels = not tree.folders(folder, [labels for _, labels, _ in _NNUNET])
        text += (
            ", and the labels (`labelsTr`, `labelsTs`), without which nothing can be compared." if lacks_labels else "."
        )
        raise UnknownLayoutError(folder, text)
    tree.check(path)
    document = _read_json(folder, path)
    channels = _channels(folder, document)
    problems: list[Problem] = []
    patients: list[VolumePatient] = []
    used = [path]
    for images_name, labels_name, side in _NNUNET:
        images, labels = tree.folder(folder, [images_name]), tree.folder(folder, [labels_name])
        if images is None:
            continue
        if labels is None and side == "test" and patients:
            names = tuple(image.relative_to(folder).as_posix() for image, _ in volumes_in(tree, images))
            problems += [Problem("left_out", names, _WITHOUT_LABELS)] if names else []
            continue
        found = _list_side(tree, images, labels, channels, side)
        patients += found
        if side == "train":
            problems += _check_count(folder, path, document, len(found), [labels] if labels else [])
    return list_volumes(tree, folder, patients, problems, used)


def _list_side(
    tree: Tree, images: Path, labels: Path | None, channels: Mapping[int, Kind], side: str
) -> list[VolumePatient]:
    patients: dict[str, VolumePatient] = {}
    masks = {} if labels is None else dict(volumes_in(tree, labels, (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)))
    names = {name for path, stem in masks.items() for name in (stem, _without_slicer(path, stem))}
    for path, stem in volumes_in(tree, images):
        base, _, number = stem.rpartition("_")
        # MONAI's and the Decathlon's have no number: `BRATS_0001` is the name there, and that of its mask.
        is_numbered = bool(base) and len(number) == 4 and number.isdecimal() and stem not in names
        name = base if is_numbered else stem
        patient = patients.setdefault(name, VolumePatient(name, side=side))
        if is_numbered:  # one with a number that dataset.json does not name may be anything
            kind = channels.get(int(number))
            patient.files[kind or Kind.OTHER].append(path)
            patient.doubt = _UNNAMED if kind is None else patient.doubt
        else:  # a file without number is the only channel, or holds all of them, as the Decathlon's do (4-D)
            if len(channels) > 1:
                patient.volumes = max(channels) + 1
                patient.numbers = {one: at + 1 for at, one in channels.items()}
            for kind in {*channels.values()} - {Kind.OTHER}:
                patient.files[kind].append(path)
    for path, stem in masks.items():
        name = stem if stem in patients else _without_slicer(path, stem)
        patients.setdefault(name, VolumePatient(name, side=side)).files[Kind.SEG].append(path)
    return list(patients.values())


def _without_slicer(path: Path, stem: str) -> str:
    """The name of a mask without what 3D Slicer puts before its ending: `NAME.seg.nrrd` is NAME's."""
    is_of_slicer = suffix_of(path.name) in MASK_VOLUME_SUFFIXES and name_key(stem).endswith(_SLICER)
    return stem[: -len(_SLICER)] if is_of_slicer else stem


def _read_json(folder: Path, path: Path) -> Mapping[str, Any]:
    try:
        if not path.stat().st_size:
            raise UnknownLayoutError(folder, f"Its {DATASET_JSON} {EMPTY}.")
        if path.stat().st_size > MOST_JSON_BYTES:
            raise ValueError("it is too large")
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnknownLayoutError(folder, f"Its {DATASET_JSON} cannot be read as JSON; write it again.") from error
    if not isinstance(document, dict):
        raise UnknownLayoutError(folder, f"Its {DATASET_JSON} is no object; write it again as nnU-Net documents it.")
    return document


def _channels(folder: Path, document: Mapping[str, Any]) -> dict[int, Kind]:
    """The sequence of each number. Raises UnknownLayoutError where FLAIR is none or several of them."""
    named = document.get("channel_names", document.get("modality"))
    if not isinstance(named, dict) or not named:
        text = f"Its {DATASET_JSON} has no `channel_names` (older: `modality`), which say which channel is FLAIR."
        raise UnknownLayoutError(folder, text)
    found = {int(key): sequence_of_channel(str(name)) for key, name in named.items() if str(key).isdecimal()}
    names = shown(", ".join(str(name) for name in named.values()))[:200]
    flair = [number for number, kind in found.items() if kind is Kind.FLAIR]
    if len(flair) != 1:
        said = "none of them FLAIR" if not flair else f"{len(flair)} of them FLAIR"
        text = f"Its {DATASET_JSON} names the channels {names}, {said}: the models read FLAIR; correct the names."
        raise UnknownLayoutError(folder, text)
    for kind in (Kind.T1, Kind.T1_POST):  # two of one name: neither is sure, and FLAIR alone is read
        doubled = [number for number, one in found.items() if one is kind]
        found |= dict.fromkeys(doubled, Kind.OTHER) if len(doubled) > 1 else {}
    labels = document.get("labels")
    zero = (labels.get("background"), labels.get("0")) if isinstance(labels, dict) else (None, None)
    if zero[0] not in (None, 0, "0") or (zero[1] is not None and name_key(str(zero[1])) not in _BACKGROUND):
        text = f"Its {DATASET_JSON} says that the label 0 is not the background, and every label above 0 is tumor here."
        raise UnknownLayoutError(folder, f"{text} Export the labels again with 0 as background.")
    if others := _labels_of_others(labels):
        text = (
            f"Its {DATASET_JSON} has labels that are no tumor ({shown(', '.join(others))[:200]}), and every label above"
        )
        raise UnknownLayoutError(folder, f"{text} 0 is tumor here: export the labels again with 0 in their place.")
    return found


def flair_number(folder: Path) -> int | None:
    """The number of FLAIR's channel by a folder's dataset.json; None where it says none."""
    try:
        channels = _channels(folder, _read_json(folder, folder / DATASET_JSON))
    except (OSError, UnknownLayoutError):
        return None
    return next(number for number, kind in channels.items() if kind is Kind.FLAIR)


def _labels_of_others(labels: object) -> list[str]:
    """The names of labels above 0 that say themselves that they are no tumor; written either way round."""
    if not isinstance(labels, dict):
        return []
    # nnU-Net's first version writes {"1": "edema"}, its second {"edema": 1}, and regions {"whole tumor": [1, 2, 3]}.
    names = {
        str(value if str(key).isdecimal() else key): key if str(key).isdecimal() else value
        for key, value in labels.items()
    }
    return [name for name, number in names.items() if str(number) not in ("0", "[0]") and not is_tumor(name)]


_BACKGROUND = ("background", "bg", "clear label")


def _check_count(
    folder: Path, path: Path, document: Mapping[str, Any], found: int, labels: Sequence[Path]
) -> Iterator[Problem]:
    """Whether as many training volumes are there as dataset.json says."""
    said = document.get("numTraining")
    if isinstance(said, int) and not isinstance(said, bool) and said != found:
        text = f"{DATASET_JSON} says {said:,} training volumes and {found:,} are there: the set may be incomplete."
        yield Problem("volume_count", (path.relative_to(folder).as_posix(),), text)


class _Lister:
    """Makes cases of patients, once the headers of their files are known."""

    def __init__(self, folder: Path, headers: Mapping[Path, VolumeGrid | str]) -> None:
        self._folder, self._headers = folder, headers
        self.problems: list[Problem] = []

    def cases(self, patient: VolumePatient) -> list[Case]:
        """The slices; one case with the reason where there are none."""
        flair, mask = patient.first(Kind.FLAIR), patient.first(Kind.SEG)
        if set(patient.files) == {Kind.SEG}:
            self._report("mask_without_image", patient.files[Kind.SEG], _LONELY)
            return []
        fault = self._fault(patient, flair)
        if fault is not None or flair is None:
            image = flair or patient.others[0]
            return [Case(patient.name, image, mask, fault=fault)]
        grid = self._headers[flair]
        assert isinstance(grid, VolumeGrid)  # noqa: S101 - else there is a fault
        if mask is None:
            self._report("missing_mask", [flair], _MISSING)
        before, after = patient.first(Kind.T1), patient.first(Kind.T1_POST)
        channels = None if before is None or after is None else (before, after)
        shape = stack_shape(grid)
        slice_mm, row_mm, column_mm = (round(distance, 6) for distance in stack_spacing_mm(grid, shape))
        wanted = (Kind.FLAIR,) if channels is None else (Kind.T1, Kind.FLAIR, Kind.T1_POST)
        numbers = tuple(patient.numbers[kind] for kind in wanted) if patient.numbers else ()
        volume = VolumeSlice(shape[0], (slice_mm, row_mm, column_mm), channels, numbers=numbers)
        return [
            Case(
                patient.name,
                slice_path(flair, index),
                None if mask is None else slice_path(mask, index),
                volume=volume,
            )
            for index in range(shape[0])
        ]

    def _fault(self, patient: VolumePatient, flair: Path | None) -> Problem | None:
        """Why no slice of a patient can be used."""
        read = (paths for kind, paths in patient.files.items() if kind is not Kind.OTHER)
        doubled = next((paths for paths in read if len(paths) > 1), None)
        if doubled is not None and doubled == patient.files.get(Kind.SEG):
            return self._report("doubled_mask", doubled, "They are masks of one volume: keep one, or join its parts.")
        if doubled is not None:
            return self._report("doubled_image", doubled, "They are one sequence of one patient: keep one.")
        if flair is None:
            text = f"The patient has no FLAIR{patient.doubt}, which the models read: add it or remove the patient."
            return self._report("no_flair", patient.others[:1], text)
        grids = {}
        for kind, path in ((kind, patient.first(kind)) for kind in (Kind.FLAIR, Kind.T1, Kind.T1_POST, Kind.SEG)):
            if path is None:
                continue
            grid = self._headers[path]
            if isinstance(grid, str):
                code = "unreadable_mask" if kind is Kind.SEG else "unreadable_image"
                return self._report(code, [path], f"{shown(path.name)}: {grid}")
            grids[kind] = path, grid
        own = grids[Kind.FLAIR][1]
        for kind, (path, grid) in grids.items():
            if not _is_same_grid(own, grid) and not (kind is Kind.SEG and _is_part(path, grid, own)):
                return self._report(*_other_grid(kind, flair, path, own, grid))
        return None

    def _report(self, code: str, paths: Sequence[Path], text: str) -> Problem:
        names = tuple(path.relative_to(self._folder).as_posix() for path in paths)
        problem = Problem(code, names, text)
        self.problems.append(problem)
        return problem


def _other_grid(kind: Kind, flair: Path, path: Path, own: VolumeGrid, grid: VolumeGrid) -> tuple[str, list[Path], str]:
    what = "mask" if kind is Kind.SEG else kind.value
    if own.axial_shape != grid.axial_shape:
        size, other = (" x ".join(map(str, one.shape)) for one in (own, grid))
        text = f"FLAIR has {size} voxels and its {what} {other}: export both on one grid."
        return "unequal_size", [flair, path], text
    text = f"FLAIR and its {what} lie at different places by their headers: export both on one grid."
    if (lacking := unplaced(own, grid)) is not None:
        named = f"the {what}" if kind is Kind.SEG else what
        text = why_unplaced(*(("FLAIR", named) if lacking is own else (named, "FLAIR")))
    return "unequal_place", [flair, path], text


def _is_part(mask: Path, grid: VolumeGrid, scan: VolumeGrid) -> bool:
    """Whether a mask's voxels are the scan's as far as they go, as 3D Slicer saves a segmentation. Of a NIfTI file of
    another size it is not believed: arrays are cropped and saved with the old header."""
    return suffix_of(mask.name) in MASK_VOLUME_SUFFIXES and is_same_lattice(grid, scan)


def _is_same_grid(one: VolumeGrid, other: VolumeGrid) -> bool:
    """Whether the axial stacks of both have the same voxels at the same places, whatever the order of their axes."""
    if one.axial_shape != other.axial_shape:
        return False
    shape = one.axial_shape
    corners = np.array(
        [[i * (shape[0] - 1), j * (shape[1] - 1), k * (shape[2] - 1), 1] for i, j, k in np.ndindex(2, 2, 2)]
    )
    affines = [np.array(stack_affine(grid, shape)) for grid in (one, other)]
    return bool(np.abs((affines[0] - affines[1]) @ corners.T).max() < _SAME_MM)


def list_volumes(
    tree: Tree, folder: Path, patients: list[VolumePatient], problems: list[Problem], used: Sequence[Path] = ()
) -> VolumeSet:
    """The cases of patients, and what is wrong with them. used: files that belong to the set beside theirs."""
    problems = [*problems, *choose_masks(patients, folder)]
    files = [path for patient in patients for paths in patient.files.values() for path in paths]
    read = {
        path: 1 if kind is Kind.SEG else patient.volumes
        for patient in patients
        for kind, paths in patient.files.items()
        for path in paths
        if kind is not Kind.OTHER
    }
    lister = _Lister(folder, _read_headers(tree, read))
    sided = [
        (case, patient.side)
        for patient in sorted(patients, key=lambda one: natural_key(one.name))
        for case in lister.cases(patient)
    ]
    cases = [case for case, _ in sided]
    problems = [
        *problems,
        *lister.problems,
        *find_mixed_channels(cases),
        *find_automatic_masks(cases),
        *find_cavities(cases),
    ]
    spare = [path for patient in patients for path in patient.spare]
    return VolumeSet(tuple(sided), tuple(problems), (*used, *files, *spare))


def find_mixed_channels(cases: Sequence[Case]) -> Iterator[Problem]:
    """Where FLAIR alone is read of some patients and three sequences of others."""
    alone = {one.patient: one.volume.channels is None for one in cases if one.fault is None and one.volume is not None}
    if 0 < sum(alone.values()) < len(alone):
        text = (
            f"Of {sum(alone.values()):,} of {len(alone):,} patients FLAIR alone is read, as they have no T1 before and"
            " after contrast: figures of both kinds are mixed."
        )
        yield Problem("mixed_channels", (), text)


def _read_headers(tree: Tree, paths: Mapping[Path, int]) -> dict[Path, VolumeGrid | str]:
    """The grid of each file, or why there is none. paths: with how many volumes each must hold."""
    headers: dict[Path, VolumeGrid | str] = {}
    for path in paths:
        try:
            tree.check(path)
        except LinkOutError:
            headers[path] = "The file is a link that leads out of the data: copy the file itself."
        if not is_text(str(path)):
            headers[path] = "The file has a name that is not UTF-8: rename it."
    readable = {path: volumes for path, volumes in paths.items() if path not in headers}
    return headers | (read_headers(readable) if readable else {})
