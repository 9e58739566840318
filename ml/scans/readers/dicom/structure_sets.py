"""DICOM RTSTRUCT (PS3.3 A.19) as an expert's mask: closed outlines, filled on the planes of the scan's voxels.

Outlines are combined plane by plane (C.8.8.6.3): a keyhole by even-odd, CLOSEDPLANAR_XOR by exclusion, points on the
path are in the region. Of CLOSED_PLANAR ones that lie in another wholly the inner is a hole, as rt-utils and others
write it; else they are united. A plane without outline has no tumor (C.8.8.6.4).
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from ml.scans.readers.dicom.elements import read_dataset
from ml.scans.readers.dicom.regions import choose_regions
from ml.scans.scan import DamagedFile, Limits, ScanError
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import LabelVolume
from ml.volumes.polygons import count_crossings, fill

MOST_POINTS = 2_000_000
MOST_OUTLINES = 100_000
# Edges times rows: what filling costs.
MOST_CROSSINGS = 50_000_000
# Of a voxel: coordinates are rounded, and planes are those of the scan's slices all the same.
_SAME_PLANE = 0.1
# Outlines run along the outer edges of voxels; beyond that they leave the scan.
_BEYOND_EDGE = 1.0
# Outlines that do not lie on the scan's slices stand for the slabs between them; thicker ones nobody drew a tumor on.
_THICKEST_SLAB_MM = 10.0
_XOR, _CLOSED = "CLOSEDPLANAR_XOR", "CLOSED_PLANAR"
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class _Outline:
    """points: (n, 3), voxel indices of the scan. region: its ROI's number. slab_mm: what the file says of it, or 0."""

    points: NDArray[np.float64]
    region: int
    is_exclusive: bool
    slab_mm: float


def is_structure_set(header: Dataset) -> bool:
    """Whether a header is that of an RTSTRUCT."""
    return bool(header.get("SOPClassUID") == RTStructureSetStorage)


def read_structure_set(path: Path, limits: Limits, grid: VolumeGrid, regions: Sequence[str] = ()) -> LabelVolume:
    """The mask on the voxels of a scan, or on slabs of its own that have the scan's pixels. Raises ScanError.

    regions: the names of those that are the tumor; () where the file's own names tell.
    """
    limits.check_bytes(path.stat().st_size)
    dataset = read_dataset(path, is_whole=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            chosen = _chosen(dataset, regions)
            _check_frame(dataset, chosen, grid)
            outlines = list(_outlines(dataset, set(chosen), grid))
    except (MemoryError, ScanError):
        raise
    except Exception as error:  # of damaged elements pydicom raises anything
        raise DamagedFile("The RTSTRUCT is cut or damaged; export it again.") from error
    if not outlines:
        return LabelVolume(grid, np.zeros(grid.shape, np.bool))
    return _drawn(outlines, grid, limits)


def _chosen(dataset: Dataset, wanted: Sequence[str]) -> dict[int, Dataset]:
    """The tumor's regions by their numbers."""
    regions = _drawn_regions(dataset)
    numbers, names = list(regions), region_names(dataset)
    return {numbers[place]: regions[numbers[place]] for place in choose_regions(names, wanted, "RTSTRUCT")}


def region_names(dataset: Dataset) -> list[str]:
    """The names of the ROIs that have outlines, of all where none has."""
    return [str(region.get("ROIName", "")) for region in _drawn_regions(dataset).values()]


def _drawn_regions(dataset: Dataset) -> dict[int, Dataset]:
    """Regions by their numbers. Where some have outlines, only those are asked about."""
    all_regions = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or ()}
    drawn = {int(item.ReferencedROINumber) for item in dataset.get("ROIContourSequence") or () if _contours(item)}
    return {number: one for number, one in all_regions.items() if number in drawn} or all_regions


def _contours(item: Dataset) -> Sequence[Dataset]:
    return item.get("ContourSequence") or ()


def _check_frame(dataset: Dataset, chosen: Mapping[int, Dataset], grid: VolumeGrid) -> None:
    """Raises ScanError for outlines in another frame of reference than the scan's."""
    of_file = str(dataset.get("FrameOfReferenceUID") or "")
    if not of_file and (listed := dataset.get("ReferencedFrameOfReferenceSequence")) and len(listed) == 1:
        of_file = str(listed[0].get("FrameOfReferenceUID") or "")
    said = {str(region.get("ReferencedFrameOfReferenceUID") or "") or of_file for region in chosen.values()} - {""}
    if grid.frame_of_reference and said - {grid.frame_of_reference}:
        raise ScanError(
            "unreadable",
            "The RTSTRUCT has another frame of reference than its scan: it was drawn on another examination, or on a"
            " registered copy; export it on the scan's own series.",
        )


def _outlines(dataset: Dataset, numbers: set[int], grid: VolumeGrid) -> Iterator[_Outline]:
    to_voxels = np.linalg.inv(grid.matrix)
    count = points_left = 0
    for region in dataset.get("ROIContourSequence") or ():
        number = int(region.ReferencedROINumber)
        for item in _contours(region) if number in numbers else ():
            kind = str(item.get("ContourGeometricType", ""))
            if kind not in (_XOR, _CLOSED):
                raise ScanError(
                    "unreadable",
                    f"The region has outlines of the type {kind[:20] or 'unknown'}, and a mask is drawn by closed ones;"
                    " export it as CLOSED_PLANAR.",
                )
            mm = _numbers(item)
            count, points_left = count + 1, points_left + len(mm)
            if count > MOST_OUTLINES or points_left > MOST_POINTS:
                raise ScanError(
                    "limit",
                    f"The RTSTRUCT has more than {MOST_OUTLINES:,} outlines or {MOST_POINTS:,} points; export the tumor"
                    " alone, or with fewer points.",
                )
            voxels = (mm * _LPS_TO_RAS) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
            yield _Outline(voxels, number, kind == _XOR, abs(float(item.get("ContourSlabThickness") or 0)))


def _numbers(contour: Dataset) -> NDArray[np.float64]:
    """The points of a contour in mm (LPS), float64 (n, 3). Raises ScanError."""
    # As bytes, which are a tenth of the memory and time of pydicom's decimal strings.
    value = contour.get_item("ContourData").value
    parts = value.split(b"\\") if isinstance(value, bytes) else value or ()
    try:
        found = np.fromiter(map(float, parts), np.float64)
    except ValueError:
        found = np.empty(0)
    if not len(found) or len(found) % 3 or not np.isfinite(found).all() or np.abs(found).max() > 1e6:
        raise DamagedFile("The RTSTRUCT has outlines whose points are no numbers in threes; export it again.")
    return found.reshape(-1, 3)


def _drawn(outlines: Sequence[_Outline], grid: VolumeGrid, limits: Limits) -> LabelVolume:
    """Raises ScanError where outlines do not lie in planes of the scan's voxels, or beside it."""
    axis = _plane_axis(outlines)
    heights = np.array([outline.points[:, axis].mean() for outline in outlines])
    planes, own = _planes(heights, outlines, grid, axis)
    limits.check_stack(own.shape[axis], *(size for place, size in enumerate(own.shape) if place != axis))
    rest = tuple(place for place in range(3) if place != axis)
    shape = (own.shape[rest[0]], own.shape[rest[1]])
    by_plane: dict[tuple[int, int], list[_Outline]] = defaultdict(list)
    crossings = 0
    for outline, plane in zip(outlines, planes.tolist(), strict=True):
        flat = outline.points[:, rest]
        if flat.min() < -_BEYOND_EDGE or (flat > np.array(shape) - 1 + _BEYOND_EDGE).any():
            raise _outside()
        crossings += count_crossings(flat, shape[0])
        by_plane[plane, outline.region].append(outline)
    if crossings > MOST_CROSSINGS:
        raise ScanError("limit", "The outlines of the RTSTRUCT are too long to be filled; export them smoother.")
    is_tumor = np.zeros(own.shape, np.bool)
    view = np.moveaxis(is_tumor, axis, 0)
    for (plane, _), of_plane in by_plane.items():
        view[plane] |= _combined(of_plane, rest, shape)
    return LabelVolume(own, is_tumor)


def _plane_axis(outlines: Sequence[_Outline]) -> int:
    """The axis of the scan's voxels that all outlines are level on; where several are, that of a series' slices."""
    for axis in (2, 1, 0):
        if max(float(np.ptp(outline.points[:, axis])) for outline in outlines) <= 2 * _SAME_PLANE:
            return axis
    raise ScanError(
        "unreadable",
        "The outlines of the RTSTRUCT do not lie in planes of the scan's voxels: they were drawn on a series of another"
        " direction; export them on the scan's own series.",
    )


def _planes(
    heights: NDArray[np.float64], outlines: Sequence[_Outline], grid: VolumeGrid, axis: int
) -> tuple[NDArray[np.intp], VolumeGrid]:
    """Of each outline its plane, and the grid whose planes they are: the scan's own, or slabs between its slices."""
    nearest, count = np.rint(heights), grid.shape[axis]
    if heights.min() < -count or heights.max() > 2 * count:
        raise _outside()
    if np.abs(heights - nearest).max() <= _SAME_PLANE:
        if nearest.min() < 0 or nearest.max() >= count:
            raise _outside()
        gaps = np.diff(np.unique(nearest))
        if len(gaps) > 1 and gaps[0] > 1 and (gaps == gaps[0]).all():
            raise ScanError(
                "unreadable",
                f"The outlines of the RTSTRUCT are on one slice of {gaps[0]:.0f} alone, and nothing is made up between"
                " them: let the program that drew them interpolate, and export it again.",
            )
        return nearest.astype(np.intp), grid
    levels = _levels(heights)
    slice_mm = grid.spacing_mm[axis]
    step = float(np.diff(levels).min()) if len(levels) > 1 else (outlines[0].slab_mm / slice_mm or 1.0)
    places = (heights - levels[0]) / step
    if step * slice_mm > _THICKEST_SLAB_MM or np.abs(places - np.rint(places)).max() > _SAME_PLANE:
        raise ScanError(
            "unreadable",
            "The outlines of the RTSTRUCT lie between the slices of the scan, and not at even distances of at most"
            f" {_THICKEST_SLAB_MM:g} mm; export them on the scan's own series.",
        )
    affine = grid.matrix
    affine[:3, 3] += affine[:3, axis] * levels[0]
    affine[:3, axis] *= step
    count = int(np.rint(places.max())) + 1
    i, j, k = (count if place == axis else size for place, size in enumerate(grid.shape))
    return np.rint(places).astype(np.intp), VolumeGrid.of(affine, (i, j, k), grid.frame_of_reference)


def _levels(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The different heights, of those that rounding tells apart the lowest."""
    levels: list[float] = []
    for height in np.unique(heights).tolist():
        if not levels or height - levels[-1] > _SAME_PLANE:
            levels.append(height)
    return np.array(levels)


def _combined(outlines: Sequence[_Outline], rest: tuple[int, ...], shape: tuple[int, int]) -> NDArray[np.bool]:
    """One region's outlines on one plane, filled together: bool of `shape`."""
    flat = [outline.points[:, rest] for outline in outlines]
    is_tumor, is_path = np.zeros(shape, np.bool), np.zeros(shape, np.bool)
    closed = {}
    for outline, points in zip(outlines, flat, strict=True):
        is_inside, is_on_path = fill(points, shape)
        is_path |= is_on_path
        if outline.is_exclusive:
            is_tumor ^= is_inside
        else:
            closed[np.unique(points.round(3), axis=0).tobytes()] = is_inside & ~is_on_path, is_inside | is_on_path
    for inner, whole in sorted(closed.values(), key=lambda item: -int(np.count_nonzero(item[1]))):
        is_hole = bool(inner.any() and not (inner & ~is_tumor).any())
        is_tumor = is_tumor & ~inner if is_hole else is_tumor | whole
    return is_tumor | is_path


def _outside() -> ScanError:
    return ScanError(
        "unreadable",
        "Tumor of the RTSTRUCT lies outside of its scan; it is of another series, or slices of it are missing here:"
        " send the whole series, or export the outlines on this one.",
    )
