"""The real reader with a gauge: the largest resident memory of the child, in what it says of the file.

A confined child can write nothing beside its file.
"""

import re
import resource
from dataclasses import replace
from pathlib import Path

from ml.scans import Limits, Scan, ScanError, read_scan


def read(path: Path, limits: Limits) -> Scan:
    """As `read_scan`, with the peak as the last warning, or at the end of the sentence."""
    try:
        scan = read_scan(path, limits)
    except ScanError as error:
        raise ScanError(error.code, f"{error.message} {_peak()}") from error
    except Exception as error:
        raise ScanError("unreadable", f"{type(error).__name__} {_peak()}") from error
    return replace(scan, warnings=(*scan.warnings, _peak()))


def peak_bytes(text: str) -> int | None:
    """What `read` wrote at the end of a text; None where it wrote nothing."""
    found = re.search(r"peak (\d+)$", text)
    return int(found[1]) if found else None


def _peak() -> str:
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}"
