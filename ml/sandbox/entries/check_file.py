"""The process that reads the files of a data set, started by `ml.datasets.checking.file_checks`.

It takes one case a line on standard input and answers with one line, under limits of memory and time that the kernel
holds. Whatever a damaged or hostile file does in here ends this process at worst; the owner starts another.
"""

import contextlib
import hashlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ml.datasets.case import DAMAGED, LIMITS, MEMORY_BYTES, TIMEOUT_S, draw_outlines, read_mask_values, read_slice
from ml.scans import ScanError


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # libraries print pieces of files
        os.dup2(quiet, stream)
    _restrict()
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
        answer = examine(json.loads(line))
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def examine(case: dict[str, Any]) -> dict[str, Any]:
    """The fields of `ml.datasets.checking.file_checks.FileCheck` for {"image", "mask", "outlines", "grid"}."""
    answer: dict[str, Any] = {}
    if case["image"] is not None:
        answer |= _attempt(lambda: _examine_image(Path(case["image"])), "image_error")
    if case["mask"] is not None:
        answer |= _attempt(lambda: _examine_mask(Path(case["mask"])), "mask_error")
    elif case["outlines"] is not None:
        answer |= _attempt(lambda: _measure(draw_outlines(case["outlines"], case["grid"])), "mask_error")
    return answer


def _attempt(read: Callable[[], dict[str, Any]], error_field: str) -> dict[str, Any]:
    try:
        return read()
    except ScanError as error:
        return {error_field: error.message}
    except MemoryError:
        return {error_field: f"Reading the file needs more memory than the limit of {MEMORY_BYTES // 2**20} MiB."}
    except Exception:  # noqa: BLE001 - readers raise anything on bad bytes, and this process is their sandbox
        return {error_field: DAMAGED}


def _examine_image(path: Path) -> dict[str, Any]:
    LIMITS.check_bytes(path.stat().st_size)
    pixels = read_slice(path)  # (H, W, 3)
    return {
        "image_sha256": _sha256_of(path),
        # The same picture in another file format has the same pixels.
        "pixels_sha256": None if pixels.min() == pixels.max() else hashlib.sha256(pixels.tobytes()).hexdigest(),
        "image_size": pixels.shape[:2],
    }


def _examine_mask(path: Path) -> dict[str, Any]:
    LIMITS.check_bytes(path.stat().st_size)
    return {"mask_sha256": _sha256_of(path), **_measure(read_mask_values(path))}


def _measure(values: np.ndarray) -> dict[str, Any]:
    """Size, tumour pixels, and whether there are only background (0) and one other value in the mask (H, W)."""
    # Counting is ten times as fast as sorting, and most masks have 8 bits.
    kinds = np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values)
    is_binary = kinds.size == 1 or (kinds.size == 2 and kinds[0] == 0)
    return {
        "mask_size": values.shape,
        "tumor_pixels": int(np.count_nonzero(values)),
        "is_binary": bool(is_binary),
        "value_count": int(kinds.size),
    }


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _restrict() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # no handler: a codec that hangs in C never returns to one
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the owner
    for kind, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        _, ceiling = resource.getrlimit(kind)
        limit = limit if ceiling == resource.RLIM_INFINITY else min(limit, ceiling)
        with contextlib.suppress(ValueError):
            resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    main()
