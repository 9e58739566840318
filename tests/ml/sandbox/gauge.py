"""The real reader with a gauge: the largest resident memory of the child, in bytes, beside the file as `NAME.peak`."""

import resource
from pathlib import Path

from ml.scans import Limits, Scan, read_scan


def read(path: Path, limits: Limits) -> Scan:
    try:
        return read_scan(path, limits)
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        path.with_name(f"{path.name}.peak").write_text(str(peak))
