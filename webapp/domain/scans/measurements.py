"""What a succeeded run amounts to in mm: its volume, and its lesions with their diameters.

Measured from the stored map when asked for, and kept in memory: a large tumor of 180 slices takes 0.2 s, and nothing
that is stored goes stale when somebody enters another spacing.
"""

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.lesions.diameters import Line
from ml.lesions.lesions import Lesion, Patient, find_lesions, find_middle
from ml.masks import MaskRule, slice_masks
from ml.volumes.grid import Affine, VolumeGrid
from ml.volumes.planes import stack_affine
from webapp.domain.errors import StorageUnavailable
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans.images import dropped_regions, mask_rule
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.keys import stack_key

logger = logging.getLogger(__name__)

# A stack of the largest size takes 400 MB for some seconds: one at a time.
_turn = threading.Lock()


@dataclass(frozen=True)
class MeasurementSource:
    """Where a run's arrays are, and how to measure them: read in a session, measured outside of it.

    facts: of the run, as the answer repeats them. affine: of the stack, None where nobody says how it lies in the
    patient. spacing_mm: of slices, rows and columns; 0 for an unknown distance of slices.
    """

    scan_id: str
    facts: dict[str, Any]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None
    affine: Affine | None
    map_key: str
    rule: MaskRule
    tumor_slices: tuple[int, ...]
    dropped: dict[int, list[list[int]]]
    etag: str


def source(scan: Scan, row: Segmentation) -> MeasurementSource:
    """Of a succeeded run."""
    distances = (scan.spacing_mm[0], scan.spacing_mm[1], scan.spacing_mm[2]) if scan.spacing_mm else None
    shape = (scan.slice_count, scan.height, scan.width)
    tumor_slices = tuple(item["index"] for item in row.slices or () if item["tumor_pixels"])
    return MeasurementSource(
        scan_id=scan.id,
        facts={
            "scan": scan.id,
            "filename": scan.filename,
            "segmentation": row.id,
            "model": row.model,
            "model_version": row.model_version,
            "engine": row.engine,
            "threshold": row.threshold,
            "verdict": row.verdict,
            "warnings": [*scan.warnings, *row.warnings],
            "min_tumor_pixels": row.min_tumor_pixels,
            "spacing_mm": scan.spacing_mm,
            "spacing_source": scan.spacing_source,
            "tumor_pixels": row.tumor_pixels,
            "area_mm2": row.area_mm2,
            "volume_mm3": row.volume_mm3,
            "slices": [
                {"index": item["index"], "tumor_pixels": item["tumor_pixels"], "area_mm2": item.get("area_mm2")}
                for item in row.slices or ()
            ],
        },
        shape=shape,
        spacing_mm=distances,
        affine=stack_affine(VolumeGrid.from_json(scan.geometry), shape) if scan.knows_directions else None,
        map_key=row.map_key or "",
        rule=mask_rule(row),
        tumor_slices=tumor_slices,
        dropped={index: dropped_regions(row, index) for index in tumor_slices},
        etag=f"{scan.id}.{row.id}.{row.attempt}.{distances}.lesions",
    )


def measure(resources: Resources, wanted: MeasurementSource) -> dict[str, Any]:
    """The facts, with `lesion_count` and `lesions`, as `webapp.schemas.measurements` describes them.

    Raises StorageUnavailable.
    """
    found: dict[str, Any] = json.loads(resources.images.get(wanted.etag, lambda: _measure(resources, wanted)))
    return {**wanted.facts, **found}


def find(resources: Resources, scan: Scan, row: Segmentation | None) -> dict[str, Any] | None:
    """The measurements of a run for a page: None before it has succeeded, and where its arrays cannot be read."""
    if row is None or row.status is not Status.SUCCEEDED or row.map_key is None:
        return None
    try:
        return measure(resources, source(scan, row))
    except StorageUnavailable as error:  # the other figures are still worth a page
        logger.warning("a run was not measured: %s", error.code)
        return None


def _measure(resources: Resources, wanted: MeasurementSource) -> bytes:
    with _turn:
        maps = read_array(resources.storage, wanted.map_key)  # (N, H, W)
        mask = np.zeros(wanted.shape, bool)
        for index in wanted.tumor_slices:
            masks = slice_masks(np.array(maps[index])[None], wanted.rule, wanted.dropped[index])
            mask[index] = masks.tumor[0]
        patient = None
        if wanted.affine is not None and wanted.tumor_slices:
            pixels = read_array(resources.storage, stack_key(wanted.scan_id))
            patient = Patient(wanted.affine, find_middle(pixels, np.array(wanted.tumor_slices), wanted.affine))
        row_distance, column_distance = (1.0, 1.0) if wanted.spacing_mm is None else wanted.spacing_mm[1:]
        lesions = find_lesions(mask, row_distance, column_distance, patient)
    slice_mm = wanted.spacing_mm[0] if wanted.spacing_mm and wanted.shape[0] > 1 else None
    described = [
        _describe(number, lesion, wanted.spacing_mm, slice_mm) for number, lesion in enumerate(lesions.listed, 1)
    ]
    return json.dumps({"lesion_count": lesions.count, "lesions": described}).encode()


def _describe(
    number: int, lesion: Lesion, spacing_mm: Sequence[float] | None, slice_mm: float | None
) -> dict[str, Any]:
    """slice_mm: the distance of slices; None where there is one slice, which has an area and no volume."""
    longest, perpendicular = lesion.diameters.longest, lesion.diameters.perpendicular
    in_mm, in_pixels = (None, lesion.diameters) if spacing_mm is None else (lesion.diameters, None)
    pixel_mm2 = None if spacing_mm is None else spacing_mm[1] * spacing_mm[2]
    voxel_mm3 = pixel_mm2 * slice_mm if pixel_mm2 and slice_mm else None
    return {
        "number": number,
        "voxels": lesion.voxels,
        "volume_mm3": None if voxel_mm3 is None else lesion.voxels * voxel_mm3,
        "slices": [lesion.first_slice, lesion.last_slice],
        "largest_slice": lesion.largest_slice,
        "area_pixels": lesion.area_pixels,
        "area_mm2": None if pixel_mm2 is None else lesion.area_pixels * pixel_mm2,
        "diameter_mm": in_mm and in_mm.longest.length,
        "perpendicular_mm": in_mm and in_mm.perpendicular.length,
        "product_mm2": in_mm and in_mm.product,
        "diameter_pixels": in_pixels and in_pixels.longest.length,
        "perpendicular_pixels": in_pixels and in_pixels.perpendicular.length,
        "product_pixels": in_pixels and in_pixels.product,
        "diameter_line": _ends(longest),
        "perpendicular_line": _ends(perpendicular),
        "hemisphere": lesion.side,
        "center_mm": lesion.center_mm,
        "center_pixels": lesion.center,
    }


def _ends(line: Line) -> list[list[float]]:
    return [list(line.start), list(line.end)]
