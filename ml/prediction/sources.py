"""Which files a model predicts on, which it leaves out, and the names of their results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ml.datasets.case import DatasetError
from ml.datasets.checking.problems import LeftOut, Problem, left_out_of
from ml.datasets.file_names import (
    ANNOTATION_SUFFIXES,
    ARCHIVE_SUFFIXES,
    DICOM_SUFFIXES,
    IMAGE_SUFFIXES,
    MASK_VOLUME_SUFFIXES,
    OTHER_SUFFIXES,
    VOLUME_SUFFIXES,
    is_annotations,
    is_text,
    name_key,
    natural_key,
    shown,
    suffix_of,
)
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.left_out import find_strays, relative
from ml.datasets.layouts.results import OF_MODEL, OF_PREDICT, find_predicted, results_beside
from ml.datasets.layouts.search import UnreadMasksError, find_layout
from ml.datasets.layouts.tree import LinkOutError, Tree
from ml.datasets.layouts.unknown import find_twins
from ml.datasets.layouts.volume_masks import is_of_anatomy, is_volume_mask, is_without_skull
from ml.datasets.layouts.volume_patients import volumes_in
from ml.datasets.mask_names import count_own_folders, doubtful_word, has_mask_within, looks_like_mask
from ml.datasets.volume_slices import Channels, VolumeSlice, file_of
from ml.scans import ScanError
from ml.scans.formats import HEAD_BYTES, is_dicom

_LONGEST_NAME_BYTES = 255  # of one part, as file systems have it
_MASKS = "Expert masks, of the data set or by their names: no images to predict on."
_BY_PIXELS = (
    "Masks by their pixels, a few values alone, which are called as another folder's pictures, or as others with more"
    " behind: no images to predict on."
)
# Scans that no data set has as slices, and that the sandbox reads.
_READ_ALONE = (*DICOM_SUFFIXES, *VOLUME_SUFFIXES)
# Of files that are no DICOM, whatever they are.
_OTHER_ENDINGS = {*IMAGE_SUFFIXES, *OTHER_SUFFIXES, *ARCHIVE_SUFFIXES, *ANNOTATION_SUFFIXES} - set(DICOM_SUFFIXES)
_ALONE = (
    "A scan of a kind that is read where it is given by itself (`python -m ml predict FILE`), or, as DICOM, in a folder"
    " without pictures."
)
_GIVEN_MASKS = "Masks by their names: rename them if they are scans."


@dataclass(frozen=True)
class Source:
    """A file to predict on. name: its place in the results, without suffix; unique among the sources.

    channels: of a patient of a set of volumes, the files of T1 before and after contrast; None for all others.
    series: all files of a DICOM series (`ml.prediction.series`), of which `path` is the first; () of one file.
    numbers: of `VolumeSlice`, where the set's files hold several volumes.
    """

    path: Path
    name: str
    channels: Channels | None = None
    series: tuple[Path, ...] = ()
    numbers: tuple[int, ...] = ()


def find_sources(paths: Sequence[Path]) -> tuple[tuple[Source, ...], tuple[LeftOut, ...]]:
    """Files as they are given, and the images of folders; and what was left out, masks by their names among it.

    Of a data set with expert masks its layout's images are taken, of other folders those of all folders within, and
    files that begin as DICOM does, each by itself. Raises
    DatasetError where a path does not exist, a folder has no images, or nothing but masks is given.
    """
    found: list[tuple[Path, Path]] = []  # the file, and its place below what was given
    volumes: dict[Path, VolumeSlice] = {}
    masks: list[Path] = []
    left_out: list[LeftOut] = []
    for path in paths:
        if path.is_file():
            if looks_like_mask(path.name):
                masks.append(path)
            else:
                found.append((path, Path(path.name)))
            continue
        if not path.is_dir():
            raise DatasetError(f"{path} is no file and no folder; give an image or a folder with images.")
        images, others, of_volumes = _images_of(path)
        volumes |= of_volumes
        if not images and not others:
            raise DatasetError(f"{path} has no images ({', '.join(IMAGE_SUFFIXES)}); give another folder.")
        found.extend((image, image.relative_to(path)) for image in images)
        left_out.extend(others)
    if masks:
        names = tuple(shown(str(path)) for path in masks)
        left_out.extend(left_out_of([Problem("expert_mask", names, _GIVEN_MASKS)]))
    if not found:
        reasons = " ".join(group.sentence for group in left_out)
        raise DatasetError(f"There are no images to predict on; what was left out: {reasons}")
    taken: set[str] = set()
    sources = [
        _source(path, unique_name(place.as_posix()[: -len(suffix_of(place.name)) or None], taken), volumes.get(path))
        for path, place in found
    ]
    return tuple(sources), tuple(left_out)


def _source(path: Path, name: str, volume: VolumeSlice | None) -> Source:
    return Source(path, name) if volume is None else Source(path, name, volume.channels, numbers=volume.numbers)


def unique_name(stem: str, taken: set[str]) -> str:
    """The name, with a number where it is taken: a.png and a.tif, or two folders with equal names. Takes it."""
    name, number = stem, 2
    while name_key(name) in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(name_key(name))
    return name


def is_dicom_file(path: Path) -> bool:
    """Whether a file begins as DICOM does. One that cannot be opened does not: its reader says what is in the way."""
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(HEAD_BYTES))
    except OSError:
        return False


def _images_of(folder: Path) -> tuple[list[Path], tuple[LeftOut, ...], dict[Path, VolumeSlice]]:
    """The images of a folder, sorted, what is left out of it, and what is known of volumes."""
    layout: Layout | None
    try:
        layout = find_layout(folder)
    except UnreadMasksError as error:
        layout = error.layout if error.layout.volumes else None
    except DatasetError:
        layout = None
    if layout is not None and layout.name == "DICOM":  # its series are told by their headers, with masks or without
        layout = None
    if layout is not None and layout.volumes:
        return _volumes_of(layout)
    images, others = _slices_of(folder, layout)
    return images, tuple(map(_readable_alone, others)), {}


def _slices_of(folder: Path, layout: Layout | None) -> tuple[list[Path], tuple[LeftOut, ...]]:
    """The same of a folder without volumes; layout: None where nothing tells images from masks but their names."""
    if layout is not None and layout.has_truth:
        images = {case.image for case in layout.cases}
        masks = {case.mask for case in layout.cases if case.mask is not None}
        doubled = (problem for problem in layout.problems if problem.code == "doubled_mask")
        masks |= {layout.base / name for problem in doubled for name in problem.files}
        kept = [problem for problem in layout.problems if problem.code != "missing_mask"]
        return _in_order(images), _with_masks(layout.base, masks - images, kept)
    if layout is not None:
        images = {case.image for case in layout.cases}
        told = _masks_by_pixels(images)
        return _in_order(images.difference(told)), _with_masks(layout.base, told, layout.problems, _BY_PIXELS)
    tree = Tree()
    pictures = [path for here, _ in tree.walk(folder) for path in tree.images(here)]
    known = [path for _, listed in tree.walk(folder) for path in listed.files]
    predicted = {known[place] for place in find_predicted([relative(path, folder) for path in known])}
    files = [path for path in pictures if path not in predicted]
    place = folder.absolute()
    names = {(path.parent, name_key(path.stem)) for path in files}
    paths = {path: f"{place.name}/{path.relative_to(folder).as_posix()}" for path in files}
    own_folders = count_own_folders(paths.values())
    results = results_beside(files)
    masks = {
        path
        for path in files
        if looks_like_mask(paths[path], own_folders)
        or ((word := doubtful_word(path.stem)) and (path.parent, name_key(path.stem[: -len(word)])) in names)
    }
    by_pixels = set() if masks or results else set(_masks_by_pixels(files))
    masks |= by_pixels
    results -= masks
    annotations = [path for _, found in tree.walk(folder) for path in found.files if is_annotations(path.name)]
    dicom = [path for _, found in tree.walk(folder) for path in found.files if _is_dicom(tree, path)]
    of_volumes = {
        path
        for _, found in tree.walk(folder)
        for path in found.files
        if suffix_of(path.name) in (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
        and path not in predicted
        and (is_volume_mask(path, folder) or _is_mask(path, folder))
    }
    # Of any sequence, as where each file is given: a folder of slices has volumes beside them that are others' forms.
    volumes = [] if files or dicom else [path for path in _volumes_within(tree, folder) if path not in predicted]
    strays = find_strays(
        tree, folder, folder, [*files, *predicted, *annotations, *dicom, *of_volumes, *volumes], frozenset()
    )
    masks |= of_volumes
    for others, why in ((results, OF_MODEL), (predicted, OF_PREDICT)):
        if others:
            strays.append(Problem("left_out", tuple(relative(path, folder) for path in _in_order(others)), why))
    scans = {*files, *dicom, *volumes} - masks - results
    return _in_order(scans), _with_masks(folder, masks, strays, _BY_PIXELS if by_pixels else _MASKS)


def _volumes_within(tree: Tree, folder: Path) -> list[Path]:
    """The NIfTI volumes of all folders within that are no masks by their names, of a tumor or of anything else."""
    return [
        path
        for here, _ in tree.walk(folder)
        for path, _ in volumes_in(tree, here)
        if not _is_mask(path, folder) and (is_without_skull(path) or not is_of_anatomy(path, folder))
    ]


def _is_mask(path: Path, folder: Path) -> bool:
    """Whether a volume, of a path below `folder`, is a mask by its name, of a tumor or of anything else."""
    stem = path.name[: -len(suffix_of(path.name)) or None]
    return looks_like_mask(path.relative_to(folder).as_posix()) or has_mask_within(stem)


def _is_dicom(tree: Tree, path: Path) -> bool:
    """Whether a file of a folder is DICOM, whatever its name: scanners give none an ending, or its UID as name."""
    if suffix_of(path.name) in _OTHER_ENDINGS:
        return False
    try:
        tree.check(path)
    except LinkOutError:
        return False
    return is_dicom_file(path)


def _masks_by_pixels(images: Iterable[Path]) -> tuple[Path, ...]:
    """The pictures of the one of two folders, called alike, that are masks of the other's by what they show."""
    twins = find_twins(Tree(), images)
    return () if twins is None else twins.mask_files


def _readable_alone(group: LeftOut) -> LeftOut:
    """Scans that lie where a data set has none."""
    is_scan = group.code == "left_out" and all(suffix_of(name) in _READ_ALONE for name in group.files)
    return replace(group, message=_ALONE) if is_scan else group


def _volumes_of(layout: Layout) -> tuple[list[Path], tuple[LeftOut, ...], dict[Path, VolumeSlice]]:
    """FLAIR of each patient; those of whom nothing can be used are left out by their reason."""
    usable = [case for case in layout.cases if case.fault is None]
    masks = {file_of(case.mask) for case in layout.cases if case.mask is not None}
    faults = {case.fault for case in layout.cases if case.fault is not None}
    kept = [problem for problem in layout.problems if problem.code != "missing_mask" and problem not in faults]
    kept += [replace(problem, code="left_out") for problem in faults]
    volumes = {file_of(case.image): case.volume for case in usable if case.volume is not None}
    return _in_order(volumes), _with_masks(layout.base, masks, kept), volumes


def _in_order(images: Iterable[Path]) -> list[Path]:
    return sorted(images, key=lambda path: natural_key(path.as_posix()))


def _with_masks(
    folder: Path, masks: Iterable[Path], problems: Iterable[Problem], reason: str = _MASKS
) -> tuple[LeftOut, ...]:
    names = tuple(path.relative_to(folder).as_posix() for path in masks)
    return left_out_of([*problems, *([Problem("expert_mask", names, reason)] if names else [])])


class PictureNames:
    """The names of all pictures, none of them twice: those of a stack's slices may meet another file's."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._taken = {name_key(source.name) for source in sources}

    def of(self, source: Source, count: int, *, is_volume: bool = False) -> list[str]:
        """A name for each slice, without suffix. Raises ScanError for names that no file system takes."""
        names = [source.name] if count == 1 else self._of_stack(source, count)
        files = [f"{name}.png" for name in names] + ([f"{source.name}.nii.gz"] if is_volume else [])
        longest = max(len(name.rpartition("/")[2].encode()) for name in files)
        if longest > _LONGEST_NAME_BYTES:
            raise ScanError(
                "limit",
                f"The names of its results would have {longest} bytes, and the limit is {_LONGEST_NAME_BYTES}; shorten"
                " the file's name.",
            )
        return names

    def _of_stack(self, source: Source, count: int) -> list[str]:
        number = 1
        while True:
            base = source.name if number == 1 else f"{source.name}_{number}"
            names = [f"{base}_{index:04}" for index in range(count)]
            keys = {name_key(name) for name in names}
            if not keys & self._taken:
                self._taken |= keys
                return names
            number += 1


def check_name(source: Source) -> None:
    """Raises ScanError where the file's name cannot be written down."""
    if not is_text(source.name) or not is_text(str(source.path)):
        raise ScanError("unreadable", "The file has a name that is not UTF-8; rename it.")
