"""The chunks of a PNG file: whole to the end, and how deep its samples are.

Pillow stops at the last pixel that it needs and lets a cut end pass; a cut file must not look like a whole one.
"""

import struct
from pathlib import Path

from ml.scans.scan import ScanError

_SIGNATURE_BYTES = 8
_DEPTH_OFFSET = 24  # PNG specification, 11.2.2: the bit depth in IHDR, which is always the first chunk
_HEAD_BYTES = 8
_CRC_BYTES = 4


def read_bit_depth(path: Path) -> int:
    """Bits of a sample. Raises ScanError `unreadable` where the chunks do not lead to IEND."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(_DEPTH_OFFSET)
        depth = file.read(1)
        offset, kind = _SIGNATURE_BYTES, b""
        while kind != b"IEND":
            file.seek(offset)
            head = file.read(_HEAD_BYTES)
            if len(head) < _HEAD_BYTES:
                raise _cut()
            length, kind = struct.unpack(">I4s", head)
            offset += _HEAD_BYTES + length + _CRC_BYTES  # grows by 12 at least: the loop ends
            if offset > size:
                raise _cut()
    return depth[0]


def _cut() -> ScanError:
    return ScanError("unreadable", "The PNG file is cut: its end is missing; copy or export it again.")
