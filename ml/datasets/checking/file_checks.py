"""Every file of a data set, read once in sandboxed processes, one for each processor core."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ml.datasets.case import DAMAGED, MEMORY_BYTES, NO_MEMORY, TIMEOUT_S, Case
from ml.datasets.mask_findings import MaskTraits
from ml.datasets.volume_slices import is_volume
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import ChildDied, Conversation, Sandbox

ENTRY = "ml.sandbox.entries.check_file"


@dataclass(frozen=True)
class FileCheck:
    """What one case's files hold; None where the file is missing or cannot be read.

    pixels_sha256: of the decoded slice, None where all its pixels are equal. Sizes are (height, width). is_binary:
    background 0 and one other value, or one value. value_count: different values in the mask. image_notes: the
    reader's warnings. mask_codes, truth_sha256: of `ml.datasets.mask_findings.MaskTraits`, where both files can be read
    and have one size.
    """

    image_sha256: str | None = None
    pixels_sha256: str | None = None
    image_size: tuple[int, int] | None = None
    image_notes: Sequence[str] = ()
    image_error: str | None = None
    mask_sha256: str | None = None
    mask_size: tuple[int, int] | None = None
    tumor_pixels: int | None = None
    is_binary: bool | None = None
    value_count: int | None = None
    mask_codes: Sequence[str] = ()
    truth_sha256: str | None = None
    mask_error: str | None = None

    @property
    def mask_traits(self) -> MaskTraits | None:
        """What its mask is judged by beside the others; None where it cannot be used."""
        if self.image_size is None or self.mask_size is None or tuple(self.image_size) != tuple(self.mask_size):
            return None
        return MaskTraits(tuple(self.mask_codes), self.truth_sha256, self.pixels_sha256)


class FileChecker:
    """Owns the server that forks the children, which outlives a check: what comes soon after does not wait for its
    imports. One for each process that checks; one check at a time."""

    def __init__(self, idle_s: float | None = None) -> None:
        """idle_s: the server ends when nothing was checked for so long; None: it stays until `close`."""
        self._idle_s = idle_s
        self._sandbox = self._new_sandbox()

    def check(self, cases: Sequence[Case], processes: int | None = None) -> Iterator[FileCheck]:
        """A check for each case, in their order, as they come. processes: by default one for each core."""
        count = min(processes or len(os.sched_getaffinity(0)), max(len(cases), 1))
        access = Access.to_folders_of(path for case in cases for path in case.files)
        conversations = [Conversation(self._sandbox, access) for _ in range(count)]
        idle = list(conversations)

        def check(case: Case) -> FileCheck:
            conversation = idle.pop()  # there are as many as threads
            try:
                return _check_case(conversation, case)
            finally:
                idle.append(conversation)

        pool = ThreadPoolExecutor(count)
        with self._sandbox.use():
            try:
                yield from pool.map(check, cases)
            except BaseException:
                self._end_children()
                raise
            finally:
                pool.shutdown(cancel_futures=True)
                for conversation in conversations:
                    conversation.close()

    def close(self) -> None:
        """End the server and its children."""
        self._sandbox.close()

    @property
    def server_pid(self) -> int | None:
        """Process id of the server, None where none runs."""
        return self._sandbox.server_pid

    def _end_children(self) -> None:
        """Of a check that is given up, so that no thread waits for one; the next check has a server of its own."""
        self._sandbox.close(is_final=True)
        self._sandbox = self._new_sandbox()

    def _new_sandbox(self) -> Sandbox:
        limits = ChildLimits.of_each_request(MEMORY_BYTES, file_bytes=0, cpu_s=TIMEOUT_S)
        return Sandbox(ENTRY, limits, idle_s=self._idle_s)


def check_files(cases: Sequence[Case], processes: int | None = None) -> Iterator[FileCheck]:
    """The same by a server that ends with the check."""
    checker = FileChecker()
    try:
        yield from checker.check(cases, processes)
    finally:
        checker.close()


def _check_case(conversation: Conversation, case: Case) -> FileCheck:
    """Read both files. Where that ends the child, each alone, to learn which one did. Raises OSError."""
    if case.fault is not None and is_volume(case.image):
        return FileCheck()  # no slice can be asked for
    request = {
        "image": str(case.image.resolve()),
        "mask": None if case.mask is None else str(case.mask.resolve()),
        "outlines": case.outlines if case.grid is not None else None,
        "grid": case.grid,
        "runs": case.runs,
        "volume": None if case.volume is None else case.volume.to_json(),
    }
    try:
        answer = conversation.ask(request)
    except ChildDied:
        image = _ask(conversation, request | {"mask": None, "outlines": None}, "image_error")
        answer = image | _ask(conversation, request | {"image": None}, "mask_error")
    try:
        return FileCheck(**answer)
    except TypeError:  # a child that its file took over may answer anything
        return FileCheck(image_error=DAMAGED)


def _ask(conversation: Conversation, request: dict[str, Any], error_field: str) -> dict[str, Any]:
    """The answer, or how the child ended in a sentence about the file."""
    try:
        return conversation.ask(request)
    except ChildDied as death:
        if death.is_timeout:
            limit = death.limit_in_words(TIMEOUT_S)
            return {error_field: f"Reading the file takes longer than {limit}; make it smaller or remove it."}
        return {error_field: NO_MEMORY if death.is_out_of_memory else DAMAGED}
