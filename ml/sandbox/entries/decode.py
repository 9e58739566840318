"""Decode one file and write its pixels to a stack file (`ml.sandbox.decoder`)."""

import contextlib
import errno
import os
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.datasets.mask_findings import codes_of_labels
from ml.sandbox.child import memory_limit_mib
from ml.sandbox.entries.preload import preload_readers
from ml.scans import read_label_stack
from ml.scans.scan import Limits, Scan, ScanError

preload_readers()


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer {"source", "stack", "limits"} with {"spare_bytes", "reader"} of a scan, or {"orientation"} of a mask.

    reader: "module:function" of `(path, limits) -> Scan`. orientation: the tag of the mask's scan.
    The fields of `Decoded` or `DecodedMask`; or {"code", "message", "cause"}; or {"errno"} where the stack cannot be
    stored.
    """
    try:
        return (_decode_mask if "orientation" in request else _decode_scan)(request), b""
    except ScanError as error:
        return _refuse(error.code, error.message, error), b""
    except MemoryError as error:
        text = (
            f"Decoding the file needs more memory than the limit of {memory_limit_mib()} MiB; "
            "crop the image, make it smaller or split it."
        )
        return _refuse("limit", text, error), b""
    except Exception as error:  # noqa: BLE001 - see the package's docstring
        text = "The file is damaged or of a variant that is not read; export it again as PNG or TIFF."
        return _refuse("unreadable", text, error), b""


def _decode_scan(request: dict[str, Any]) -> dict[str, Any]:
    module, _, function = request["reader"].partition(":")
    scan = getattr(import_module(module), function)(Path(request["source"]), Limits(**request["limits"]))
    return store(scan, Path(request["stack"]), request["spare_bytes"])


def _decode_mask(request: dict[str, Any]) -> dict[str, Any]:
    """The masks' bits, slice by slice: the labels of a stack are never in memory together."""
    bits: list[NDArray[np.uint8]] = []
    codes: list[tuple[str, ...]] = []
    size = (0, 0)
    for labels in read_label_stack(Path(request["source"]), Limits(**request["limits"])):
        truth = labels.values != 0  # (H, W)
        size = truth.shape
        bits.append(np.packbits(truth, axis=1))  # (H, W) -> (H, bytes of a row)
        codes.append(codes_of_labels(labels, request["orientation"]))
    try:
        with Path(request["stack"]).open("wb") as file:
            np.save(file, np.stack(bits), allow_pickle=False)
    except OSError as error:
        return {"errno": error.errno or errno.ENOSPC}
    return {"height": size[0], "width": size[1], "slice_count": len(bits), "codes": codes}


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
        "warnings": (*scan.warnings, *(("gray_repeated",) if _is_gray(scan.pixels) else ())),
    }


def _refuse(code: str, message: str, cause: Exception) -> dict[str, Any]:
    return {"code": code, "message": message, "cause": type(cause).__name__}


def _is_gray(pixels: NDArray[np.uint8]) -> bool:
    """Whether the three channels are equal. uint8 (N, H, W, 3); slice by slice, so that memory stays small."""
    return all(bool((page[..., :1] == page[..., 1:]).all()) for page in pixels)
