"""Reads of a known length, plain or through a decompressor, of files that may be cut."""

import gzip
from typing import BinaryIO

from ml.scans.scan import ScanError

CHUNK_BYTES = 2**20
# What Python's gzip says of bytes behind a stream that begin no other one.
_NO_STREAM = "Not a gzipped file"


def read_exactly(stream: BinaryIO, target: bytearray) -> None:
    """Fill a buffer. Raises ScanError `unreadable` where the file ends before."""
    view, filled = memoryview(target), 0
    while filled < len(target):
        data = stream.read(min(len(target) - filled, CHUNK_BYTES))
        if not data:
            raise ScanError("unreadable", "The file is cut: voxels are missing; copy it again from where it came from.")
        view[filled : filled + len(data)] = data
        filled += len(data)


def check_end(stream: BinaryIO) -> None:
    """Read on to the end of a gzip stream, where its checksum is; a longer tail is never unpacked.

    What follows that is no gzip is nobody's, as `gzip -d` has it: downloads leave line ends there. Raises what Python's
    gzip and zlib raise where the stream is cut or damaged.
    """
    try:
        stream.read(CHUNK_BYTES)
    except gzip.BadGzipFile as error:
        if not str(error).startswith(_NO_STREAM):
            raise
