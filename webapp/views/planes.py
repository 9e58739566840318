"""What the result page's template needs of the three planes of a stack; pictures and links where no script runs."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import request, url_for

from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.planes import AXES, Axis, picture_size
from webapp.domain.scans.voxels import Edges, Space, space

# The names of a plane, of a scan that does not say how it lies in the patient, and of its index in an address.
_NAMES = {
    Axis.AXIAL: ("Axial", "Slices", "slice"),
    Axis.CORONAL: ("Coronal", "Rows", "row"),
    Axis.SAGITTAL: ("Sagittal", "Columns", "column"),
}


@dataclass(frozen=True)
class PlaneFigure:
    """One plane on the page. index: of the scan's own slices, rows or columns; count: of the viewer's."""

    axis: str
    title: str
    index: int
    total: int
    count: int
    picture_url: str
    width: int
    height: int
    edges: Edges | None
    previous_url: str | None
    next_url: str | None


@dataclass(frozen=True)
class PlanesView:
    """All three, whether the page opens with them, and what the viewer's script must know."""

    is_open: bool
    figures: tuple[PlaneFigure, ...]
    space: dict[str, Any]
    is_reduced: bool
    has_sides: bool


def planes_view(scan: Scan, run: Segmentation | None, slice_index: int, channel: int) -> PlanesView | None:
    """Of a scan whose distances are known, with a result; else None. channel: shown in gray, -1 in color."""
    place = space(scan)
    if run is None or run.map_key is None or place is None:
        return None
    shape = (scan.slice_count, scan.height, scan.width)
    asked = [slice_index, *(request.args.get(name, type=int) for name in ("row", "column"))]
    at = [
        size // 2 if index is None or not 0 <= index < size else index for index, size in zip(asked, shape, strict=True)
    ]
    kept = {name: value for name in ("segmentation",) if (value := request.args.get(name))}

    def address(changed: int, index: int) -> str | None:
        if not 0 <= index < shape[changed]:
            return None
        moved = [index if axis == changed else value for axis, value in enumerate(at)]
        return "?" + urlencode({**kept, "view": "planes", **dict(zip(("slice", "row", "column"), moved, strict=True))})

    figures = []
    for axis, axes in AXES.items():
        index, through = at[axes.through], axes.through
        width, height = picture_size(scan, axis)
        query: dict[str, Any] = {"axis": axis.value, "index": index, "segmentation": run.id}
        if channel >= 0:
            query["channel"] = channel
        figures.append(
            PlaneFigure(
                axis=axis.value,
                title=_NAMES[axis][0 if place.edges else 1],
                index=index,
                total=shape[through],
                count=place.shape[through],
                picture_url=url_for("api-planes.plane", scan_id=scan.id, **query),
                width=width,
                height=height,
                edges=place.edges[axis] if place.edges else None,
                previous_url=address(through, index - 1),
                next_url=address(through, index + 1),
            )
        )
    return PlanesView(
        is_open=request.args.get("view") == "planes",
        figures=tuple(figures),
        space=_facts(place),
        is_reduced=place.factors != (1, 1, 1),
        has_sides=place.edges is not None,
    )


def _facts(place: Space) -> dict[str, Any]:
    return {
        "shape": place.shape,
        "factors": place.factors,
        "spacing": place.spacing_mm,
        "affine": place.affine,
        "has_sides": place.edges is not None,
    }
