"""What a prediction leaves: masks, cut-outs and overlays as PNG, masks of volumes as NIfTI, and `predictions.csv`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.datasets.file_names import shown
from ml.masks import Masks
from ml.measurements import SliceMeasure, Verdict
from ml.prediction.sources import Source
from ml.rendering.panels import cutout_image, encode_png, mask_image, overlay_image
from ml.reports.csv import TableWriter
from ml.volumes.axial import mask_on_source
from ml.volumes.grid import VolumeGrid
from ml.volumes.nifti_file import write_nifti

COLUMNS = (
    "file",
    "slice",
    "verdict",
    "tumor_pixels",
    "total_pixels",
    "coverage_percent",
    "max_probability",
    "doubtful_pixels",
    "uncounted_pixels",
    "head_pixels",
    "head_coverage_percent",
    "mean_confidence",
    "rim_width_pixels",
    "area_mm2",
    "mask",
    "cutout",
    "overlay",
    "volume_mask",
    "warnings",
    "error",
)
FOLDERS = ("masks", "cutouts", "overlays")
# Of masks of volumes; there only where there is one.
VOLUMES, VOLUME_ENDING = "volumes", ".nii.gz"


@dataclass(frozen=True)
class PredictedSlice:
    """One slice of a file. pixels: uint8 (H, W, 3); masks, measure: of this slice; name: of its pictures, without
    suffix; volume_mask: the file that has the masks of all slices, of a volume."""

    source: Source
    index: int
    name: str
    pixels: NDArray[np.uint8]
    masks: Masks
    measure: SliceMeasure
    verdict: Verdict
    volume_mask: str | None = None


def write_slice(folder: Path, table: TableWriter, one: PredictedSlice, warnings: str) -> None:
    """Its three pictures, then its row. Raises OSError."""
    mask = one.masks.tumor[0]
    overlay = overlay_image(one.pixels, mask, one.masks.doubtful[0], one.masks.uncounted[0])
    pictures = (mask_image(mask), cutout_image(one.pixels, mask), overlay)
    files = [f"{kind}/{one.name}.png" for kind in FOLDERS]
    for file, picture in zip(files, pictures, strict=True):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if picture.mode == "RGBA":
            picture.save(path, compress_level=1)
        else:
            path.write_bytes(encode_png(picture))
    measure, pixels = one.measure, mask.size
    table.write(
        [
            shown(str(one.source.path)),
            one.index,
            one.verdict,
            measure.tumor_pixels,
            pixels,
            f"{100 * measure.tumor_pixels / pixels:.4f}",
            f"{measure.max_probability:.4f}",
            measure.doubtful_pixels,
            measure.uncounted_pixels,
            measure.head_pixels or None,
            _decimals(measure.head_coverage_percent, 4),
            _decimals(measure.mean_confidence, 4),
            _decimals(measure.rim_width_pixels, 2),
            _decimals(measure.area_mm2, 3),
            *files,
            one.volume_mask,
            warnings,
            None,
        ]
    )


def write_volume_mask(folder: Path, source: Source, masks: Masks, grid: VolumeGrid) -> str:
    """The masks of all slices on the voxels of the scan's own file, 0 or 1, as the portal's `mask.nii.gz`; its name in
    the results. Raises OSError."""
    tumor = masks.tumor.view(np.uint8) * np.uint8(255)  # (N, H, W)
    slices, rows, columns = tumor.shape
    name = f"{VOLUMES}/{source.name}{VOLUME_ENDING}"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(path, mask_on_source(grid, list(tumor), (slices, rows, columns)), grid)
    return name


def _decimals(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def write_error(table: TableWriter, path: Path, message: str) -> None:
    """The row of a file that cannot be decoded: its name and why."""
    table.write([shown(str(path)), *[None] * (len(COLUMNS) - 2), message])
