"""Cases of a data set that need not be trusted, read in sandboxed child processes: one child for each chunk of cases.

`ml.evaluation.run` takes `ChunkReader.read` in place of reading in its own process, and sees the same arrays and the
same sentences.
"""

import contextlib
import json
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ml.datasets.case import DAMAGED, LIMITS, MEMORY_BYTES, TIMEOUT_S, Case
from ml.datasets.loading import LoadedCase
from ml.sandbox.entries.decode import ChildOptions, make_options
from ml.sandbox.launcher import ServerProcess

logger = logging.getLogger(__name__)

ENTRY = "ml.sandbox.entries.read_cases:run_chunk"
_MAX_HEADER_BYTES = 64 * 1024
# Beyond the child's own alarm, after which the socket is given up.
_GRACE_S = 10.0


@dataclass(frozen=True)
class UnreadCase:
    """A case that could not be read: a code (`unreadable`, `changed`) and one sentence."""

    case: Case
    code: str
    message: str


@dataclass(frozen=True)
class Digests:
    """What a case's files were when the data set was checked; None is not compared."""

    image_sha256: str | None = None
    mask_sha256: str | None = None


class CaseReader:
    """Owns the server that forks the children; one for each process that evaluates. Not thread-safe.

    chunk_timeout_s: how long one child may live, the work between its cases included.
    """

    def __init__(self, chunk_timeout_s: float) -> None:
        options = make_options(LIMITS, MEMORY_BYTES, chunk_timeout_s, reader="")
        self._options = ChildOptions(options.limits, options.memory_bytes, options.timeout_s, options.reader, ENTRY)
        self._process: ServerProcess | None = None

    @contextmanager
    def chunk(self) -> Iterator["ChunkReader"]:
        """A reader whose child sees the cases of this block alone."""
        reader = ChunkReader(self)
        try:
            yield reader
        finally:
            reader.close()

    def connect(self) -> socket.socket:
        """A socket to a new child. Raises OSError where no process is to be had."""
        if self._process is None or self._process.has_ended():
            if self._process is not None:
                self._process.stop()
            self._process = ServerProcess(self._options)
        return self._process.open_connection(TIMEOUT_S + _GRACE_S)

    def close(self) -> None:
        """End the server and its children."""
        if self._process is not None:
            self._process.stop()
            self._process = None


class ChunkReader:
    """Reads the cases of one chunk; a case that ends the child is named, and a new child reads the rest."""

    def __init__(self, owner: CaseReader) -> None:
        self._owner = owner
        self._socket: socket.socket | None = None
        self._stream: BinaryIO | None = None

    def read(self, case: Case, digests: Digests) -> LoadedCase | UnreadCase:
        """One case's arrays, or why there are none. Raises OSError where no child can be started."""
        if self._socket is None:
            self._socket = self._owner.connect()
            self._stream = self._socket.makefile("rb")
        request = {
            "patient": case.patient,
            "image": str(case.image),
            "mask": None if case.mask is None else str(case.mask),
            "outlines": case.outlines,
            "grid": case.grid,
            "image_sha256": digests.image_sha256,
            "mask_sha256": digests.mask_sha256,
        }
        header: dict[str, Any] = {}
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._socket.sendall(json.dumps(request).encode() + b"\n")
            header = self._receive_header()
            if isinstance(header.get("code"), str) and isinstance(header.get("message"), str):
                return UnreadCase(case, header["code"][:40], header["message"][:2000])
            return self._receive_arrays(case, header)
        except (OSError, ValueError, KeyError, TypeError) as error:
            # A child that died, hangs, or was taken over by its file and says anything.
            logger.warning("a child that read a case gave no answer: %s, %s", type(error).__name__, header.get("exit"))
            self.close()
            return self._explain_death(case, header)

    def close(self) -> None:
        """Let the child end."""
        for item in (self._stream, self._socket):
            if item is not None:
                with contextlib.suppress(OSError):
                    item.close()
        self._socket = self._stream = None

    def _receive_header(self) -> dict[str, Any]:
        header = json.loads(self._stream.readline(_MAX_HEADER_BYTES))
        if not isinstance(header, dict):
            raise ValueError("no header")
        return header

    def _receive_arrays(self, case: Case, header: dict[str, Any]) -> LoadedCase:
        """The arrays that a header announces. Raises ValueError, KeyError or TypeError where it makes no sense."""
        height, width, has_truth = int(header["height"]), int(header["width"]), bool(header["has_truth"])
        if min(height, width) < 1 or height * width > LIMITS.max_pixels_per_slice or has_truth != case.has_truth:
            raise ValueError("not the size of a slice")
        pixels = np.frombuffer(self._receive(height * width * 3), dtype=np.uint8).reshape(height, width, 3)
        if not has_truth:
            return LoadedCase(case, pixels, None)
        bits = np.frombuffer(self._receive((height * width + 7) // 8), dtype=np.uint8)
        return LoadedCase(case, pixels, np.unpackbits(bits, count=height * width).reshape(height, width).view(bool))

    def _receive(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise ValueError("cut off")
        return data

    def _explain_death(self, case: Case, header: dict[str, Any]) -> UnreadCase:
        if header.get("exit") == -signal.SIGALRM:
            reason = f"Reading takes longer than the limit of {TIMEOUT_S:g} s."
        else:
            reason = DAMAGED
        return UnreadCase(
            case, "unreadable", f"{case.patient}/{case.image.name} cannot be read ({reason}); replace or remove it."
        )
