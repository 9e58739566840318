"""Distances of pixels and slices that a person enters, and the areas and volumes that runs have by any."""

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from webapp.domain.errors import InvalidInput, NotFound, WrongState
from webapp.domain.resources import Resources
from webapp.domain.scans.models import SPACING_ENTERED, Scan, Segmentation, SpacingSource

# As of files (docs/formats.md): what lies outside of these is a mistake of typing.
LEAST_MM, MOST_MM = 0.05, 50.0
# No scanner's field of view is larger.
MOST_SIDE_MM = 1000.0


def enter(resources: Resources, scan_id: str, spacing_mm: Sequence[float | None] | None) -> None:
    """Set the spacing of a scan whose file states none, or, with None, take it away; areas and volumes of its runs
    follow in the same transaction.

    spacing_mm: of slices, rows and columns; that of slices may be None where there is one slice. Raises NotFound,
    WrongState (the file states it), InvalidInput.
    """
    with resources.database.write() as session:
        scan = session.scalar(select(Scan).where(Scan.id == scan_id).with_for_update(key_share=True))
        if scan is None:
            raise NotFound("There is no such scan.")
        if scan.spacing_source is SpacingSource.FILE:
            raise WrongState("The scan's file states how far its pixels lie from each other; that is not changed here.")
        scan.spacing_mm = None if spacing_mm is None else _checked(spacing_mm, scan)
        others = [code for code in scan.warnings if code != SPACING_ENTERED]
        scan.warnings = others if spacing_mm is None else [*others, SPACING_ENTERED]
        for run in session.scalars(select(Segmentation).where(Segmentation.scan_id == scan_id)):
            if run.slices is not None:
                run.area_mm2, run.volume_mm3, run.slices = sizes(run.slices, scan.spacing_mm)


def sizes(
    slices: Sequence[dict[str, Any]], spacing_mm: Sequence[float] | None
) -> tuple[float | None, float | None, list[dict[str, Any]]]:
    """The area in mm2 of a single slice, the volume in mm3 of a stack, and the slices with the area of each."""
    if not spacing_mm:
        return None, None, [{**item, "area_mm2": None} for item in slices]
    slice_mm, row_mm, column_mm = spacing_mm
    measured = [{**item, "area_mm2": item["tumor_pixels"] * row_mm * column_mm} for item in slices]
    area_mm2 = sum(item["area_mm2"] for item in measured)
    if len(measured) == 1:
        return area_mm2, None, measured
    return None, area_mm2 * slice_mm if slice_mm else None, measured


def _checked(spacing_mm: Sequence[float | None], scan: Scan) -> list[float]:
    """As the database has it: 0 for an unknown distance of slices."""
    slices, *in_plane = spacing_mm
    slice_count = scan.slice_count
    if slices is None and slice_count > 1:
        raise InvalidInput("The scan has several slices; say how far they lie from each other, too.")
    for distance in (*in_plane, *([] if slices is None else [slices])):
        if distance is None or not math.isfinite(distance) or not LEAST_MM <= distance <= MOST_MM:
            raise InvalidInput(f"A distance is {distance} mm and may be {LEAST_MM:g} to {MOST_MM:g} mm.")
    for words, count, distance in zip(
        ("slices deep", "rows high", "columns wide"), (slice_count, scan.height, scan.width), spacing_mm, strict=True
    ):
        if (side_mm := count * (distance or 0.0)) > MOST_SIDE_MM:
            raise InvalidInput(
                f"With {distance:g} mm the scan, {count} {words}, would measure {side_mm:,.0f} mm; a distance is that"
                " between two neighbors, such as 0.94 mm."
            )
    return [0.0 if slices is None or slice_count == 1 else slices, *(distance or 0.0 for distance in in_plane)]
