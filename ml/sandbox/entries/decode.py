"""Decode one file and write its pixels to a stack file (`ml.sandbox.decoder`)."""

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.datasets.mask_findings import (
    CUT_OFF,
    NON_BINARY,
    ON_ANOTHER_GRID,
    RESAMPLED,
    codes_of_labels,
    digest_of_labels,
)
from ml.sandbox.child import memory_limit_mib
from ml.sandbox.entries.preload import preload_readers
from ml.scans import LabelMap, read_label_stack, read_labels_on, read_volume
from ml.scans.readers.dicom.copies import write_copies
from ml.scans.readers.dicom.elements import read_dataset
from ml.scans.readers.dicom.identifiers import without_people
from ml.scans.readers.dicom.instances import Instance, read_instance
from ml.scans.readers.dicom.people import captures_beside_images, whose_files
from ml.scans.readers.dicom.reader import read_series
from ml.scans.readers.dicom.series import sort_files
from ml.scans.scan import DamagedFile, Limits, Scan, ScanError
from ml.volumes.grid import Shape, VolumeGrid
from ml.volumes.label_volumes import (
    LEAST_SHARE_INSIDE,
    LabelVolume,
    covers_middle,
    cut_labels,
    is_cut_off,
    is_same_lattice,
    share_inside,
)
from ml.volumes.places import unplaced, why_unplaced

preload_readers()

_CAPTURE = (
    "A capture of a screen or a film (Secondary Capture) beside its patient's MR images, which are read; send it alone"
    " if it is a slice."
)
_ELSEWHERE = "Both must have one frame of reference (an atlas is another one): export the mask on the scan's own grid."


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer {"source", "stack", "limits"} with {"spare_bytes", "reader"} of a scan, or {"orientation", "grid",
    "shape", "regions"} of a mask; {"sources", "folders", "limits"}, DICOM files to sort; or {"sources", "stack",
    "original", "limits", "spare_bytes", "names", "volume"}, one scan's.

    reader: "module:function" of `(path, limits) -> Scan`. orientation: the tag of the mask's scan; grid, shape:
    its voxels and its stack, where it is a volume. The answer has the fields of `Decoded`, `DecodedMask` or
    `SortedFiles`; or {"code", "message", "cause"}; or {"errno"} where what it writes cannot be stored.
    """
    try:
        return _task_of(request)(request), b""
    except ScanError as error:
        files = [[item.place, item.message] for item in error.files]
        return {**_refuse(error.code, error.message, error), "files": files}, b""
    except MemoryError as error:
        return _refuse("limit", _too_much_memory(), error), b""
    except Exception as error:  # noqa: BLE001 - see the package's docstring
        text = "The file is damaged or of a variant that is not read; export it again as PNG or TIFF."
        return _refuse("unreadable", text, error), b""


def _task_of(request: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    if "sources" in request:
        return _decode_series if "stack" in request else _sort_series
    return _decode_mask if "orientation" in request else _decode_scan


def _sort_series(request: dict[str, Any]) -> dict[str, Any]:
    """The files of each scan, by their places, and those that are refused, each with the number of its reason."""
    limits = Limits(**request["limits"])
    instances, places, refused, reasons = [], [], [], dict[tuple[str, str, bool], int]()
    for place, source in enumerate(request["sources"]):
        try:
            instances.append(_header_of(Path(source), limits))
            places.append(place)
        except ScanError as error:
            reason = (error.code, error.message, isinstance(error, DamagedFile))
            refused.append((place, reasons.setdefault(reason, len(reasons))))
    people = whose_files(instances, [request["folders"][place] for place in places])
    for index in reversed(captures_beside_images(instances, people)):
        refused.append((places[index], reasons.setdefault(("unsupported", _CAPTURE, False), len(reasons))))
        del instances[index], places[index], people[index]
    groups = sort_files(instances, people)
    patients = list(dict.fromkeys(people[group[0]].person for group in groups))
    return {
        "series": [
            {
                "places": [places[index] for index in group],
                "label": asdict(instances[group[0]].label),
                "patient": patients.index(people[group[0]].person),
                "digest": instances[group[0]].patient,
                "born": instances[group[0]].born,
                "examination": instances[group[0]].examination,
            }
            for group in groups
        ],
        "refused": refused,
        "reasons": list(reasons),
    }


def _header_of(source: Path, limits: Limits) -> Instance:
    """One file's header, which takes no other with it. Raises ScanError."""
    try:
        return read_instance(source, limits)
    except ScanError:
        raise
    except MemoryError as error:  # a deflated dataset that unpacks to gigabytes; what it took is free again
        raise ScanError("limit", _too_much_memory()) from error
    except Exception as error:  # see the package's docstring
        raise DamagedFile("The DICOM header is damaged; copy or export the file again.") from error


def _decode_series(request: dict[str, Any]) -> dict[str, Any]:
    sources = [Path(source) for source in request["sources"]]
    scan = read_series(sources, Limits(**request["limits"]), request["volume"])
    lacking = {item.place for item in scan.left_out}
    kept = [source for place, source in enumerate(sources) if place not in lacking]
    try:
        write_copies(kept, Path(request["original"]))
    except OSError as error:
        return {"errno": error.errno or errno.ENOSPC}
    stored = store(scan, Path(request["stack"]), request["spare_bytes"])
    return stored if "errno" in stored else {**stored, "names": _safe_names(request["names"], kept[0])}


def _safe_names(names: list[str], source: Path) -> list[str]:
    """The names without what the header says of people; empty where the header's words cannot be read."""
    try:
        header = read_dataset(source, is_whole=False)
        return without_people(names, header)
    except Exception:  # noqa: BLE001 - damaged words refuse no picture
        return [""] * len(names)


def _decode_scan(request: dict[str, Any]) -> dict[str, Any]:
    if (volume := request.get("volume")) is not None:
        scan = read_volume(Path(request["source"]), Limits(**request["limits"]), volume)
        return store(scan, Path(request["stack"]), request["spare_bytes"])
    module, _, function = request["reader"].partition(":")
    scan = getattr(import_module(module), function)(Path(request["source"]), Limits(**request["limits"]))
    return store(scan, Path(request["stack"]), request["spare_bytes"])


def _decode_mask(request: dict[str, Any]) -> dict[str, Any]:
    """The masks' bits, slice by slice: the labels of a stack are never in memory together."""
    bits: list[NDArray[np.uint8]] = []
    codes: list[tuple[str, ...]] = []
    digests: list[str | None] = []
    size = (0, 0)
    for truth, of_slice, digest in _truths(request):
        size = truth.shape
        bits.append(np.packbits(truth, axis=1))  # (H, W) -> (H, bytes of a row)
        codes.append(of_slice)
        digests.append(digest)
    try:
        with Path(request["stack"]).open("wb") as file:
            np.save(file, np.stack(bits), allow_pickle=False)
    except OSError as error:
        return {"errno": error.errno or errno.ENOSPC}
    return {"height": size[0], "width": size[1], "slice_count": len(bits), "codes": codes, "digests": digests}


# A slice's mask, bool (H, W), the codes of what is doubtful about it, and its `digest_of_labels`.
_Truth = tuple[NDArray[np.bool], tuple[str, ...], str | None]


def _truths(request: dict[str, Any]) -> Iterator[_Truth]:
    """Those of all slices."""
    source, limits = Path(request["source"]), Limits(**request["limits"])
    grid = None if request["grid"] is None else VolumeGrid.from_json(request["grid"])
    volume = None if grid is None else read_labels_on(source, limits, grid, request["regions"])
    if grid is not None and volume is not None:
        yield from _truths_of_volume(volume, grid, tuple(request["shape"]))
        return
    labels: LabelMap
    for labels in read_label_stack(source, limits):
        codes = codes_of_labels(labels, request["orientation"])
        yield labels.values != 0, codes, digest_of_labels(labels.values)


def _truths_of_volume(volume: LabelVolume, grid: VolumeGrid, shape: Shape) -> Iterator[_Truth]:
    """Raises ScanError where the mask lies elsewhere than the scan, or one of both does not say where."""
    if (lacking := unplaced(grid, volume.grid)) is not None:
        names = ("the scan", "the mask") if lacking is grid else ("the mask", "the scan")
        raise ScanError("unreadable", why_unplaced(*names))
    share = share_inside(volume, grid)
    if share is None and not covers_middle(volume.grid, grid):
        raise ScanError("unreadable", f"The mask lies elsewhere than its scan. {_ELSEWHERE}")
    if share is not None and share < LEAST_SHARE_INSIDE:
        raise ScanError("unreadable", f"Of the mask's tumor {share:.0%} lies inside the scan. {_ELSEWHERE}")
    of_all = () if volume.has_labels else (NON_BINARY,)  # several labels are usual here
    signs = {
        ON_ANOTHER_GRID: not is_same_lattice(volume.grid, grid),
        CUT_OFF: is_cut_off(volume, grid),
        RESAMPLED: shape != grid.axial_shape,
    }
    of_marked = tuple(code for code, is_there in signs.items() if is_there)
    for truth in cut_labels(volume, grid, shape):
        yield truth, (*of_all, *(of_marked if truth.any() else ())), digest_of_labels(truth)


def store(scan: Scan, stack: Path, spare_bytes: int) -> dict[str, Any]:
    """Write the pixels where that leaves enough room, and say what is known of them."""
    slice_count, height, width, _ = scan.pixels.shape
    try:
        with stack.open("wb") as file:
            if sys.platform == "linux":
                # Taken before it is asked what is left: decodes at the same time see each other's.
                os.posix_fallocate(file.fileno(), 0, scan.pixels.nbytes)
            if shutil.disk_usage(stack.parent).free < spare_bytes + scan.pixels.nbytes // 3:
                raise OSError(errno.ENOSPC, "no room for the stack and its map")
            np.save(file, scan.pixels, allow_pickle=False)
    except OSError as error:
        with contextlib.suppress(OSError):
            stack.unlink(missing_ok=True)
        # NumPy's own "N requested and M written" has no errno: that is a write which a full disk cut short.
        return {"errno": error.errno or errno.ENOSPC}
    return {
        "format": scan.format,
        "width": width,
        "height": height,
        "slice_count": slice_count,
        "spacing_mm": None if scan.geometry is None else scan.geometry.spacing_mm,
        "orientation": scan.orientation,
        "grid": None if scan.grid is None else scan.grid.to_json(),
        "sequence": scan.sequence,
        "details": dict(scan.details),
        "left_out": [[item.place, item.message] for item in scan.left_out],
        "warnings": (*scan.warnings, *(("gray_repeated",) if _is_gray(scan.pixels) else ())),
    }


def _too_much_memory() -> str:
    return (
        f"Decoding the file needs more memory than the limit of {memory_limit_mib()} MiB; "
        "crop the image, make it smaller or split it."
    )


def _refuse(code: str, message: str, cause: Exception) -> dict[str, Any]:
    return {"code": code, "message": message, "cause": type(cause).__name__}


def _is_gray(pixels: NDArray[np.uint8]) -> bool:
    """Whether the three channels are equal. uint8 (N, H, W, 3); slice by slice, so that memory stays small."""
    return all(bool((page[..., :1] == page[..., 1:]).all()) for page in pixels)
