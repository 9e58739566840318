"""Read where a volume's voxels lie (`ml.datasets.volume_headers`)."""

from pathlib import Path
from typing import Any

from ml.datasets.case import LIMITS
from ml.datasets.file_names import MASK_VOLUME_SUFFIXES, suffix_of
from ml.sandbox.entries.headers import answer_of, grid_answer
from ml.sandbox.entries.preload import preload_readers
from ml.scans import read_grid

preload_readers()


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer {"path", "volumes"}: {"grid"} of `VolumeGrid.to_json`, or {"message"}."""
    return answer_of(lambda: _read(Path(request["path"]), request["volumes"]))


def _read(path: Path, volumes: int) -> dict[str, Any]:
    grid = read_grid(path, LIMITS, volumes)
    if grid is None:
        return {"message": "The file is no NIfTI volume, whatever its name says; replace it."}
    return grid_answer(grid, is_mask=suffix_of(path.name) in MASK_VOLUME_SUFFIXES)
