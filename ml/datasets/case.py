"""One slice of a data set with its expert mask, and how both are read.

Slices go through `ml.scans`, so that training and evaluation see the pixels that the portal sees. They are read in this
process: a data set is the operator's own. `ml.datasets.check` reads every file in sandboxed processes first.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import shown
from ml.datasets.run_lengths import Runs, draw_runs
from ml.datasets.volume_slices import (
    VolumeSlice,
    file_of,
    files_of,
    is_volume_slice,
    read_slice_labels,
    read_volume_slice,
)
from ml.scans import LabelMap, Limits, Scan, ScanError, read_labels, read_scan

LIMITS = Limits()
# Of a sandboxed process that reads cases, and processor time of one case in it: as for an upload (ml.sandbox.decoder),
# but two files.
MEMORY_BYTES = 2**30
TIMEOUT_S = 20.0
NO_MEMORY = (
    "Reading the file needs more memory than there is, which says nothing of the file; free memory and try again."
)
DAMAGED = "The file is damaged or of a variant that is not read; export it again or remove it."

# A polygon of COCO: x0, y0, x1, y1, ... in pixels of the image.
Outline = tuple[float, ...]

# What Pillow, tifffile and the codecs raise on damaged files: more than one base class, hence the list.
READ_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    ArithmeticError,
    LookupError,
    TypeError,
    RuntimeError,
    MemoryError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


class DatasetError(Exception):
    """A folder is not a data set that can be used, or a file of it cannot be read."""


@dataclass(frozen=True)
class Case:
    """One slice, with its expert mask where there is one.

    patient: the group that is never divided: the patient, or the image itself where no patient is named.
    mask: the mask's file; None where there is none, and where `outlines` are the mask.
    outlines: the tumor's polygons (COCO), () for an image without tumor; None where the mask is a file or missing.
    grid: (height, width) that `outlines` and `runs` are drawn on.
    runs: the tumor's run-length masks (COCO), beside `outlines`.
    volume: of a slice of a volume, whose paths are those of `ml.datasets.volume_slices`.
    fault: why the case cannot be used although its files are there; such a case fails, it is not left out.
    """

    patient: str
    image: Path
    mask: Path | None
    outlines: tuple[Outline, ...] | None = None
    grid: tuple[int, int] | None = None
    runs: tuple[Runs, ...] = ()
    fault: Problem | None = None
    volume: VolumeSlice | None = None

    @property
    def name(self) -> str:
        """The image's file name without suffix; unique within the patient."""
        return self.image.stem

    @property
    def file_name(self) -> str:
        """The image's file name as it can be written down; bytes that are no UTF-8 are escaped."""
        is_slice = is_volume_slice(self.image)
        return shown(f"{self.image.parent.name}/{self.image.name}" if is_slice else self.image.name)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that it is read from; of a slice of a volume, the volume's."""
        own = (file_of(path) for path in (self.image, self.mask) if path is not None)
        return tuple(dict.fromkeys((*own, *files_of(self.image, self.volume))))

    @property
    def has_truth(self) -> bool:
        """Whether an expert's mask is there, empty or not."""
        return self.mask is not None or self.outlines is not None

    def pixels(self) -> NDArray[np.uint8]:
        """The slice, uint8 (H, W, 3). Raises DatasetError."""
        pixels: NDArray[np.uint8] = self.scan().pixels[0]  # (1, H, W, 3) -> (H, W, 3)
        return pixels

    def scan(self) -> Scan:
        """The slice with what its reader says of it. Raises DatasetError."""
        try:
            return read_slice(self.image, self.volume)
        except (ScanError, *READ_ERRORS) as error:
            raise self._unreadable(self.image, error) from error

    def truth(self) -> NDArray[np.bool] | None:
        """The expert's mask, bool (H, W): every pixel that is not 0; None where there is none. Raises DatasetError."""
        labels = self.label_map()
        return None if labels is None else labels.values != 0

    def label_map(self) -> LabelMap | None:
        """The expert's mask as its file stores it; None where there is none. Raises DatasetError."""
        if self.fault is not None:
            raise DatasetError(self.fault.message)
        if self.outlines is not None and self.grid is not None:
            return label_map_of(self.outlines, self.runs, self.grid)
        if self.mask is None:
            return None
        try:
            return read_mask(self.mask, self.image, self.volume)
        except (ScanError, *READ_ERRORS) as error:
            raise self._unreadable(self.mask, error) from error

    def labels(self, class_values: Sequence[int] | None = None) -> NDArray[np.uint8]:
        """The class of each pixel, uint8 (H, W): 0 and 1, or with `class_values` the place of its value among them.

        Without a mask there is no tumor. Raises DatasetError, also where a mask has a value that is no class.
        """
        stored = self.label_map()
        if stored is None:
            return np.zeros(self.pixels().shape[:2], np.uint8)
        values = stored.values
        if class_values is None or self.mask is None:
            one_class: NDArray[np.uint8] = (values != 0).astype(np.uint8)
            return one_class
        if values.dtype == np.bool:
            values = values.astype(np.uint8) * np.uint8(255)
        labels = np.full(values.shape, len(class_values), dtype=np.uint8)
        for label, value in enumerate(class_values):
            labels[values == value] = label
        if (labels == len(class_values)).any():
            found = values[labels == len(class_values)][0]
            raise DatasetError(
                f"{self.patient}/{self.mask.name} has the value {found}, which is none of the classes"
                f" {', '.join(map(str, class_values))}; correct sampling.class_values or the mask."
            )
        return labels

    def _unreadable(self, path: Path, error: Exception) -> DatasetError:
        name = f"{self.patient}/{file_of(path).name}"
        if isinstance(error, FileNotFoundError):
            return DatasetError(f"{name} is no longer there: put it back, or look whether its disk is still connected.")
        if isinstance(error, OSError) and error.errno is not None:  # libraries' own, of damaged files, have no number
            return DatasetError(f"{name} cannot be read ({error.strerror}): look after its disk and its permissions.")
        # Libraries name the file with its folders, which are the server's.
        words = str(error).replace(str(path), path.name)
        reason = error.message if isinstance(error, ScanError) else f"{type(error).__name__}: {words}"
        return DatasetError(f"{name} cannot be read ({reason}); replace or remove it.")


def read_slice(path: Path, volume: VolumeSlice | None = None) -> Scan:
    """An image file with one slice, or a slice of a volume. Raises ScanError and any of READ_ERRORS."""
    if is_volume_slice(path):
        return read_volume_slice(path, volume, LIMITS)
    scan = read_scan(path, LIMITS)
    if len(scan.pixels) != 1:
        raise ScanError(
            "unreadable",
            f"The file has {len(scan.pixels)} slices and a case is one; store each of its slices, and of its mask's, in"
            " a file (NAME_0001.tif and NAME_0001_mask.tif, or as ImageJ's Image Sequence calls them).",
        )
    return scan


def read_mask(path: Path, image: Path, volume: VolumeSlice | None = None) -> LabelMap:
    """The expert's mask of an image. Raises ScanError and any of READ_ERRORS."""
    return read_slice_labels(path, image, volume, LIMITS) if is_volume_slice(path) else read_labels(path, LIMITS)


def label_map_of(outlines: Sequence[Outline], runs: Sequence[Runs], grid: tuple[int, int]) -> LabelMap:
    """What annotations draw, as a mask whose file has no orientation tag: nobody turns it as the image is turned.

    Raises as `draw_truth`.
    """
    return LabelMap(draw_truth(outlines, runs, grid), orientation=1)


def draw_truth(outlines: Sequence[Outline], runs: Sequence[Runs], grid: tuple[int, int]) -> NDArray[np.bool]:
    """Polygons filled, their edge included, and run-length masks on a grid of (height, width), together: bool (H, W).

    What lies outside the grid is cut off. Raises ValueError where the runs are of another grid.
    """
    image = Image.new("1", (grid[1], grid[0]))
    draw = ImageDraw.Draw(image)
    for outline in outlines:
        draw.polygon(list(zip(outline[::2], outline[1::2], strict=True)), fill=1)
    truth = np.array(image)
    for one in runs:
        truth |= draw_runs(one, grid)
    return truth
