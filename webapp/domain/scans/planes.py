"""Axial, coronal and sagittal pictures of a stack."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.masks import MaskRule, slice_masks
from ml.rendering import panels
from ml.volumes import planes
from ml.volumes.grid import Shape
from ml.volumes.planes import AXES as AXES
from ml.volumes.planes import Axis as Axis
from ml.volumes.planes import Spacing
from webapp.domain.errors import NotFound, WrongState
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.scans.images import default_slice, dropped_regions, mask_rule
from webapp.domain.scans.models import Scan
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.keys import stack_key

# Of a picture of a plane, in pixels.
LONGEST_SIDE = 2048
_CUBES: Spacing = (1.0, 1.0, 1.0)


class Layer(Enum):
    """What a plane shows."""

    SCAN = "scan"
    OVERLAY = "overlay"
    MASK = "mask"
    HEATMAP = "heatmap"


@dataclass(frozen=True)
class PlaneSource:
    """Where a plane's arrays are, and what identifies it: read in a session, rendered outside of it."""

    scan_id: str
    shape: Shape
    spacing_mm: Spacing
    axis: Axis
    index: int
    layer: Layer
    channel: int | None
    map_key: str | None
    rule: MaskRule
    dropped: tuple[list[list[int]], ...]
    run: str

    @property
    def etag(self) -> str:
        """Equal pictures have equal ones."""
        spacing = "x".join(f"{distance:g}" for distance in self.spacing_mm)
        parts = (self.masks_key, self.axis.value, self.index, self.layer.value, self.channel, spacing)
        return ".".join(str(part) for part in parts)

    @property
    def masks_key(self) -> str:
        """Of the masks of all slices."""
        # All digits: near the run's own threshold another one has other masks.
        return f"{self.scan_id}.{self.run}.{self.rule.threshold!r}.planes"


def source(
    session: Any,
    scan: Scan,
    *,
    axis: Axis,
    index: int | None,
    layer: Layer,
    segmentation_id: str | None,
    channel: int | None = None,
    threshold: float | None = None,
) -> PlaneSource:
    """Find a plane's arrays.

    index: of slices, rows or columns; None: the slice with most tumor, or the middle row or column. threshold: of the
    mask, in place of the run's. Raises WrongState (one slice), NotFound (no such plane or run), NotReady (no result).
    """
    if scan.slice_count < 2:
        raise WrongState("The scan is a single slice; planes are cut through stacks of two slices and more.")
    row = (
        None if layer is Layer.SCAN and segmentation_id is None else lookup.finished_run(session, scan, segmentation_id)
    )
    shape = (scan.slice_count, scan.height, scan.width)
    size = shape[planes.AXES[axis].through]
    if index is None:
        index = default_slice(scan, row) if axis is Axis.AXIAL else size // 2
    if not 0 <= index < size:
        raise NotFound(f"There is no such plane; the {axis.value} ones of this scan are 0 to {size - 1}.")
    rule = mask_rule(row) if row else MaskRule(1.0)
    is_stored = threshold is None or row is None or threshold == row.threshold
    return PlaneSource(
        scan_id=scan.id,
        shape=shape,
        spacing_mm=known_spacing(scan) or _CUBES,
        axis=axis,
        index=index,
        layer=layer,
        channel=channel,
        map_key=row.map_key if row else None,
        rule=rule if is_stored or threshold is None else replace(rule, threshold=threshold),
        # What the rule for stacks took out is known of the run's own threshold.
        dropped=tuple(dropped_regions(row, item) for item in range(scan.slice_count)) if row and is_stored else (),
        run=f"{row.id}.{row.attempt}" if row else "none",
    )


def known_spacing(scan: Scan) -> Spacing | None:
    """Distances of slices, rows and columns in mm, where all three are known."""
    if not scan.spacing_mm or not all(distance and distance > 0 for distance in scan.spacing_mm):
        return None
    slices, rows, columns = scan.spacing_mm
    return slices, rows, columns


def picture_size(scan: Scan, axis: Axis) -> tuple[int, int]:
    """Width and height of a scan's planes, in square pixels."""
    shape = (scan.slice_count, scan.height, scan.width)
    return planes.picture_size(shape, known_spacing(scan) or _CUBES, axis, LONGEST_SIDE)


def render(resources: Resources, wanted: PlaneSource) -> bytes:
    """A plane as PNG in square pixels, from the cache where it is there. Raises StorageUnavailable."""
    return resources.images.get(wanted.etag, lambda: _render(resources, wanted))


def _render(resources: Resources, wanted: PlaneSource) -> bytes:
    size = planes.picture_size(wanted.shape, wanted.spacing_mm, wanted.axis, LONGEST_SIDE)

    def plane(stack: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(planes.cut(stack, wanted.axis, wanted.index))

    def enlarged(picture: NDArray[np.uint8], way: Image.Resampling) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(picture).resize(size, way))

    if wanted.layer is Layer.HEATMAP:
        q = plane(read_array(resources.storage, wanted.map_key or ""))
        return panels.encode_png(panels.heatmap_image(enlarged(q, Image.Resampling.BILINEAR)))
    tumor, doubtful, uncounted = (
        (enlarged(kinds.view(np.uint8), Image.Resampling.NEAREST) > 0) for kinds in _planes_of_masks(resources, wanted)
    )
    if wanted.layer is Layer.MASK:
        return panels.encode_png(panels.mask_image(tumor))
    pixels = plane(read_array(resources.storage, stack_key(wanted.scan_id)))  # (rows, columns, 3)
    if wanted.channel is not None:
        pixels = np.repeat(pixels[..., wanted.channel, None], 3, axis=-1)
    pixels = enlarged(np.ascontiguousarray(pixels), Image.Resampling.BILINEAR)
    if wanted.layer is Layer.SCAN:
        return panels.encode_png(panels.scan_image(pixels))
    return panels.encode_png(panels.overlay_image(pixels, tumor, doubtful, uncounted))


def _planes_of_masks(resources: Resources, wanted: PlaneSource) -> tuple[NDArray[np.bool], ...]:
    """The plane of mask, doubt and what is not counted, bool (rows, columns) each.

    The rule looks at whole slices, so a plane across them needs all of them; they are kept among the pictures.
    """
    count, height, width = wanted.shape
    if wanted.map_key is None:
        empty = np.zeros((1, 1), np.bool)
        return empty, empty, empty
    if wanted.axis is Axis.AXIAL:
        return _masks_of_slice(resources, wanted, wanted.index)

    def pack() -> bytes:
        slices = (_masks_of_slice(resources, wanted, index) for index in range(count))
        return b"".join(np.packbits(np.stack(kinds), axis=-1).tobytes() for kinds in slices)

    bits = np.frombuffer(resources.images.get(wanted.masks_key, pack), np.uint8)
    bits = bits.reshape(count, 3, height, -1)  # eight columns a byte
    if wanted.axis is Axis.CORONAL:
        kinds = np.unpackbits(bits[:, :, wanted.index], axis=-1, count=width)  # (N, 3, W)
    else:
        kinds = (bits[..., wanted.index // 8] >> (7 - wanted.index % 8) & 1).astype(np.uint8)  # (N, 3, H)
    tumor, doubtful, uncounted = (np.ascontiguousarray(kinds[::-1, kind]).view(np.bool) for kind in range(3))
    return tumor, doubtful, uncounted


def _masks_of_slice(resources: Resources, wanted: PlaneSource, index: int) -> tuple[NDArray[np.bool], ...]:
    q = np.array(read_array(resources.storage, wanted.map_key or "")[index])  # (H, W)
    masks = slice_masks(q[None], wanted.rule, wanted.dropped[index] if wanted.dropped else ())
    return masks.tumor[0], masks.doubtful[0], masks.uncounted[0]
