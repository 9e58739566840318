"""Read a case of a data set into arrays (`ml.datasets.case_reader`)."""

from pathlib import Path
from typing import Any

import numpy as np

from ml.datasets.case import DAMAGED, Case, DatasetError
from ml.datasets.loading import load_case
from ml.datasets.volume_slices import file_of, sha256_of_image, volume_of
from ml.sandbox.entries.preload import preload_readers

preload_readers()


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer {"patient", "image", "mask", "outlines", "grid", "runs", "volume", "image_sha256", "mask_sha256"}.

    {"height", "width", "has_truth", "is_skull_stripped", "is_flair"} and the slice's bytes, uint8 (H, W, 3), then
    the mask's bits, packed, of (H, W);
    or {"code", "message"} and no bytes.
    """
    case = Case(
        patient=request["patient"],
        image=Path(request["image"]),
        mask=None if request["mask"] is None else Path(request["mask"]),
        outlines=None if request["outlines"] is None else tuple(map(tuple, request["outlines"])),
        grid=None if request["grid"] is None else (request["grid"][0], request["grid"][1]),
        runs=tuple(request["runs"]),
        volume=volume_of(request["volume"]),
    )
    try:
        sums = ((case.image, case.volume, request["image_sha256"]), (case.mask, None, request["mask_sha256"]))
        for path, volume, expected in sums:
            if path is not None and expected is not None and sha256_of_image(path, volume) != expected:
                text = f"{case.patient}/{file_of(path).name} changed after it was checked; evaluate the folder again."
                return {"code": "changed", "message": text}, b""
        loaded = load_case(case, judges_mask=False)
    except DatasetError as error:
        return {"code": "unreadable", "message": str(error)}, b""
    except OSError as error:
        return _refuse(case, str(error.strerror)), b""
    except Exception:  # noqa: BLE001 - see the package's docstring
        return _refuse(case, DAMAGED), b""
    height, width, _ = loaded.pixels.shape
    header = {
        "height": height,
        "width": width,
        "has_truth": loaded.truth is not None,
        "is_skull_stripped": loaded.is_skull_stripped,
        "is_flair": loaded.is_flair,
    }
    bits = b"" if loaded.truth is None else np.packbits(loaded.truth).tobytes()
    return header, np.ascontiguousarray(loaded.pixels).tobytes() + bits


def _refuse(case: Case, reason: str) -> dict[str, Any]:
    text = f"{case.patient}/{case.file_name} cannot be read ({reason}); replace or remove it."
    return {"code": "unreadable", "message": text}
