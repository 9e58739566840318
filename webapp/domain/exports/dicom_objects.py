"""A run as a DICOM object that refers to the series that was uploaded, made when it is asked for.

The object is the same, UIDs included, whenever it is made of the same run: sent twice to an archive it is there once.
"""

import hashlib
import json
import threading
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.exports.facts import Facts
from ml.exports.facts import Kind as Kind
from ml.exports.making import ExportError, make_exports
from ml.version import VERSION
from ml.volumes.axial import mask_on_source
from ml.volumes.grid import VolumeGrid
from ml.volumes.planes import stack_affine
from webapp.domain.errors import NoGeometry, StorageUnavailable, TooManyDownloads
from webapp.domain.resources import Resources
from webapp.domain.scans import doubts, measurements
from webapp.domain.scans.images import VolumeSlices
from webapp.domain.scans.measurements import MeasurementSource
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import original_key
from webapp.domain.uploads.sandbox_errors import sandbox_errors

# The warning of a scan that is one of several volumes of its files.
VOLUME_CHOSEN = "volume_chosen"
# Each is a process of 300 MB for a second or two; whoever comes meanwhile waits.
MOST_AT_ONCE = 2
_LONGEST_WAIT_S = 20.0
# Of the cache that pictures are in, too: most objects have a tenth of it.
_LARGEST_KEPT_BYTES = 4 * 2**20
# Of a lesion, as its measurements call them.
_LINES = ("diameter", "perpendicular")
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


@dataclass(frozen=True)
class ObjectSource:
    """A succeeded run and its scan: read in a session, made into an object outside of it."""

    scan: Scan
    run: Segmentation
    patient: str
    measured: MeasurementSource
    doubt: str


def is_series(scan: Scan) -> bool:
    """Whether an object can refer to what a scan was made of: DICOM files with a place and a frame of reference, all
    of which are this scan."""
    is_placed = scan.geometry is not None and bool(scan.geometry.get("frame_of_reference"))
    return is_placed and VOLUME_CHOSEN not in scan.warnings


def source(scan: Scan, run: Segmentation, *, unassessed: bool = False) -> ObjectSource:
    """Of a succeeded run. unassessed: of one without a verdict, too; the object then says so and calls nothing tumor.

    Raises NoGeometry for a scan that is no DICOM series, NotAssessed.
    """
    if VOLUME_CHOSEN in scan.warnings:
        raise NoGeometry(
            "The scan is one of several volumes of its files, to which no DICOM object can refer as a whole; send the"
            " files of this volume alone, or download mask.nii.gz instead."
        )
    if not is_series(scan):
        raise NoGeometry(
            "The scan is no DICOM series with a place in the patient, to which a DICOM object could refer; download"
            " mask.nii.gz or mask.tif instead."
        )
    doubt = doubts.doubt_of(scan, run)
    if not unassessed:
        doubts.check_assessed(scan, run)
    patient = (scan.series or {}).get("patient") or ""
    return ObjectSource(scan, run, patient, measurements.source(scan, run), doubt)


def write(resources: Resources, wanted: ObjectSource, targets: Mapping[Kind, Path]) -> None:
    """Write objects of a run to existing files, by one process.

    Raises NoGeometry (a series that no object can refer to), StorageUnavailable, StorageFull, DecoderUnavailable,
    TooManyDownloads.
    """
    _make(resources, wanted, targets, _facts(resources, wanted, targets))


def write_kept(resources: Resources, wanted: ObjectSource, kind: Kind, target: Path) -> None:
    """Write one object to an existing file, from memory where it was made before. Raises as `write`.

    Its key is made of everything that the object is: the run's own arrays, which never change, and all that is said
    beside them. Whatever changes that makes another object; a deleted scan's go with its pictures.
    """
    facts = _facts(resources, wanted, (kind,))
    said = json.dumps(asdict(facts), sort_keys=True)
    key = f"{wanted.scan.id}.{kind}.{hashlib.sha256(said.encode()).hexdigest()}"
    data = resources.images.find(key)
    if data is not None:
        with translated_errors():
            target.write_bytes(data)
        return
    with resources.images.making(key) as keep:
        _make(resources, wanted, {kind: target}, facts)
        if target.stat().st_size <= _LARGEST_KEPT_BYTES:
            keep(target.read_bytes())


def _make(resources: Resources, wanted: ObjectSource, targets: Mapping[Kind, Path], facts: Facts) -> None:
    mask = resources.storage.temporary_file()
    try:
        with _place(), translated_errors(), sandbox_errors():
            _write_mask(resources, wanted, mask)
            with resources.storage.local_copy(original_key(wanted.scan.id)) as original:
                make_exports(targets, original, mask, facts)
    except ExportError as error:
        raise NoGeometry(error.message) from error
    except FileNotFoundError as error:
        raise StorageUnavailable("The original file is missing; restore it, or delete the scan.") from error
    finally:
        mask.unlink(missing_ok=True)


def _facts(resources: Resources, wanted: ObjectSource, kinds: Container[Kind]) -> Facts:
    run = wanted.run
    return Facts(
        run=f"{wanted.scan.id} {run.id} {run.attempt}",
        patient=wanted.patient,
        finished_at=(run.finished_at or run.created_at).isoformat(),
        model=run.model,
        model_version=run.model_version or "",
        threshold=run.threshold,
        version=VERSION,
        is_assessed=doubts.is_assessed(run),
        doubt=wanted.doubt,
        measured=_measured(resources, wanted) if Kind.MEASUREMENTS in kinds else {},
    )


def _measured(resources: Resources, wanted: ObjectSource) -> dict[str, Any]:
    scan, measured = wanted.scan, measurements.measure(resources, wanted.measured)
    grid = VolumeGrid.from_json(scan.geometry)
    slices = grid.axial[0]
    is_own = slices.axis == 2 and grid.axial_shape == (scan.slice_count, scan.height, scan.width)
    to_mm = np.array(stack_affine(grid, (scan.slice_count, scan.height, scan.width)))
    lesions = []
    for lesion in measured["lesions"]:
        index = lesion["largest_slice"]
        turned = scan.slice_count - 1 - index if slices.is_turned else index
        ends = {f"{which}_ends_mm": _ends_mm(to_mm, index, lesion[f"{which}_line"]) for which in _LINES}
        lesions.append({**lesion, **ends, "source_slice": turned if is_own else None})
    return {**measured, "verdict": measured["verdict"].value, "lesions": lesions}


def _ends_mm(to_mm: NDArray[np.float64], index: int, line: list[list[float]]) -> list[list[float]]:
    """Of a line on a slice of the stack. line: rows and columns, 0 at the outer corner of the first pixel."""
    ends = np.column_stack([np.full(len(line), index), np.array(line) - 0.5])
    found: list[list[float]] = (ends @ to_mm[:3, :3].T + to_mm[:3, 3]).tolist()
    return found


def _write_mask(resources: Resources, wanted: ObjectSource, target: Path) -> None:
    """Write uint8 (slice, row, column), 0 or 1, on the series' own voxels."""
    scan = wanted.scan
    grid = VolumeGrid.from_json(scan.geometry)
    slices = VolumeSlices(resources, scan, wanted.run, "mask")
    voxels = mask_on_source(grid, slices, (scan.slice_count, scan.height, scan.width))  # (column, row, slice)
    with target.open("wb") as file:
        np.save(file, np.ascontiguousarray(voxels.transpose(2, 1, 0)), allow_pickle=False)


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=_LONGEST_WAIT_S):
        raise TooManyDownloads("Too many downloads are being made right now; try again when one has ended.")
    try:
        yield
    finally:
        _places.release()
