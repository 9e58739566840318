"""The chain of directories (IFDs) of a TIFF file, walked before any library follows it.

tifffile ends a looped, cut or endless chain in silence and serves the pages before the damage; here that is an error,
since half a stack must not look like a whole one. TIFF 6.0 section 2, and BigTIFF's 64-bit variant.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from ml.scans.scan import Limits, ScanError

MAX_ENTRIES = 4096  # of one directory; writers use 10 to 40


def count_pages(path: Path, limits: Limits) -> int:
    """Number of directories. Raises ScanError `unreadable` (loop, cut, nonsense) or `limit` (too many pages)."""
    size = path.stat().st_size
    seen: set[int] = set()
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        is_big = head[2:4] in (b"+\0", b"\0+")
        offset = _unpack(order + ("Q" if is_big else "I"), head[8:16] if is_big else head[4:8])
        while offset:
            if offset in seen:
                raise _damaged("a page points back to an earlier one")
            if offset >= size:
                raise _damaged("a page lies beyond the end of the file")
            seen.add(offset)
            if len(seen) > limits.max_slices:
                raise ScanError("limit", f"The file has more than {limits.max_slices:,} pages, the limit; split it.")
            offset = _next_offset(file, offset, order, is_big)
    if not seen:
        raise _damaged("it has no page")
    return len(seen)


def _next_offset(file: BinaryIO, offset: int, order: str, is_big: bool) -> int:
    file.seek(offset)
    entries = _unpack(order + ("Q" if is_big else "H"), file.read(8 if is_big else 2))
    if not 0 < entries <= MAX_ENTRIES:
        raise _damaged(f"a page has {entries} entries")
    file.seek(entries * (20 if is_big else 12), 1)
    return _unpack(order + ("Q" if is_big else "I"), file.read(8 if is_big else 4))


def _unpack(layout: str, data: bytes) -> int:
    try:
        (value,) = struct.unpack(layout, data)
    except struct.error as error:
        raise _damaged("it is cut") from error
    return int(value)


def _damaged(what: str) -> ScanError:
    return ScanError("unreadable", f"The TIFF file is damaged: {what}; export it again.")
