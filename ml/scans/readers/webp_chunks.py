"""The chunks of a WebP file: whether its pixels are stored without loss."""

import struct
from pathlib import Path

_HEAD_BYTES = 12  # RIFF, the size, WEBP
_CHUNK_HEAD_BYTES = 8


def is_lossless(path: Path) -> bool:
    """Whether a chunk VP8L (lossless) comes before any VP8 (lossy), https://developers.google.com/speed/webp/docs."""
    size = path.stat().st_size
    offset = _HEAD_BYTES
    with path.open("rb") as file:
        while offset + _CHUNK_HEAD_BYTES <= size:
            file.seek(offset)
            kind, length = struct.unpack("<4sI", file.read(_CHUNK_HEAD_BYTES))
            if kind in (b"VP8L", b"VP8 "):
                return bool(kind == b"VP8L")
            offset += _CHUNK_HEAD_BYTES + length + length % 2  # grows by 8 at least: the loop ends
    return False
