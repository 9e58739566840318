"""Read a case's image and mask and say what they hold (`ml.datasets.checking.file_checks`)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.datasets.case import DAMAGED, LIMITS, label_map_of, read_mask, read_slice
from ml.datasets.mask_findings import (
    codes_of_labels,
    count_values,
    digest_of_labels,
    digest_of_pixels,
    trace_mask,
)
from ml.datasets.volume_slices import file_of, sha256_of_image, volume_of
from ml.sandbox.child import memory_limit_mib
from ml.sandbox.entries.preload import preload_readers
from ml.scans import LabelMap, Scan, ScanError

preload_readers()


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The fields of `ml.datasets.checking.file_checks.FileCheck` for {"image", "mask", "outlines", "grid",
    "runs", "volume"}."""
    volume = volume_of(request["volume"])
    scan: Scan | None = None
    fields: dict[str, Any] = {}

    def check_image(path: Path) -> dict[str, Any]:
        nonlocal scan
        LIMITS.check_bytes(file_of(path).stat().st_size)
        scan = read_slice(path, volume)
        pixels: NDArray[np.uint8] = scan.pixels[0]  # (1, H, W, 3) -> (H, W, 3)
        return {
            "image_sha256": sha256_of_image(path, volume),
            "pixels_sha256": digest_of_pixels(pixels),
            "image_size": pixels.shape[:2],
            "image_notes": scan.warnings,
        }

    def check_mask(path: Path) -> dict[str, Any]:
        LIMITS.check_bytes(file_of(path).stat().st_size)
        labels = read_mask(path, Path(request["image"] or request["mask"]), volume)
        return {"mask_sha256": sha256_of_image(path), **_measure(labels, scan)}

    if request["image"] is not None:
        fields |= _attempt(lambda: check_image(Path(request["image"])), "image_error")
    if request["mask"] is not None:
        fields |= _attempt(lambda: check_mask(Path(request["mask"])), "mask_error")
    elif request["outlines"] is not None:
        drawn = partial(label_map_of, request["outlines"], request["runs"], request["grid"])
        fields |= _attempt(lambda: _measure(drawn(), scan), "mask_error")
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


def _measure(labels: LabelMap, scan: Scan | None) -> dict[str, Any]:
    """What a mask holds, and what it looks like beside its slice, where that is of its size."""
    value_count, is_binary = count_values(labels.values)
    truth = labels.values != 0
    fields = {
        "mask_size": truth.shape,
        "tumor_pixels": int(np.count_nonzero(truth)),
        "is_binary": is_binary,
        "value_count": value_count,
    }
    if scan is None or scan.pixels.shape[1:3] != truth.shape:
        return fields
    codes = codes_of_labels(labels, scan.orientation)
    traits = trace_mask(scan.pixels[0], truth, codes, digest_of_labels(labels.values))
    return {**fields, "mask_codes": traits.codes, "truth_sha256": traits.truth_sha256}
