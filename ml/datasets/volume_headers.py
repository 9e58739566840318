"""Where the voxels of a data set's volumes lie, read from their headers in a sandboxed process."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from ml.datasets.case import DAMAGED, MEMORY_BYTES, TIMEOUT_S
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import ChildDied, Conversation, Sandbox
from ml.volumes.grid import VolumeGrid

_ENTRY = "ml.sandbox.entries.volume_header"


def read_headers(paths: Mapping[Path, int]) -> dict[Path, VolumeGrid | str]:
    """The grid of each file, or one sentence that says why there is none. Raises OSError without a child.

    paths: with how many volumes each must hold.
    """
    sandbox = Sandbox(_ENTRY, ChildLimits.of_each_request(MEMORY_BYTES, file_bytes=0, cpu_s=TIMEOUT_S))
    try:
        with closing(Conversation(sandbox, Access.to_folders_of(list(paths)))) as conversation:
            return {path: _read(conversation, path, volumes) for path, volumes in paths.items()}
    finally:
        sandbox.close(is_final=True)


def _read(conversation: Conversation, path: Path, volumes: int) -> VolumeGrid | str:
    try:
        answer = conversation.ask({"path": str(path.resolve()), "volumes": volumes})
        return VolumeGrid.from_json(answer["grid"]) if "grid" in answer else str(answer["message"])
    except (ChildDied, ValueError, KeyError, TypeError):  # a child that its file took over may answer anything
        return DAMAGED
