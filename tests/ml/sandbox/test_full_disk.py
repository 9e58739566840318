"""A disk that is full is our fault, not the file's."""

import errno
import shutil

import numpy as np

from ml.sandbox.entries.decode import store
from ml.scans.scan import Scan


def test_a_write_cut_short_is_a_full_disk(tmp_path, monkeypatch):
    def write_half(file, pixels, **options):
        file.write(b"half")
        raise OSError("768 requested and 256 written")  # as ndarray.tofile says it, without an errno

    monkeypatch.setattr(np, "save", write_half)
    scan = Scan(np.zeros((1, 16, 16, 3), dtype=np.uint8), "png", None, ())
    assert store(scan, tmp_path / "stack.npy", 0) == {"errno": errno.ENOSPC}
    assert not (tmp_path / "stack.npy").exists()


def test_a_stack_leaves_room_for_its_map_and_what_is_to_spare(tmp_path):
    scan = Scan(np.zeros((4, 1000, 1000, 3), dtype=np.uint8), "png", None, ())
    free = shutil.disk_usage(tmp_path).free
    assert store(scan, tmp_path / "stack.npy", 2 * free) == {"errno": errno.ENOSPC}
    assert not (tmp_path / "stack.npy").exists()
    assert store(scan, tmp_path / "stack.npy", 0)["slice_count"] == 4
    assert np.load(tmp_path / "stack.npy").shape == (4, 1000, 1000, 3)
