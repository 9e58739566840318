"""The sandboxed process that reads one chunk's cases, a child of `ml.sandbox.server`: requests in, arrays out.

A request is a JSON line; the answer is a JSON line and, where the case could be read, its bytes: the slice, uint8
(H, W, 3), then the mask's bits, packed. Whatever a damaged or hostile file does in here ends this process at worst.
"""

import hashlib
import json
import signal
import socket
from pathlib import Path
from typing import Any

import numpy as np

from ml.datasets.case import DAMAGED, TIMEOUT_S, Case, DatasetError
from ml.datasets.loading import load_case
from ml.sandbox.entries.decode import ChildOptions, restrict
from ml.scans.scan import Limits

MAX_REQUEST_BYTES = 64 * 2**20  # polygons of a COCO image


def run_chunk(connection: socket.socket, options: ChildOptions, server_pid: int) -> None:
    """Answer requests until the owner closes its side."""
    restrict(Limits(**options.limits), options, server_pid)
    signal.setitimer(signal.ITIMER_REAL, 0)  # each case has its own, from here on
    with connection.makefile("rb") as stream:
        while line := stream.readline(MAX_REQUEST_BYTES):
            signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
            header, payload = answer(json.loads(line))
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.sendall(json.dumps(header).encode() + b"\n" + payload)


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Header and bytes for {"patient", "image", "mask", "outlines", "grid", "image_sha256", "mask_sha256"}."""
    case = Case(
        patient=request["patient"],
        image=Path(request["image"]),
        mask=None if request["mask"] is None else Path(request["mask"]),
        outlines=None if request["outlines"] is None else tuple(map(tuple, request["outlines"])),
        grid=None if request["grid"] is None else (request["grid"][0], request["grid"][1]),
    )
    try:
        for path, expected in ((case.image, request["image_sha256"]), (case.mask, request["mask_sha256"])):
            if path is not None and expected is not None and _sha256_of(path) != expected:
                text = f"{case.patient}/{path.name} changed after it was checked; evaluate the folder again."
                return _failure("changed", text), b""
        loaded = load_case(case)
    except DatasetError as error:
        return _failure("unreadable", str(error)), b""
    except OSError as error:
        text = f"{case.patient}/{case.image.name} cannot be read ({error.strerror}); replace or remove it."
        return _failure("unreadable", text), b""
    except Exception:  # noqa: BLE001 - readers raise anything on bad bytes, and this process is their sandbox
        text = f"{case.patient}/{case.image.name} cannot be read ({DAMAGED}); replace or remove it."
        return _failure("unreadable", text), b""
    height, width, _ = loaded.pixels.shape
    header = {"height": height, "width": width, "has_truth": loaded.truth is not None}
    bits = b"" if loaded.truth is None else np.packbits(loaded.truth).tobytes()
    return header, np.ascontiguousarray(loaded.pixels).tobytes() + bits


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message}


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
