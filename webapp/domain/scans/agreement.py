"""How far a run and the expert's mask of its scan agree: measured when asked for, with the evaluation's own metrics."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.caveats import APART, is_apart, known_patient
from ml.evaluation.mask_fit import find_misfit_of_stack
from ml.evaluation.outlines import pack_outlines
from ml.metrics.agreement import compare_slices
from ml.metrics.slices import SliceComparison
from webapp.domain.errors import StorageUnavailable
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import truth
from webapp.domain.scans.images import VolumeSlices, masks_of_slice
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.truth import Truth
from webapp.domain.storage.arrays import read_array

logger = logging.getLogger(__name__)


def measure(resources: Resources, scan: Scan, row: Segmentation | None) -> dict[str, Any] | None:
    """The metrics of all slices together by their names, `slices`: those of each, with its `index`, and `caveat`.

    None before the run has succeeded, where the scan has no expert's mask, and where the arrays cannot be read.
    """
    expert = Truth.of(scan)
    if expert is None or row is None or row.status is not Status.SUCCEEDED or row.map_key is None:
        return None
    key = f"{scan.id}.{row.id}.{row.attempt}.{expert.id}.agreement"
    try:
        found: dict[str, Any] = json.loads(resources.images.get(key, lambda: _measure(resources, scan, row, expert)))
    except StorageUnavailable as error:  # the scan's own figures are still worth an answer
        logger.warning("a scan was not compared with its expert's mask: %s", error.code)
        return None
    caveats = [found.pop("misfit", None), _apart(found, row), _caveat(resources, scan, row)]
    return {**found, "caveat": " ".join(filter(None, caveats)) or None}


def _caveat(resources: Resources, scan: Scan, row: Segmentation) -> str | None:
    """What a reader must know before the figures: that the model knows the patient."""
    card = resources.catalog.readable_card(row.model)
    names = [scan.filename, *(scan.slice_names or ()), *((scan.study.name,) if scan.study else ())]
    return None if card is None else known_patient(card.training, names)


def _apart(found: dict[str, Any], row: Segmentation) -> str | None:
    return f"{APART}." if is_apart(found.get("dice"), row.tumor_pixels) else None


def _measure(resources: Resources, scan: Scan, row: Segmentation, expert: Truth) -> bytes:
    outlines: list[bytes] = []
    agreement = compare_slices(_outlined(_slices(resources, scan, row, expert), outlines))
    misfit = find_misfit_of_stack(outlines)
    own = _on_own_voxels(resources, scan, row, expert)
    whole = agreement.whole if own is None else compare_slices(own).whole
    slices = [{"index": index, **metrics} for index, metrics in agreement.slices.items()]
    return json.dumps(
        {"segmentation": row.id, **whole, "slices": slices, "misfit": misfit and misfit.sentence}
    ).encode()


def _outlined(
    slices: Iterator[tuple[int, SliceComparison]], outlines: list[bytes]
) -> Iterator[tuple[int, SliceComparison]]:
    """The slices as they are; the outlines of both masks are put into the list in passing."""
    for index, compared in slices:
        if compared.truth is not None:
            outlines.append(pack_outlines(compared.truth, compared.mask))
        yield index, compared


def _on_own_voxels(
    resources: Resources, scan: Scan, row: Segmentation, expert: Truth
) -> Iterator[tuple[int, SliceComparison]] | None:
    """Both masks on the voxels of the scan's file, slice by slice of the file, where the stack has others: experts draw
    on these, and masks leave on them. None where the stack has the file's voxels, or lacks a slice's mask."""
    shape = (scan.slice_count, scan.height, scan.width)
    if scan.geometry is None or not all(map(expert.has_slice, range(scan.slice_count))):
        return None
    from ml.volumes.axial import back_to_source  # a web process that shows no volume does not pay for it
    from ml.volumes.grid import VolumeGrid

    grid = VolumeGrid.from_json(scan.geometry)
    if grid.axial_shape == shape:
        return None
    own = truth.read_on_file(resources, scan, expert)
    truths = own or [truth.read_slice(resources, scan, expert, index) for index in range(scan.slice_count)]
    whites = [drawn_slice * np.uint8(255) for drawn_slice in truths]
    drawn: NDArray[np.bool] = back_to_source(grid, whites, grid.axial_shape if own else shape) >= 128  # (i, j, k)
    found: NDArray[np.bool] = back_to_source(grid, VolumeSlices(resources, scan, row, "mask"), shape) >= 128
    through = int(np.argmax(grid.spacing_mm))  # the axis along which the file's slices follow each other
    blank = np.zeros(1, np.uint8)  # no metric of an agreement reads the map
    return (
        (index, SliceComparison(blank, np.take(found, index, through), np.take(drawn, index, through), seconds=0.0))
        for index in range(grid.shape[through])
    )


def _slices(
    resources: Resources, scan: Scan, row: Segmentation, expert: Truth
) -> Iterator[tuple[int, SliceComparison]]:
    maps = read_array(resources.storage, row.map_key or "")  # (N, H, W)
    for index in range(scan.slice_count):
        if not expert.has_slice(index):
            continue
        probability_u8 = np.asarray(maps[index])
        found = masks_of_slice(row, probability_u8, index).tumor[0]
        drawn = truth.read_slice(resources, scan, expert, index)
        yield index, SliceComparison(probability_u8, found, drawn, seconds=0.0)
