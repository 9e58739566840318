"""A decoded scan, the limits of its size, and the error of a file that is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ml.scans.sequence import SequenceKind
    from ml.volumes.grid import VolumeGrid

ErrorCode = Literal["unsupported", "unreadable", "limit", "too_small", "empty"]

# Of a file without bytes, whatever it should be: its name, or "The file", stands before.
EMPTY = "is empty (0 bytes); copy, download or export it again"

# What a reader had to change, as codes in `Scan.warnings`, and the sentence for each.
WARNINGS: dict[str, str] = {
    "intensity_scaled": "Intensities were scaled to 8 bits, from percentile 0.5 to 99.5 of the scan.",
    "gray_repeated": "The scan has one channel, which stands in for all three that the model was trained on.",
    "constant": "All pixels of the scan have the same intensity.",
    "alpha_removed": "Transparent pixels were blended with black.",
    "cmyk_converted": "CMYK colors were converted to RGB without a color profile.",
    "second_channel_dropped": "The file has two channels; the first was used and the second dropped.",
    "fourth_channel_dropped": "The file has four channels; the first three were used, and the fourth dropped.",
    "head_scaled": "Intensities were scaled to 8 bits by the median and percentile 99.5 inside the head, to where the"
    " training data have them.",
    "resampled": "On the file's own voxels the pixels of axial slices would be far from squares, so axial slices were"
    " made by linear interpolation; masks and maps are brought back to the file's voxels the same way.",
    "skull_stripped": "The skull was taken off this scan, and the models were trained on whole heads: in what the"
    " network sees a rim is drawn around the brain. Pictures, masks and files are without it.",
    "oblique": "The slices are tilted by more than 20 degrees against the axial plane, in which the model was trained.",
    "forms_differ": "The header states two positions (sform and qform) that differ; the sform was used.",
    "orientation_assumed": "The header does not state where left, front and head are; the order of the format's"
    " predecessor, ANALYZE, was assumed, so left and right may be exchanged.",
    "position_unknown": "The files do not say where their slices lie; they stand in the order of their numbers, as"
    " stored, and there are no millimeters.",
    "slices_uneven": "The slices of the series lie at uneven distances, so some are missing or doubled: there is no"
    " volume, and nothing goes back to the file's grid.",
    "slices_filled": "Single slices of the series are missing; the mean of the two beside each stands in its place, and"
    " a small tumor there can be missed.",
    "slices_doubled": "Slices of the series came twice; each was used once.",
    "burned_in_text": "The file says that text is burned into its pictures, which may name the patient; the pictures"
    " are stored as they are.",
    "volume_chosen": "The file or series holds several volumes; the one that was chosen is this scan.",
    "first_frame_only": "Only the first picture of the file was read; stacks are read from TIFF.",
}


@dataclass(frozen=True)
class LeftOut:
    """A file of a series that cannot be read: its place among those that were given, and a sentence."""

    place: int
    message: str


class ScanError(Exception):
    """A file that is not taken: a code for programs and one safe sentence for people (no file name, no content).

    `unsupported`: no known signature (HTTP 415). All others are 422. `unreadable`: damaged, or a variant that no reader
    knows. `limit`: too large, by its header, its memory or its time. `too_small`, `empty`: as they say.

    files: of a series, those that are at fault.
    """

    def __init__(self, code: ErrorCode, message: str, files: tuple[LeftOut, ...] = ()) -> None:
        super().__init__(code, message)
        self.code: ErrorCode = code
        self.message = message
        self.files = files

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class DamagedFile(ScanError):
    """A file of a kind that is read, and cut or damaged: `unreadable`. Of a series it is one that lacks."""

    def __init__(self, message: str) -> None:
        super().__init__("unreadable", message)


@dataclass(frozen=True)
class Geometry:
    """Distances between the centers of neighboring pixels, in mm, as the file truly states them.

    slice_mm: between slices; None for a single slice whose file says nothing of it.
    """

    row_mm: float
    column_mm: float
    slice_mm: float | None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Of slices, rows and columns, as JSON and the database have it: 0 for an unknown distance of slices."""
        return (self.slice_mm or 0.0, self.row_mm, self.column_mm)


@dataclass(frozen=True)
class Scan:
    """A stack of slices on the file's own grid, after its orientation tag is applied.

    pixels: uint8 (N, H, W, 3), 0 to 255. Gray is repeated in the three channels.
    format: "png", "jpeg", "tiff", "webp" or "nifti", by signature.
    geometry: None where the file does not truly state one.
    grid: of a volume, the voxels of its file; None of pictures. The stack is axial then (`ml.volumes.axial`).
    warnings: keys of `WARNINGS`.
    orientation: the tag that was applied, 1 to 8 (TIFF and EXIF 274).
    sequence: what the file's header says that it is; None where it does not say, as of most pictures.
    details: of some of `warnings`, by code, what they mean in this scan: a few words with their full stop.
    left_out: of a series, the files that could not be read.
    """

    pixels: NDArray[np.uint8]
    format: str
    geometry: Geometry | None
    warnings: tuple[str, ...]
    orientation: int = 1
    grid: VolumeGrid | None = None
    sequence: SequenceKind | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Limits:
    """The largest and smallest scan that is decoded; checked in headers, before pixels.

    The defaults take any clinical series (1024 slices of 256 x 256, 256 of 512 x 512) and a photograph of a light box,
    and keep the decoded stack at 192 MiB, so that a decode of 16-bit pixels stays inside 1 GiB.
    """

    max_bytes: int = 256 * 2**20
    """Bytes of the file."""
    max_side: int = 16_384
    """Pixels of one side."""
    max_pixels_per_slice: int = 2**25
    """Height x width: 5792 x 5792. Pillow itself refuses more than 178 million."""
    max_slices: int = 1024
    """Slices (TIFF pages) of a scan."""
    max_voxels: int = 2**26
    """Slices x height x width."""
    min_side: int = 16
    """Pixels: nothing can be seen in less, and the network halves a side five times."""

    def check_bytes(self, size: int) -> None:
        """Refuse an empty or too large file. Raises ScanError `empty` or `limit`."""
        if size == 0:
            raise ScanError("empty", f"The file {EMPTY}.")
        if size > self.max_bytes:
            raise ScanError(
                "limit",
                f"The file has {size:,} bytes and the limit is {self.max_bytes:,}; compress it, crop it or split it.",
            )

    def check_slice(self, width: int, height: int) -> None:
        """Refuse a slice by its header's size in pixels. Raises ScanError `unreadable`, `too_small` or `limit`."""
        if width <= 0 or height <= 0:
            raise ScanError(
                "unreadable", f"The header says {width} x {height} pixels, which is no image; export the file again."
            )
        if max(width, height) > self.max_side or width * height > self.max_pixels_per_slice:
            raise ScanError(
                "limit",
                f"The image has {width} x {height} pixels and the limit is {self.max_pixels_per_slice:,} in all and "
                f"{self.max_side:,} a side; crop it or make it smaller.",
            )
        if min(width, height) < self.min_side:
            raise ScanError(
                "too_small",
                f"The image has {width} x {height} pixels and needs at least {self.min_side} a side; "
                "choose one at its full size.",
            )

    def check_stack(self, slice_count: int, width: int, height: int) -> None:
        """Refuse a stack by its number of slices and voxels. Raises ScanError `limit`."""
        if slice_count > self.max_slices:
            raise ScanError("limit", f"The file has more than {self.max_slices:,} pages, the limit; split it.")
        if slice_count * width * height > self.max_voxels:
            raise ScanError(
                "limit",
                f"The stack has {slice_count:,} x {width} x {height} voxels and the limit is {self.max_voxels:,}; "
                "crop it or split it.",
            )
