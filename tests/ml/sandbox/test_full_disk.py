"""A disk that is full is our fault, not the file's."""

import errno

import numpy as np

from ml.sandbox.entries.decode import store
from ml.scans.scan import Scan


def test_a_write_cut_short_is_a_full_disk(tmp_path, monkeypatch):
    def write_half(file, pixels, **options):
        file.write(b"half")
        raise OSError("768 requested and 256 written")  # as ndarray.tofile says it, without an errno

    monkeypatch.setattr(np, "save", write_half)
    scan = Scan(np.zeros((1, 16, 16, 3), dtype=np.uint8), "png", None, ())
    assert store(scan, tmp_path / "stack.npy") == {"errno": errno.ENOSPC}
    assert not (tmp_path / "stack.npy").exists()
