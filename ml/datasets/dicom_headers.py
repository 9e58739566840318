"""What the DICOM files of a data set say of themselves, read from their headers in a sandboxed process."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.datasets.case import DAMAGED, MEMORY_BYTES, TIMEOUT_S
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import ChildDied, Conversation, Sandbox
from ml.volumes.grid import VolumeGrid

_ENTRY = "ml.sandbox.entries.dicom_header"


@dataclass(frozen=True)
class SeriesFile:
    """An image: its series' UID, and a digest that two files of one patient share; empty where the header names none.

    is_flair: what the header says of its sequence, None where it does not.
    """

    series: str
    patient: str
    is_flair: bool | None


@dataclass(frozen=True)
class MaskFile:
    """An expert's mask: what it is in words, the UIDs of the series that it refers to, and its regions' names."""

    what: str
    refers: tuple[str, ...]
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class OtherFile:
    """What is not read, by a sentence; its series' UID, empty where it says none."""

    message: str
    series: str = ""


class DicomHeaders:
    """Answers for files of folders that were named when it was opened."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def describe(self, path: Path) -> SeriesFile | MaskFile | OtherFile:
        """What a file is. Raises OSError without a child."""
        answer = self._ask({"path": str(path.resolve())})
        if "mask" in answer and isinstance(answer.get("refers"), list):
            regions = answer.get("regions")
            names = tuple(map(str, regions)) if isinstance(regions, list) else ()
            return MaskFile(str(answer["mask"])[:40], tuple(map(str, answer["refers"])), names)
        if isinstance(answer.get("series"), str):
            is_flair = answer.get("is_flair")
            return SeriesFile(
                answer["series"], str(answer.get("patient")), None if is_flair is None else bool(is_flair)
            )
        return OtherFile(str(answer.get("message", DAMAGED)), str(answer.get("other_series", "")))

    def grid(self, series: Sequence[Path]) -> VolumeGrid | str:
        """Where the voxels of a series' files lie, or a sentence. Raises OSError without a child."""
        answer = self._ask({"series": [str(path.resolve()) for path in series]})
        try:
            return VolumeGrid.from_json(answer["grid"]) if "grid" in answer else str(answer["message"])
        except (ValueError, KeyError, TypeError):  # a child that its file took over may answer anything
            return DAMAGED

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._conversation.ask(request)
        except (ChildDied, ValueError):
            return {"message": DAMAGED}


@contextmanager
def dicom_headers(paths: Sequence[Path]) -> Iterator[DicomHeaders]:
    """A reader of these files' headers."""
    sandbox = Sandbox(_ENTRY, ChildLimits.of_each_request(MEMORY_BYTES, file_bytes=0, cpu_s=TIMEOUT_S))
    try:
        with closing(Conversation(sandbox, Access.to_folders_of(paths))) as conversation:
            yield DicomHeaders(conversation)
    finally:
        sandbox.close(is_final=True)
