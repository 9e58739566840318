"""One decode in one forked process: limits on, read, write the stack, answer in one line, end.

The only place of the project that catches every exception: readers raise more than nine types of them on bad files.
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from ml.scans.scan import Limits, Scan, ScanError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_REQUEST_BYTES = 64 * 1024
_MAX_OPEN_FILES = 32
_NPY_HEADER_BYTES = 4096  # more than NumPy writes
_GRACE_S = 1.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class ChildOptions:
    """What the server is started with; JSON on its command line.

    reader: "module:function" of `(path, limits) -> Scan`; not `ml.scans:read_scan` only in tests of faults.
    entry: "module:function" of `(connection, options, server_pid)`: what a child does.
    """

    limits: dict[str, int]
    memory_bytes: int
    timeout_s: float
    reader: str
    entry: str = "ml.sandbox.entries.decode:run_child"


def run_child(connection: socket.socket, options: ChildOptions, server_pid: int) -> None:
    """Read the request `{"source", "stack"}` (a JSON line), answer with a JSON line.

    The answer: the fields of `Decoded`, or {"code", "message", "cause"}, or {"errno"} where the stack cannot be stored.
    """
    limits = Limits(**options.limits)
    restrict(limits, options, server_pid)
    with connection.makefile("rb") as stream:
        request = json.loads(stream.readline(_MAX_REQUEST_BYTES))
    answer = _decode(Path(request["source"]), Path(request["stack"]), limits, options)
    connection.sendall(json.dumps(answer).encode() + b"\n")


def restrict(limits: Limits, options: ChildOptions, server_pid: int) -> None:
    """Memory, time, file size and files of this process; the kernel enforces them."""
    _die_with(server_pid)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)  # libraries print pieces of files
    os.close(quiet)
    # The server's kill comes first; the alarm is for a server that was stopped.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, options.timeout_s + _GRACE_S)
    seconds = ceil(options.timeout_s)
    for kind, soft, hard in (
        (resource.RLIMIT_AS, options.memory_bytes, options.memory_bytes),
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_FSIZE, 3 * limits.max_voxels + _NPY_HEADER_BYTES, 3 * limits.max_voxels + _NPY_HEADER_BYTES),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES, _MAX_OPEN_FILES),
    ):
        _, ceiling = resource.getrlimit(kind)
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(kind, (soft, hard))


def _die_with(server_pid: int) -> None:
    """Let the kernel kill this process when the server dies, so that its caller hears of it at once (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server_pid:  # it died before that
        os._exit(1)


def _decode(source: Path, stack: Path, limits: Limits, options: ChildOptions) -> dict[str, object]:
    try:
        module, _, function = options.reader.partition(":")
        scan = getattr(import_module(module), function)(source, limits)
    except ScanError as error:
        return {"code": error.code, "message": error.message, "cause": "ScanError"}
    except MemoryError:
        return {
            "code": "limit",
            "message": f"Decoding the file needs more memory than the limit of {options.memory_bytes // 2**20} MiB; "
            "crop the image, make it smaller or split it.",
            "cause": "MemoryError",
        }
    except Exception as error:  # noqa: BLE001 - the sandbox: see the module's docstring
        return {
            "code": "unreadable",
            "message": "The file is damaged or of a variant that is not read; export it again as PNG or TIFF.",
            "cause": type(error).__name__,
        }
    return _store(scan, stack)


def _store(scan: Scan, stack: Path) -> dict[str, object]:
    import numpy as np

    slice_count, height, width, _ = scan.pixels.shape
    try:
        with stack.open("wb") as file:
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
        "spacing_mm": scan.spacing_mm,
        "warnings": (*scan.warnings, *(("gray_repeated",) if _is_gray(scan.pixels) else ())),
    }


def _is_gray(pixels: "NDArray[np.uint8]") -> bool:
    """Whether the three channels are one: pixels are uint8 (N, H, W, 3). Slice by slice, so that memory stays small."""
    return all((page[..., :1] == page[..., 1:]).all() for page in pixels)


def make_options(limits: Limits, memory_bytes: int, timeout_s: float, reader: str) -> ChildOptions:
    """Options as the server takes them."""
    return ChildOptions(asdict(limits), memory_bytes, timeout_s, reader)
