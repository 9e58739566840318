"""The stack file: decoded pixels as .npy, uint8 (N, H, W, 3), or the bits of masks, uint8 (N, H, bytes of a row).

What a sandboxed child wrote is checked, not believed.
"""

from math import prod
from pathlib import Path

from ml.scans.scan import ScanError

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER_BYTES = 128  # NumPy pads a header of version 1.0 with so short a shape to this


def check_stack_file(path: Path, shape: tuple[int, ...]) -> None:
    """Check type, shape and length without loading pixels. Raises ScanError `unreadable` where they are not as told."""
    expected_bytes = _HEADER_BYTES + prod(shape)
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
        size = path.stat().st_size
    except FileNotFoundError:
        head, size = b"", 0
    header = str({"descr": "|u1", "fortran_order": False, "shape": shape})[:-1].encode()
    if size != expected_bytes or not head.startswith(_MAGIC) or not head[10:].startswith(header):
        raise ScanError("unreadable", "The file breaks its decoder, so it is damaged; export it again as PNG or TIFF.")
