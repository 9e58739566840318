"""The border: bytes of strangers go in here, and a checked stack of plain pixels comes out.

A `Decoder` owns one decode server (`ml.sandbox.server`), a process of its own without secrets in its environment, that
starts at the first decode and again where it is gone. Whatever a file does to its child, the caller sees a ScanError.
Importing this module loads neither numpy nor a reader.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import threading
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from ml.sandbox.entries.decode import make_options
from ml.sandbox.launcher import ServerProcess
from ml.scans.scan import ErrorCode, Limits, ScanError
from ml.scans.stack import check_stack_file

logger = logging.getLogger(__name__)

_MAX_ANSWER_BYTES = 64 * 1024
# The server kills at `timeout_s`; a server that is silent for so much longer is itself broken.
_SERVER_GRACE_S = 5.0
_START_S = 30.0  # the first decode waits for the imports of the server, on a busy disk too
_ATTEMPTS = 2
_DYING_S = 0.5  # between the end of its sockets and the end of a server
ERROR_CODES = get_args(ErrorCode)


@dataclass(frozen=True)
class Decoded:
    """What is known of a scan whose pixels lie in the stack file: the fields of `Scan`, and its size in pixels."""

    format: str
    width: int
    height: int
    slice_count: int
    spacing_mm: tuple[float, float, float] | None
    warnings: tuple[str, ...]


class DecoderError(OSError):
    """The decode server cannot be started or kept: a fault of the machine or the installation, not of the file."""


class Decoder:
    """Decodes files in sandboxed child processes. Thread-safe; follows its owner through forks.

    limits: of headers and sizes. memory_bytes: address space of one child, all its libraries (190 MB) included.
    timeout_s: wall and processor time of one decode. children: decodes at the same time; the others wait their turn.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        memory_bytes: int = 2**30,
        timeout_s: float = 10.0,
        children: int = 4,
        *,
        reader: str = "ml.scans:read_scan",
    ) -> None:
        self.limits = limits or Limits()
        self._timeout_s = timeout_s
        self._children = children
        self._options = make_options(self.limits, memory_bytes, timeout_s, reader)
        self._forget_process()
        _DECODERS.add(self)

    def decode(self, source: Path, stack: Path) -> Decoded:
        """Decode `source` and write its pixels to `stack`: .npy, uint8 (N, H, W, 3).

        Where it raises, `stack` does not exist. Raises ScanError for anything that is the file's fault or kills its
        child, and OSError (DecoderError) for our own faults: no room for the stack, no process to be had.
        """
        try:
            self.limits.check_bytes(source.stat().st_size)
            with self._turns:
                lines = self._exchange(source, stack)
            return self._read_answer(lines, stack)
        except BaseException:
            stack.unlink(missing_ok=True)
            raise

    def warm_up(self) -> None:
        """Start the server now, so that the first decode does not wait for it (call after a fork, not before)."""
        self._connect(self._ensure_process()).close()

    def close(self) -> None:
        """End the server and its children. A later decode starts it again."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.stop()

    @property
    def server_pid(self) -> int | None:
        """Process id of the server, None where none runs."""
        process = self._process
        return process.pid if process is not None and not process.has_ended() else None

    def _exchange(self, source: Path, stack: Path) -> list[dict[str, Any]]:
        """Send the request, read the child's and the server's line; once more where the server went away."""
        request = json.dumps({"source": str(source.resolve()), "stack": str(stack.resolve())}).encode() + b"\n"
        for _ in range(_ATTEMPTS):
            process = self._ensure_process()
            lines = []
            with contextlib.suppress(BrokenPipeError, ConnectionResetError), self._connect(process) as connection:
                connection.sendall(request)
                lines = self._receive(connection)
            if lines and ("exit" in lines[-1] or "errno" in lines[-1]):
                return lines
            if not process.has_ended(_DYING_S):
                return [{"exit": "without a word"}]  # only a child that meddles with its socket gets here
            logger.warning("the decode server ended during a decode; it is started again")
        raise DecoderError("The decode server does not stay alive; see its messages in the log and start again.")

    def _ensure_process(self) -> ServerProcess:
        with self._lock:
            if self._process is None or self._process.has_ended():
                if self._process is not None:
                    self._process.stop()
                self._process = ServerProcess(self._options)
            return self._process

    def _connect(self, process: ServerProcess) -> socket.socket:
        """A socket whose other end a new child holds, or soon will."""
        return process.open_connection(self._timeout_s + _SERVER_GRACE_S + _START_S)

    def _receive(self, connection: socket.socket) -> list[dict[str, Any]]:
        """All lines until the other side closes; [] where that never happens or they are no JSON."""
        data = b""
        try:
            while len(data) < _MAX_ANSWER_BYTES and (piece := connection.recv(_MAX_ANSWER_BYTES)):
                data += piece
            return [json.loads(line) for line in data.splitlines()]
        except TimeoutError:
            logger.warning("the decode server is silent; it is killed")
            self.close()
        except ValueError:
            return [{"exit": "nonsense"}]
        return []

    def _read_answer(self, lines: list[dict[str, Any]], stack: Path) -> Decoded:
        """Decoded from the lines of child and server. Raises ScanError or OSError."""
        answer = lines[0]
        if isinstance(number := answer.get("errno"), int):
            raise OSError(number, f"The decoded scan cannot be stored: {os.strerror(number)}")
        if (code := answer.get("code")) in ERROR_CODES:
            logger.info("scan refused: %s (%s)", code, answer.get("cause"))
            raise ScanError(code, str(answer.get("message")))
        if "format" not in answer:
            raise self._explain_death(lines)
        try:
            decoded = Decoded(**answer)
        except TypeError as error:  # a child that was taken over by its file may say anything
            raise self._explain_death(lines) from error
        if decoded.spacing_mm is not None:
            decoded = replace(decoded, spacing_mm=tuple(decoded.spacing_mm))
        decoded = replace(decoded, warnings=tuple(decoded.warnings))
        check_stack_file(stack, (decoded.slice_count, decoded.height, decoded.width, 3))
        return decoded

    def _explain_death(self, lines: list[dict[str, Any]]) -> ScanError:
        """The error of a child that gave no (good) answer, by how it ended."""
        end = lines[-1]
        code = end.get("exit")
        logger.warning("a decode child ended without an answer: exit %s, expired %s", code, end.get("expired"))
        if end.get("expired") or code in (-signal.SIGXCPU, -signal.SIGALRM):
            return ScanError(
                "limit",
                f"Decoding the file takes longer than the limit of {self._timeout_s:g} s; make it smaller or split it.",
            )
        if code == -signal.SIGKILL:  # not ours: the kernel's, where the machine is out of memory
            return ScanError("limit", "Decoding the file needs more memory than there is; make it smaller or split it.")
        return ScanError("unreadable", "The file breaks its decoder, so it is damaged; export it again as PNG or TIFF.")

    def _forget_process(self) -> None:
        """Start without a server: at first, and in a forked process, which must not talk to its parent's."""
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(self._children)
        self._process: ServerProcess | None = None

    def _after_fork(self) -> None:
        if self._process is not None:
            self._process.abandon()
        self._forget_process()


_DECODERS: weakref.WeakSet[Decoder] = weakref.WeakSet()


def _renew_decoders() -> None:
    for decoder in list(_DECODERS):
        decoder._after_fork()


os.register_at_fork(after_in_child=_renew_decoders)
