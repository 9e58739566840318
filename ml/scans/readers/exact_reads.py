"""Reads of a known length, plain or through a decompressor, of files that may be cut."""

from typing import BinaryIO

from ml.scans.scan import ScanError

CHUNK_BYTES = 2**20


def read_exactly(stream: BinaryIO, target: bytearray) -> None:
    """Fill a buffer. Raises ScanError `unreadable` where the file ends before."""
    view, filled = memoryview(target), 0
    while filled < len(target):
        data = stream.read(min(len(target) - filled, CHUNK_BYTES))
        if not data:
            raise ScanError("unreadable", "The file is cut: voxels are missing; copy it again from where it came from.")
        view[filled : filled + len(data)] = data
        filled += len(data)
