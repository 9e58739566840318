"""Read a case's image and mask and say what they hold (`ml.datasets.checking.file_checks`)."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.datasets.case import DAMAGED, LIMITS, draw_outlines, read_mask_values, read_slice
from ml.digests import sha256_of
from ml.sandbox.child import memory_limit_mib
from ml.sandbox.entries.preload import preload_readers
from ml.scans import ScanError

preload_readers()


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The fields of `ml.datasets.checking.file_checks.FileCheck` for {"image", "mask", "outlines", "grid"}."""
    fields: dict[str, Any] = {}
    if request["image"] is not None:
        fields |= _attempt(lambda: _check_image(Path(request["image"])), "image_error")
    if request["mask"] is not None:
        fields |= _attempt(lambda: _check_mask(Path(request["mask"])), "mask_error")
    elif request["outlines"] is not None:
        fields |= _attempt(lambda: _measure(draw_outlines(request["outlines"], request["grid"])), "mask_error")
    return fields, b""


def _attempt(read: Callable[[], dict[str, Any]], error_field: str) -> dict[str, Any]:
    try:
        return read()
    except ScanError as error:
        return {error_field: error.message}
    except MemoryError:
        return {error_field: f"Reading the file needs more memory than the limit of {memory_limit_mib()} MiB."}
    except Exception:  # noqa: BLE001 - see the package's docstring
        return {error_field: DAMAGED}


def _check_image(path: Path) -> dict[str, Any]:
    LIMITS.check_bytes(path.stat().st_size)
    pixels = read_slice(path)  # uint8 (H, W, 3)
    return {
        "image_sha256": sha256_of(path),
        # The same picture in another file format has the same pixels.
        "pixels_sha256": None if pixels.min() == pixels.max() else hashlib.sha256(pixels.tobytes()).hexdigest(),
        "image_size": pixels.shape[:2],
    }


def _check_mask(path: Path) -> dict[str, Any]:
    LIMITS.check_bytes(path.stat().st_size)
    return {"mask_sha256": sha256_of(path), **_measure(read_mask_values(path))}


def _measure(values: NDArray[Any]) -> dict[str, Any]:
    """Size, tumor pixels, and whether there are only background (0) and one other value in the mask (H, W)."""
    # Counting is ten times as fast as sorting, and most masks have 8 bits.
    kinds = np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values)
    is_binary = kinds.size == 1 or (kinds.size == 2 and kinds[0] == 0)
    return {
        "mask_size": values.shape,
        "tumor_pixels": int(np.count_nonzero(values)),
        "is_binary": bool(is_binary),
        "value_count": int(kinds.size),
    }
