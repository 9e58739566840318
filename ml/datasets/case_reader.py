"""Cases of a data set that need not be trusted, read in sandboxed child processes: one child for each chunk of cases.

`ml.evaluation.run` takes `ChunkReader.read` in place of reading in its own process, and sees the same arrays and the
same sentences.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.datasets.case import DAMAGED, LIMITS, MEMORY_BYTES, NO_MEMORY, TIMEOUT_S, Case
from ml.datasets.loading import LoadedCase
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import ChildDied, Conversation, Sandbox

logger = logging.getLogger(__name__)

_ENTRY = "ml.sandbox.entries.read_cases"


@dataclass(frozen=True)
class UnreadCase:
    """A case that could not be read: a code (`unreadable`, `changed`) and one sentence."""

    case: Case
    code: str
    message: str


@dataclass(frozen=True)
class _NoAnswer:
    reason: str
    has_stood_still: bool


@dataclass(frozen=True)
class Digests:
    """What a case's files were when the data set was checked; None is not compared."""

    image_sha256: str | None = None
    mask_sha256: str | None = None


class CaseReader:
    """Owns the server that forks the children; one for each process that evaluates.

    chunk_timeout_s: how long one child may live, the work between its cases included.
    """

    def __init__(self, chunk_timeout_s: float) -> None:
        each = ChildLimits.of_each_request(MEMORY_BYTES, file_bytes=0, cpu_s=TIMEOUT_S)
        limits = replace(each, life_cpu_s=chunk_timeout_s, life_wall_s=chunk_timeout_s)
        self._sandbox = Sandbox(_ENTRY, limits)

    @contextmanager
    def chunk(self, folders: Iterable[Path]) -> Iterator["ChunkReader"]:
        """A reader whose child sees the cases of this block alone, which lie in these folders. Not thread-safe."""
        access = Access.to(reads=folders)
        with closing(Conversation(self._sandbox, access)) as conversation:
            yield ChunkReader(conversation)

    def close(self) -> None:
        """End the server and its children."""
        self._sandbox.close()


class ChunkReader:
    """Reads the cases of one chunk; a case that ends the child is named, and a new child reads the rest."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        # By the file of a volume that ended its child, why: the other slices of it would end theirs, each in its time.
        self._deadly: dict[Path, str] = {}

    def read(self, case: Case, digests: Digests) -> LoadedCase | UnreadCase:
        """One case's arrays, or why there are none. Raises OSError where no child can be started."""
        if case.fault is not None:
            return UnreadCase(case, case.fault.code, case.fault.message)
        volume_file = None if case.volume is None else case.image.parent
        if volume_file in self._deadly:
            return _unreadable(case, self._deadly[volume_file])
        request = {
            "patient": case.patient,
            "image": str(case.image),
            "mask": None if case.mask is None else str(case.mask),
            "outlines": case.outlines,
            "grid": case.grid,
            "runs": case.runs,
            "volume": None if case.volume is None else case.volume.to_json(),
            "image_sha256": digests.image_sha256,
            "mask_sha256": digests.mask_sha256,
        }
        found = self._try(case, request)
        if isinstance(found, _NoAnswer) and found.has_stood_still:
            found = self._try(case, request)  # mostly the machine's fault: another child reads the file
        if not isinstance(found, _NoAnswer):
            return found
        if volume_file is not None:
            self._deadly[volume_file] = found.reason
        return _unreadable(case, found.reason)

    def _try(self, case: Case, request: dict[str, Any]) -> "LoadedCase | UnreadCase | _NoAnswer":
        """What a child says; where it says nothing, the next one is another. Raises OSError."""
        reason, has_stood_still = DAMAGED, False
        try:
            return self._answer(case, request)
        except ChildDied as death:
            logger.warning("a child that read a case gave no answer: %s", death)
            has_stood_still = death.is_still
            if death.is_out_of_memory:
                reason = NO_MEMORY
            elif death.is_timeout:
                reason = f"Reading takes longer than {death.limit_in_words(TIMEOUT_S)}."
        except (ValueError, KeyError, TypeError):  # a child that its file took over may answer anything
            logger.warning("a child that read a case gave a wrong answer")
        self._conversation.close()
        return _NoAnswer(reason, has_stood_still)

    def _answer(self, case: Case, request: dict[str, Any]) -> LoadedCase | UnreadCase:
        """What the child says. Raises ChildDied, OSError, and as `_receive_arrays`."""
        answer = self._conversation.ask(request)
        if isinstance(answer.get("code"), str) and isinstance(answer.get("message"), str):
            return UnreadCase(case, answer["code"][:40], answer["message"][:2000])
        return self._receive_arrays(case, answer)

    def _receive_arrays(self, case: Case, answer: dict[str, Any]) -> LoadedCase:
        """The arrays that an answer announces. Raises ValueError, KeyError or TypeError where it makes no sense."""
        height, width, has_truth = int(answer["height"]), int(answer["width"]), bool(answer["has_truth"])
        if min(height, width) < 1 or height * width > LIMITS.max_pixels_per_slice or has_truth != case.has_truth:
            raise ValueError("not the size of a slice")
        pixels = np.frombuffer(self._conversation.receive(height * width * 3), dtype=np.uint8)
        pixels = pixels.reshape(height, width, 3)  # (H * W * 3,) -> (H, W, 3)
        is_stripped = bool(answer["is_skull_stripped"])
        is_flair = None if answer["is_flair"] is None else bool(answer["is_flair"])
        if not has_truth:
            return LoadedCase(case, pixels, None, is_skull_stripped=is_stripped, is_flair=is_flair)
        bits = np.frombuffer(self._conversation.receive((height * width + 7) // 8), dtype=np.uint8)
        truth = np.unpackbits(bits, count=height * width).reshape(height, width).view(bool)  # (bytes,) -> (H, W)
        return LoadedCase(case, pixels, truth, is_skull_stripped=is_stripped, is_flair=is_flair)


def _unreadable(case: Case, reason: str) -> UnreadCase:
    text = f"{case.patient}/{case.file_name} cannot be read ({reason}); replace or remove it."
    return UnreadCase(case, "unreadable", text)
