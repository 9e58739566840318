"""Stacks to segment, and the files that a scan has."""

import io

import numpy as np
import tifffile

from webapp.domain.storage.keys import scan_prefix


def stored_files(resources, scan_id):
    prefix = f"{scan_prefix(scan_id)}/"
    return sorted(key.removeprefix(prefix) for key in resources.storage.keys(0) if key.startswith(prefix))


def tiff_bytes(slices: int) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.full((slices, 32, 32), 128, np.uint8), photometric="minisblack")
    return buffer.getvalue()
