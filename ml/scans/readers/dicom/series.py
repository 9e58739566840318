"""Which frames are one volume, in which order, and where it lies."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.scans.readers.dicom.frames import Frame
from ml.scans.readers.dicom.instances import Instance
from ml.scans.readers.dicom.people import Whose, whose_files
from ml.scans.scan import ScanError

# Positions that are nearer to each other are the same.
SAME_MM = 1e-2
# Directions (as cosines) and sizes of pixels (as a share) of one series differ by rounding of headers alone.
SAME_COSINE, SAME_SIZE = 1e-2, 1e-2
# Slices of one series lie above one another to this; those of two heads under one number are further apart.
MOST_ASIDE_MM = 2.0
# Distances of slices differ by rounding and by a scanner's steps; a missing slice doubles one.
UNEVEN_SHARE = 0.1
# Of a series whose slices are cut anew anyway so many single ones may lack: the mean of their neighbors stands in.
MOST_FILLED_SHARE = 0.1
# More volumes of one series are a film (fMRI, diffusion), and nobody wants a hundred scans of them.
MOST_VOLUMES = 8


@dataclass(frozen=True)
class Place:
    """A frame of a file: the file's place among those that were given, and its frame."""

    file: int
    frame: Frame


@dataclass(frozen=True)
class Volume:
    """Frames in the order of their slices.

    affine: from (column, row, slice) to mm (RAS); None where the files do not place them. is_even: whether slices lie
    at even distances; else the affine is right at both ends alone. gaps: the places (indices) behind which slices lack.
    fillable: the gaps, where each is of one slice, they are few, and all others lie at even distances; else empty.
    notes: codes of warnings.
    """

    places: tuple[Place, ...]
    affine: NDArray[np.float64] | None
    is_even: bool
    notes: tuple[str, ...]
    gaps: tuple[int, ...] = ()
    fillable: tuple[int, ...] = ()


def sort_files(instances: Sequence[Instance], whose: Sequence[Whose] = ()) -> list[list[int]]:
    """The files of each scan, by their places: one patient, one series, size, direction, size of pixels, echo and
    acquisition.

    whose: of each file, of `people.whose_files`; () where no folder tells what headers do not. Files with several
    frames are scans of their own, unless they are so many that they are a film. Raises ScanError where a header's
    directions are none.
    """
    series: dict[tuple[object, ...], list[list[int]]] = defaultdict(list)
    people = whose or whose_files(instances, [""] * len(instances))
    for place, (item, person) in enumerate(zip(instances, people, strict=True)):
        is_volume = len(item.frames) > 1
        size = (item.rows, item.columns, item.is_inverted)
        groups = series[(person, item.series_uid, *size, item.echo, is_volume)]
        own = next((group for group in groups if _is_one_plane(instances[group[0]].frames[0], item.frames[0])), None)
        if own is None:
            groups.append([place])
        else:
            own.append(place)
    found = sorted((group for groups in series.values() for group in groups), key=min)
    return [part for places in found for part in _split_repeats(instances, places)]


def _is_one_plane(one: Frame, other: Frame) -> bool:
    """Whether two frames have the same directions and the same size of pixels; frames without a place have."""
    if one.orientation is None or other.orientation is None:
        return one.orientation is other.orientation
    cosines = zip(one.orientation, other.orientation, strict=True)
    return all(abs(first - second) <= SAME_COSINE for first, second in cosines) and _is_one_size(one, other)


def _is_one_size(one: Frame, other: Frame) -> bool:
    """Whether the pixels of two frames have the same size."""
    sizes = zip(one.spacing_mm or (), other.spacing_mm or (), strict=True)
    return all(abs(first - second) <= SAME_SIZE * first for first, second in sizes)


def _split_repeats(instances: Sequence[Instance], places: list[int]) -> list[list[int]]:
    """One group a volume: where positions come several times, by what was made of other pictures, if that tells them,
    else by the number of the acquisition."""
    if len(instances[places[0]].frames) > 1:
        return [[place] for place in places] if len(places) <= MOST_VOLUMES else [places]
    if not _repeats([instances[place].frames[0] for place in places]):
        return [places]
    for kind in ("is_derived", "acquisition"):
        parts: dict[int, list[int]] = defaultdict(list)
        for place in places:
            parts[getattr(instances[place], kind)].append(place)
        is_told = not any(_repeats([instances[place].frames[0] for place in part]) for part in parts.values())
        if 1 < len(parts) <= MOST_VOLUMES and is_told:
            return list(parts.values())
    return [places]


def order_frames(instances: Sequence[Instance], volume: int | None = None) -> Volume:
    """The volume that files are. volume: where they are several, the number of the one to take, from 1.

    Raises ScanError `unreadable` where they are several and none is chosen, or lie at random.
    """
    places = [Place(file, frame) for file, item in enumerate(instances) for frame in item.frames]
    is_placed = all(place.frame.position is not None for place in places)
    if len({place.frame.time for place in places}) > 1 and (volume is None or not is_placed):
        raise _film(_at_one_position(instances, places) if is_placed else None)
    if not is_placed:
        by_number = sorted(places, key=lambda place: (instances[place.file].number, place.file, place.frame.index))
        return Volume(tuple(by_number), None, False, ("position_unknown",))
    _check_is_one_plane([place.frame for place in places])
    normal = places[0].frame.normal
    places.sort(key=lambda place: float(normal @ np.array(place.frame.position)))
    chosen: list[str] = []
    if volume is not None:
        places, chosen = _choose(instances, places, volume)
    kept, notes = _drop_copies(instances, places, normal)
    _check_is_one_column([place.frame for place in kept])
    return _placed(kept, normal, [*notes, *chosen])


def _check_is_one_plane(frames: Sequence[Frame]) -> None:
    """Raises ScanError where frames do not lie on each other row by row and column by column."""
    directions = np.array([frame.orientation for frame in frames]).reshape(len(frames), 2, 3)
    cosines = np.sum(directions * directions[0], axis=2)  # (frames, 2): of columns and of rows, with the first's
    if (cosines < 1 - 1e-3).any():
        raise ScanError(
            "unreadable",
            "The frames of the DICOM file lie in different planes, or are turned in their plane; send one plane alone.",
        )
    if not all(_is_one_size(frames[0], frame) for frame in frames):
        raise ScanError(
            "unreadable", "The DICOM pictures have pixels of different sizes; send those of one size alone."
        )


def _check_is_one_column(frames: Sequence[Frame]) -> None:
    """Raises ScanError where frames, in the order of their heights, lie beside the line from the first to the last."""
    positions = np.array([frame.position for frame in frames])  # (frames, 3)
    heights = (positions - positions[0]) @ frames[0].normal
    shares = heights / heights[-1] if len(frames) > 2 else np.zeros(len(frames))
    aside = positions - positions[0] - shares[:, None] * (positions[-1] - positions[0])
    if len(frames) > 2 and float(np.linalg.norm(aside, axis=1).max()) > MOST_ASIDE_MM:
        raise ScanError(
            "unreadable",
            "The pictures do not lie above one another: several series or patients may share one series number here"
            " (SeriesInstanceUID), or have none; send the files of each by themselves, or in a folder each.",
        )


def _choose(instances: Sequence[Instance], places: Sequence[Place], volume: int) -> tuple[list[Place], list[str]]:
    """Of the pictures of each position the one of this number, from 1, and whether there are several.

    They are counted in the order of their times, acquisitions and instance numbers. Raises ScanError.
    """
    groups = _at_each_position(instances, places)
    counts = {len(group) for group in groups}
    if counts == {1}:
        return [group[0] for group in groups], []
    if len(counts) > 1:
        raise ScanError(
            "unreadable",
            f"The series has {min(counts)} to {max(counts)} pictures of each position, so volumes cannot be told by a"
            " number; send the files of the volume you want alone.",
        )
    [count] = counts
    if not 1 <= volume <= count:
        raise ScanError(
            "unreadable", f"Volume {volume} was chosen, and the series has {count}; choose one from 1 to {count}."
        )
    return [group[volume - 1] for group in groups], ["volume_chosen"]


def _at_each_position(instances: Sequence[Instance], places: Sequence[Place]) -> list[list[Place]]:
    """The pictures of each position along the normal, in the order of their making; a file sent twice counts once."""
    normal = places[0].frame.normal
    groups: list[list[Place]] = []
    for place in sorted(places, key=lambda place: _along(normal, place.frame)):
        if groups and _along(normal, place.frame) - _along(normal, groups[-1][0].frame) <= SAME_MM:
            groups[-1].append(place)
        else:
            groups.append([place])

    def order(place: Place) -> tuple[int, ...]:
        item = instances[place.file]
        return place.frame.time, item.acquisition, item.number, place.file, place.frame.index

    found = []
    for group in groups:
        # Files without a UID are never copies of each other.
        once = {
            (instances[place.file].instance_uid or place.file, place.frame.index): place
            for place in sorted(group, key=order)
        }
        found.append(list(once.values()))
    return found


def _at_one_position(instances: Sequence[Instance], places: Sequence[Place]) -> int | None:
    """How many pictures each position has; None where they differ."""
    counts = {len(group) for group in _at_each_position(instances, places)}
    return counts.pop() if len(counts) == 1 else None


def _drop_copies(
    instances: Sequence[Instance], places: Sequence[Place], normal: NDArray[np.float64]
) -> tuple[list[Place], list[str]]:
    """One frame a position: a file that was sent twice is used once. Raises ScanError where they differ."""
    kept: list[Place] = []
    notes: list[str] = []
    for place in places:
        if not kept or _along(normal, place.frame) - _along(normal, kept[-1].frame) > SAME_MM:
            kept.append(place)
        elif _is_copy(instances, place, kept[-1]):
            notes = ["slices_doubled"]
        else:
            raise _film(_at_one_position(instances, places))
    return kept, notes


def _is_copy(instances: Sequence[Instance], one: Place, other: Place) -> bool:
    """Whether two frames are of one file that was sent twice; files without a UID are not told to be."""
    uids = {instances[one.file].instance_uid, instances[other.file].instance_uid}
    return one.file != other.file and len(uids) == 1 and uids != {""}


def _placed(places: Sequence[Place], normal: NDArray[np.float64], notes: Sequence[str]) -> Volume:
    first, last = places[0].frame, places[-1].frame
    origin = np.array(first.position)
    columns, rows = np.array(first.orientation).reshape(2, 3)
    row_mm, column_mm = first.spacing_mm or (1.0, 1.0)
    is_even = True
    gaps: tuple[int, ...] = ()
    fillable: tuple[int, ...] = ()
    if len(places) == 1:
        step = normal * (first.apart_mm or 1.0)
    else:
        distances = np.diff([_along(normal, place.frame) for place in places])
        is_even = bool(distances.max() - distances.min() <= UNEVEN_SHARE * float(np.median(distances)))
        if not is_even:
            gaps, fillable = _gaps(distances)
        step = (np.array(last.position) - origin) / (len(places) + len(fillable) - 1)
    affine = np.eye(4)
    affine[:3] = np.column_stack([columns * column_mm, rows * row_mm, step, origin])
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM's axes are LPS
    return Volume(tuple(places), to_ras @ affine, is_even, tuple(notes), gaps, fillable)


def _gaps(distances: NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of distances between slices, float64 (n - 1,), those that are too long, and, where nothing but single slices
    lacks, the same again; else nothing."""
    usual = float(np.median(distances))
    steps = np.rint(distances / usual)
    gaps = tuple(int(index) for index in np.flatnonzero(distances > (1 + UNEVEN_SHARE) * usual))
    is_regular = bool((np.abs(distances - steps * usual) <= UNEVEN_SHARE * usual).all())
    is_single = bool(set(steps) <= {1.0, 2.0})
    is_fillable = is_regular and is_single and len(gaps) <= MOST_FILLED_SHARE * (len(distances) + 1)
    return gaps, gaps if is_fillable else ()


def _repeats(frames: Sequence[Frame]) -> bool:
    """Whether two frames lie at one position."""
    if any(frame.position is None for frame in frames):
        return False
    normal = frames[0].normal
    along = np.sort([_along(normal, frame) for frame in frames])
    return bool((np.diff(along) <= SAME_MM).any())


def _along(normal: NDArray[np.float64], frame: Frame) -> float:
    return float(normal @ np.array(frame.position))


def _film(count: int | None) -> ScanError:
    """count: pictures of each position; None where they differ."""
    several, remedy = "several", "send the volume you want alone"
    if count is not None:
        several = str(count)
        remedy = (
            f"choose it by its number, from 1 to {count}, as “Volume” beside model and threshold (`volume` in the API)"
        )
    return ScanError(
        "unreadable",
        f"The series has {several} pictures of each position (time points, directions or echoes), and one volume is"
        f" read; {remedy}.",
    )
