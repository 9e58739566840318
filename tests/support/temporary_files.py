"""Temporary files of the tests lie in memory: most of what a database's test waits for is the disk."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

IN_MEMORY = Path("/dev/shm")
# The suite's files take some 500 MB at a time; the rest is for its processes.
ENOUGH_BYTES = 4 * 2**30


def keep_temporary_files_in_memory() -> None:
    """Let this process and its children use IN_MEMORY, where it has room and nobody has chosen a folder (TMPDIR)."""
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = str(IN_MEMORY)
        tempfile.tempdir = None  # found anew at its next use


def _has_room() -> bool:
    if not (IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK | os.X_OK)):
        return False
    return min(shutil.disk_usage(IN_MEMORY).free, psutil.virtual_memory().available) > ENOUGH_BYTES
