"""Every file of a data set, read once in sandboxed processes, one for each processor core."""

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.datasets.case import DAMAGED, TIMEOUT_S, Case

_PROJECT = Path(__file__).resolve().parents[3]
# Nothing of the owner's environment, which may hold secrets; one BLAS thread, which costs less address space.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
_COMMAND = (sys.executable, "-m", "ml.sandbox.entries.check_file")
_MAX_ANSWER_BYTES = 4096
_STOP_S = 2.0


@dataclass(frozen=True)
class FileCheck:
    """What one case's files hold; None where the file is missing or cannot be read.

    pixels_sha256: of the decoded slice, None where all its pixels are equal. Sizes are (height, width). is_binary:
    background 0 and one other value, or one value. value_count: different values in the mask.
    """

    image_sha256: str | None = None
    pixels_sha256: str | None = None
    image_size: tuple[int, int] | None = None
    image_error: str | None = None
    mask_sha256: str | None = None
    mask_size: tuple[int, int] | None = None
    tumor_pixels: int | None = None
    is_binary: bool | None = None
    value_count: int | None = None
    mask_error: str | None = None


def examine_cases(cases: Sequence[Case], processes: int | None = None) -> Iterator[FileCheck]:
    """An observation for each case, in their order, as they come. processes: by default one for each core."""
    count = min(processes or len(os.sched_getaffinity(0)), max(len(cases), 1))
    idle: queue.SimpleQueue[_Examiner] = queue.SimpleQueue()
    examiners = [_Examiner() for _ in range(count)]
    for examiner in examiners:
        idle.put(examiner)

    def examine(case: Case) -> FileCheck:
        with _borrow(idle) as examiner:
            return examiner.examine(case)

    pool = ThreadPoolExecutor(count)
    try:
        yield from pool.map(examine, cases)
    finally:
        for examiner in examiners:
            examiner.stop()
        pool.shutdown(cancel_futures=True)
        for examiner in examiners:
            examiner.close()


@contextmanager
def _borrow(idle: "queue.SimpleQueue[_Examiner]") -> "Iterator[_Examiner]":
    examiner = idle.get()
    try:
        yield examiner
    finally:
        idle.put(examiner)


class _Examiner:
    """One process of `ml.sandbox.entries.check_file`, started again where a file has ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    def examine(self, case: Case) -> FileCheck:
        """Read both files. Where that ends the process, each alone, to learn which one did."""
        request = {
            "image": str(case.image.resolve()),
            "mask": None if case.mask is None else str(case.mask.resolve()),
            "outlines": case.outlines,
            "grid": case.grid,
        }
        answer, _ = self._ask(request)
        if answer is None:
            image, death = self._ask(request | {"mask": None, "outlines": None})
            mask, mask_death = self._ask(request | {"image": None})
            answer = (image or {"image_error": death}) | (mask or {"mask_error": mask_death})
        try:
            return FileCheck(**answer)
        except TypeError:  # a process that was taken over by its file may say anything
            return FileCheck(image_error=DAMAGED)

    def stop(self) -> None:
        """End the process, from any thread: who waits for its answer gets none."""
        self._is_stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Reap the process and close its pipes, once nobody asks any more."""
        if self._process is not None:
            self._process.kill()
            self._bury(self._process)

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """The answer, or None and a sentence on how the process ended."""
        process = self._process = self._process or self._start()
        line = b""
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline(_MAX_ANSWER_BYTES)
            answer = json.loads(line)
            if isinstance(answer, dict):
                return answer, ""
        except (BrokenPipeError, ValueError):
            pass
        return None, self._bury(process)

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._is_stopped:
            raise RuntimeError("The examination was stopped.")
        return subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_PROJECT,
            env=_ENVIRONMENT,
            start_new_session=True,
        )

    def _bury(self, process: "subprocess.Popen[bytes]") -> str:
        """Reap a process that gave no answer, and say why in a sentence about its file."""
        self._process = None
        try:
            code = process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        process.stdout.close()
        with suppress(BrokenPipeError):  # of the request that nobody read
            process.stdin.close()
        if code == -signal.SIGALRM:
            return f"Reading the file takes longer than the limit of {TIMEOUT_S:g} s; make it smaller or remove it."
        return DAMAGED
