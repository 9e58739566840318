"""Axial, coronal and sagittal pictures of a stack, and its voxels for a viewer that cuts planes itself."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.masks import MaskRule, slice_masks
from ml.rendering import panels
from ml.volumes import planes
from ml.volumes.grid import Affine, Shape, VolumeGrid
from ml.volumes.planes import Axis, Spacing
from webapp.domain.errors import NotFound, WrongState
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.scans.images import default_slice, dropped_regions, mask_rule
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.truth import Truth, read_slice
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.keys import stack_key

# Of a picture of a plane, in pixels.
LONGEST_SIDE = 2048
# Of a stack that a browser keeps in memory, in bytes of each of its contents: 512 x 512 x 128.
MOST_VOXELS = 2**25
_CUBES: Spacing = (1.0, 1.0, 1.0)


class Layer(Enum):
    """What a plane shows."""

    SCAN = "scan"
    OVERLAY = "overlay"
    MASK = "mask"
    HEATMAP = "heatmap"


class Content(Enum):
    """What voxels hold."""

    SCAN = "scan"
    PROBABILITY = "probability"
    TRUTH = "truth"


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
        return f"{self.scan_id}.{self.run}.{self.rule.threshold:g}.planes"


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


@dataclass(frozen=True)
class Space:
    """Where the voxels of a viewer lie, and what its planes are called.

    shape: slices, rows, columns, after `factors` voxels of the scan's own axes became one. affine: from their indices
    to mm. edges: by plane, letters; None where the scan does not say how it lies in the patient, and mm count from the
    first voxel.
    """

    shape: Shape
    factors: Shape
    spacing_mm: Spacing
    affine: Affine
    edges: dict[Axis, planes.Edges] | None


def space(scan: Scan) -> Space | None:
    """The space of a stack whose spacing is known; None where its planes would have no true aspect."""
    spacing_mm = known_spacing(scan)
    if scan.slice_count < 2 or spacing_mm is None:
        return None
    shape = (scan.slice_count, scan.height, scan.width)
    factors = planes.reduction(shape, spacing_mm, MOST_VOXELS)
    if scan.geometry is None:
        affine, edges = planes.spacing_affine(spacing_mm), None
    else:
        affine = planes.stack_affine(VolumeGrid.from_json(scan.geometry), shape)
        edges = {axis: planes.edges(affine, axis) for axis in Axis}
    (n, h, w), (a, b, c), (deep, tall, wide) = shape, factors, spacing_mm
    return Space(
        shape=(n // a, h // b, w // c),
        factors=factors,
        spacing_mm=(deep * a, tall * b, wide * c),
        affine=planes.reduced_affine(affine, factors),
        edges=edges,
    )


@dataclass(frozen=True)
class VoxelSource:
    """Where the voxels of a viewer are: read in a session, sent outside of it."""

    scan: Scan
    content: Content
    channel: int
    factors: Shape
    shape: Shape
    array_key: str
    truth: Truth | None
    etag: str


def voxels(session: Any, scan: Scan, content: Content, channel: int, segmentation_id: str | None) -> VoxelSource:
    """Find the voxels. Raises WrongState (no planes), NotFound (no expert's mask, no such run), NotReady."""
    place = space(scan)
    if place is None:
        raise WrongState("The scan is a single slice, or its distances are not known; it has no planes.")
    row: Segmentation | None = None
    truth = Truth.of(scan)
    if content is Content.PROBABILITY:
        row = lookup.finished_run(session, scan, segmentation_id)
    if content is Content.TRUTH and truth is None:
        raise NotFound("This scan has no expert's mask.")
    named = {
        Content.SCAN: str(channel),
        Content.PROBABILITY: f"{row.id}.{row.attempt}" if row else "",
        Content.TRUTH: truth.id if truth else "",
    }[content]
    return VoxelSource(
        scan=scan,
        content=content,
        channel=channel,
        factors=place.factors,
        shape=place.shape,
        array_key=(row.map_key or "") if row else stack_key(scan.id),
        truth=truth if content is Content.TRUTH else None,
        etag=f"{scan.id}.voxels.{content.value}.{named}.{'x'.join(map(str, place.factors))}",
    )


def stream(resources: Resources, wanted: VoxelSource, *, is_packed: bool) -> Iterator[bytes]:
    """The voxels, one byte each, columns first, slice by slice; as a gzip file where it is packed.

    Raises StorageUnavailable before the first byte where the stored array is missing.
    """
    if wanted.truth is not None:
        slices = _truth_slices(resources, wanted, wanted.truth)
    else:
        stack = read_array(resources.storage, wanted.array_key)
        slices = planes.reduce_stack(stack[..., wanted.channel] if stack.ndim == 4 else stack, wanted.factors)
    if not is_packed:
        return (plane.tobytes() for plane in slices)
    return _packed(slices)


def _packed(slices: Iterator[NDArray[np.uint8]]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=31)  # 31: with gzip's head and checksum
    for plane in slices:
        yield packer.compress(plane.tobytes())
    yield packer.flush()


def _truth_slices(resources: Resources, wanted: VoxelSource, truth: Truth) -> Iterator[NDArray[np.uint8]]:
    """The expert's mask, 0 or 255; 0 on slices without one."""
    step = wanted.factors[0]
    for index in range(wanted.shape[0]):
        group = np.zeros((step, wanted.scan.height, wanted.scan.width), np.uint8)
        for place in range(step):
            if truth.has_slice(index * step + place):
                group[place] = read_slice(resources, wanted.scan, truth, index * step + place) * np.uint8(255)
        for plane in planes.reduce_stack(group, wanted.factors):
            yield np.where(plane >= 128, np.uint8(255), np.uint8(0))
