"""The voxels of a stack for a viewer that cuts planes itself: where they lie, and their bytes."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.volumes import planes
from ml.volumes.grid import Affine, Shape, VolumeGrid
from ml.volumes.planes import Axis, Spacing
from ml.volumes.planes import Edges as Edges
from webapp.domain.errors import NotFound, WrongState
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.planes import known_spacing
from webapp.domain.scans.truth import Truth, read_slice
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.keys import stack_key

# Of a stack that a browser keeps in memory, in bytes of each of its contents: 512 x 512 x 128.
MOST_VOXELS = 2**25


class Content(Enum):
    """What voxels hold."""

    SCAN = "scan"
    PROBABILITY = "probability"
    TRUTH = "truth"


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


def find_voxels(session: Any, scan: Scan, content: Content, channel: int, segmentation_id: str | None) -> VoxelSource:
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
