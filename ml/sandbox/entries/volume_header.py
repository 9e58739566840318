"""Read where a volume's voxels lie (`ml.datasets.volume_headers`)."""

from pathlib import Path
from typing import Any

from ml.datasets.case import DAMAGED, LIMITS
from ml.sandbox.entries.preload import preload_readers
from ml.scans import ScanError, read_grid
from ml.volumes.axial import stack_shape

preload_readers()


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer {"path"}: {"grid"} of `VolumeGrid.to_json`, or {"message"}."""
    try:
        grid = read_grid(Path(request["path"]), LIMITS)
        if grid is None:
            return {"message": "The file is no NIfTI volume, whatever its name says; replace it."}, b""
        slices, rows, columns = stack_shape(grid)
        LIMITS.check_slice(columns, rows)
        LIMITS.check_stack(slices, columns, rows)
        return {"grid": grid.to_json()}, b""
    except ScanError as error:
        return {"message": error.message}, b""
    except OSError as error:
        return {"message": f"The file cannot be read ({error.strerror})."}, b""
    except Exception:  # noqa: BLE001 - see the package's docstring
        return {"message": DAMAGED}, b""
