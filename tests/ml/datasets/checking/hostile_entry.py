"""The entry that checks files, with files that a reader does not survive.

`ben_1` aborts it, `ben_2` hangs it, `cleo_1` takes all memory, whereupon the kernel kills it.
"""

import os
import signal
from pathlib import Path

from ml.datasets.volume_slices import VolumeSlice
from ml.sandbox.entries import check_file
from ml.sandbox.entries.check_file import answer
from ml.scans import Scan

__all__ = ["answer"]

_original = check_file.read_slice


def _read_slice(path: Path, volume: VolumeSlice | None = None) -> Scan:
    if path.stem == "ben_1":
        os.abort()
    if path.stem == "cleo_1":
        os.kill(os.getpid(), signal.SIGKILL)
    while path.stem == "ben_2":
        pass
    return _original(path, volume)


check_file.read_slice = _read_slice
