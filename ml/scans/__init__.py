"""Files to scans: the only place where bytes of strangers are parsed.

`read_scan` belongs inside the sandbox (`ml.sandbox.decoder.Decoder`); nothing else may call it. Importing this package
loads neither numpy nor a reader, so that a web process stays small. No torch and no SciPy in here.

A new format is one file with a `read(path, limits) -> Scan` and one line in `ml.scans.formats.FORMATS`.
"""

from pathlib import Path

from ml.scans.formats import find_reader
from ml.scans.scan import WARNINGS, Geometry, Limits, Scan, ScanError

__all__ = ["WARNINGS", "Geometry", "Limits", "Scan", "ScanError", "read_scan"]


def read_scan(path: Path, limits: Limits) -> Scan:
    """Decode a file of any known format, whatever its name says.

    Raises ScanError for what a reader recognizes as bad, and whatever else its libraries raise: the sandbox turns
    those into ScanError as well.
    """
    return find_reader(path, limits)(path, limits)
