"""Elements of a DICOM header as Python's values, and a file's header itself. DICOM PS3.5, https://dicom.nema.org."""

import io
import warnings
from math import isfinite
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from ml.scans.scan import DamagedFile, ScanError


def read_dataset(path: Path, *, is_whole: bool) -> Dataset:
    """A file's elements, with its pixels where `is_whole`. Raises ScanError `unreadable`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            with _Clipped(path) as file:
                return pydicom.dcmread(file, stop_before_pixels=not is_whole)
    except (MemoryError, ScanError):
        raise
    except Exception as error:
        raise DamagedFile("The DICOM file is cut or damaged; export it again.") from error


class _Clipped(io.BufferedReader):
    """A file of which nobody asks for more bytes than it has: Python makes room for as many as an element says that it
    has, up to 4 GB, before it reads one."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._length = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._length - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def numbers_of(value: Any, count: int) -> tuple[float, ...] | None:
    """So many finite numbers, None where there are others."""
    try:
        numbers = tuple(float(item) for item in value)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(isfinite(item) for item in numbers) else None


def number_of(value: Any) -> float | None:
    """A finite number, None for anything else; of several the first."""
    found = numbers_of([value], 1)
    return found[0] if found else None


def whole_of(header: Dataset, name: str, default: int | None = None) -> int:
    """A whole number. Raises ScanError `unreadable` where it is missing without a default, or is none."""
    value = header.get(name)
    if value is None and default is not None:
        return default
    number = number_of(value)
    if number is None:
        raise DamagedFile("The DICOM header is damaged; export the file again.")
    return int(number)


def words_of(value: Any) -> tuple[str, ...]:
    """The words of an element that has one or several."""
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value or ())
