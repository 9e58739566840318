"""What the entries that read headers share: a line with what was read, or with the sentence that says why not."""

from collections.abc import Callable
from typing import Any

from ml.datasets.case import DAMAGED, LIMITS
from ml.scans import ScanError
from ml.volumes.axial import stack_shape
from ml.volumes.grid import VolumeGrid


def answer_of(read: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bytes]:
    """What `read` returns, or {"message"}."""
    try:
        return read(), b""
    except ScanError as error:
        return {"message": error.message}, b""
    except OSError as error:
        return {"message": f"The file cannot be read ({error.strerror})."}, b""
    except Exception:  # noqa: BLE001 - see the package's docstring
        return {"message": DAMAGED}, b""


def grid_answer(grid: VolumeGrid, *, is_mask: bool = False) -> dict[str, Any]:
    """{"grid"} of `VolumeGrid.to_json`. Raises ScanError where its stack is larger than what is read, or its slices
    are smaller; a mask may be cropped to what is marked."""
    slices, rows, columns = stack_shape(grid)
    if not is_mask:
        LIMITS.check_slice(columns, rows)
    LIMITS.check_stack(slices, columns, rows)
    return {"grid": grid.to_json()}
