"""Run-length masks of COCO are read as pycocotools reads them, and damaged ones are refused."""

import numpy as np
import pytest
from pycocotools import mask as oracle

from ml.datasets.run_lengths import draw_runs, read_runs

GRID = (37, 53)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("is_blob", [False, True])
def test_both_forms_are_read_as_pycocotools_reads_them(density, is_blob):
    random = np.random.default_rng(5)
    for _ in range(20):
        wanted = random.random(GRID) < density
        if is_blob:
            wanted[4:30, 9:40] |= density > 0
        code = oracle.encode(np.asfortranarray(wanted.astype(np.uint8)))
        text = code["counts"].decode()
        assert np.array_equal(draw_runs(read_runs({"counts": text, "size": list(GRID)}, GRID), GRID), wanted)
        flat = np.concatenate(([False], wanted.ravel(order="F"), [not wanted[-1, -1]]))
        edges = np.flatnonzero(np.diff(flat))
        counts = np.diff(np.concatenate(([0], edges))).tolist()
        assert np.array_equal(draw_runs(read_runs({"counts": counts}, GRID), GRID), wanted)


@pytest.mark.parametrize(
    "segmentation",
    [
        {},
        {"counts": ""},
        {"counts": []},
        {"counts": "abc"},
        {"counts": "\u00e9\u00e9"},
        {"counts": "oooooooooooo0"},
        {"counts": "P"},
        {"counts": [5, 4]},
        {"counts": [-1, GRID[0] * GRID[1] + 1]},
        {"counts": [True, GRID[0] * GRID[1] - 1]},
        {"counts": [2**80]},
        {"counts": [GRID[0] * GRID[1]], "size": [53, 37]},
        {"counts": "05", "size": "all"},
    ],
)
def test_damaged_runs_are_refused(segmentation):
    with pytest.raises(ValueError, match="a run-length mask"):
        read_runs(segmentation, GRID)


def test_a_code_that_is_cut_off_anywhere_is_refused():
    code = oracle.encode(np.asfortranarray(np.random.default_rng(1).integers(0, 2, GRID, dtype=np.uint8)))
    text = code["counts"].decode()
    for end in range(0, len(text), 7):
        with pytest.raises(ValueError, match="a run-length mask"):
            read_runs({"counts": text[:end]}, GRID)
