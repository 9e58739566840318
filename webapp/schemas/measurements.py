"""The JSON and the CSV of a run's measurements: one list of fields for both."""

import io
from collections.abc import Iterable
from typing import Any

from marshmallow import fields

from ml.lesions.lesions import LISTED, Side
from ml.measurements import Verdict
from ml.version import VERSION
from webapp.domain.scans.models import SpacingSource
from webapp.schemas.fields import AnswerSchema, Code, Rounded, Spacing, dump

RESEARCH_USE = "Research use only. Not for diagnosis."
_NO_SPACING = "null where the spacing is not known"


def _mm(digits: int, unit: str = "") -> Rounded:
    return Rounded(digits, required=True, allow_none=True, metadata={"description": f"{unit}{_NO_SPACING}"})


def _pixels(of: str) -> Rounded:
    return Rounded(2, required=True, allow_none=True, metadata={"description": f"{of}; null where it is known in mm"})


class Milliliters(fields.Float):
    """A volume in ml, from `volume_mm3` beside it."""

    _CHECK_ATTRIBUTE = False

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> float | None:
        volume_mm3 = obj["volume_mm3"]
        return None if volume_mm3 is None else round(volume_mm3 / 1000, 4)


class Places(fields.List[Any]):
    """Coordinates, to so many digits."""

    def __init__(self, digits: int, **options: Any) -> None:
        super().__init__(Rounded(digits), **options)


def _line(description: str) -> fields.List[Any]:
    return fields.List(Places(3), required=True, metadata={"description": description})


class LesionSchema(AnswerSchema):
    """A 26-connected component of the mask."""

    number = fields.Integer(required=True, metadata={"description": "from 1, the largest first"})
    voxels = fields.Integer(required=True)
    volume_mm3 = _mm(1)
    volume_ml = Milliliters(required=True, allow_none=True, metadata={"description": _NO_SPACING})
    slices = fields.List(fields.Integer(), required=True, metadata={"description": "first and last, from 0"})
    largest_slice = fields.Integer(
        required=True, metadata={"description": "where its area is largest, from 0; there diameters are measured"}
    )
    area_pixels = fields.Integer(required=True, metadata={"description": "on the largest slice"})
    area_mm2 = _mm(2, "on the largest slice; ")
    diameter_mm = _mm(2, "the longest; ")
    perpendicular_mm = _mm(2, "the longest at a right angle to the diameter; ")
    product_mm2 = _mm(1, "of the two; ")
    diameter_pixels = _pixels("the longest")
    perpendicular_pixels = _pixels("the longest at a right angle to the diameter")
    product_pixels = _pixels("of the two")
    diameter_line = _line("its ends: row and column, in pixels from the outer corner of the first")
    perpendicular_line = _line("its ends: row and column, in pixels from the outer corner of the first")
    hemisphere = Code(
        Side,
        required=True,
        allow_none=True,
        metadata={"description": "the patient's; null where no position is stated"},
    )
    center_mm = Places(
        2, required=True, allow_none=True, metadata={"description": "x, y, z (RAS); null where no position is stated"}
    )
    center_pixels = Places(2, required=True, metadata={"description": "slice, row, column, from 0"})


class MeasuredSliceSchema(AnswerSchema):
    """The mask's area on a slice."""

    index = fields.Integer(required=True, metadata={"description": "from 0"})
    tumor_pixels = fields.Integer(required=True)
    area_mm2 = _mm(2)


class MeasurementsSchema(AnswerSchema):
    """What the mask of a run amounts to."""

    scan = fields.String(required=True, metadata={"description": "its id"})
    filename = fields.String(required=True)
    segmentation = fields.String(required=True, metadata={"description": "the id of the run"})
    model = fields.String(required=True)
    model_version = fields.String(required=True, allow_none=True)
    engine = fields.String(required=True, allow_none=True)
    threshold = fields.Float(required=True)
    verdict = Code(
        Verdict, required=True, metadata={"description": "of the run; with `not_assessed` no lesion is a finding"}
    )
    warnings = fields.List(
        fields.String(), required=True, metadata={"description": "codes, of the scan and of the run: see Warnings"}
    )
    min_tumor_pixels = fields.Integer(required=True, allow_none=True)
    glioscope_version = fields.Constant(VERSION)
    note = fields.Constant(RESEARCH_USE)
    spacing_mm = Spacing(
        fields.Float(allow_none=True),
        required=True,
        allow_none=True,
        metadata={"description": "slice, row, column; null where it is not known"},
    )
    spacing_source = Code(SpacingSource, required=True, allow_none=True)
    tumor_pixels = fields.Integer(required=True, metadata={"description": "of all slices"})
    area_mm2 = _mm(2, "of a single slice; ")
    volume_mm3 = _mm(1, "of a stack; ")
    volume_ml = Milliliters(required=True, allow_none=True, metadata={"description": _NO_SPACING})
    slices = fields.List(fields.Nested(MeasuredSliceSchema), required=True)
    lesion_count = fields.Integer(required=True)
    lesions = fields.List(
        fields.Nested(LesionSchema), required=True, metadata={"description": f"the largest {LISTED} of them"}
    )


def dump_measurements(measured: dict[str, Any]) -> dict[str, Any]:
    """The JSON of `webapp.domain.scans.measurements`."""
    return dump(MeasurementsSchema, measured)


# Of each row, what the whole run says; then a lesion's own.
_RUN_COLUMNS = (
    "scan", "filename", "segmentation", "model", "model_version", "threshold", "verdict", "warnings",
    "glioscope_version",
)  # fmt: skip
_SPACING_COLUMNS = ("slice_mm", "row_mm", "column_mm")
_LESION_COLUMNS = (
    "voxels", "volume_mm3", "volume_ml", "first_slice", "last_slice", "largest_slice", "area_pixels", "area_mm2",
    "diameter_mm", "perpendicular_mm", "product_mm2", "diameter_pixels", "perpendicular_pixels", "product_pixels",
    "hemisphere", "center_x_mm", "center_y_mm", "center_z_mm",
)  # fmt: skip
ALL = "all"


def measurements_csv(described: dict[str, Any]) -> bytes:
    """A row for the whole mask, whose `lesion` is "all", and one for each listed lesion; UTF-8. Slices count from 1, as
    on pages.

    described: of `dump_measurements`.
    """
    from ml.reports.csv import ALL_DIGITS, TableWriter  # with the evaluation's modules, which few processes need

    text = io.StringIO()
    columns = (*_RUN_COLUMNS, "spacing_source", *_SPACING_COLUMNS, "lesion", "lesion_count", *_LESION_COLUMNS)
    writer = TableWriter(text, columns, ALL_DIGITS)
    described = {**described, "warnings": " ".join(described["warnings"])}
    of_run = [described[name] for name in _RUN_COLUMNS]
    of_run += [described["spacing_source"], *(distance or None for distance in described["spacing_mm"] or (None,) * 3)]
    for number, item in ((ALL, _whole(described)), *((item["number"], _flat(item)) for item in described["lesions"])):
        writer.write([*of_run, number, described["lesion_count"], *(item.get(name) for name in _LESION_COLUMNS)])
    return text.getvalue().encode()


def _whole(described: dict[str, Any]) -> dict[str, Any]:
    with_tumor = [item["index"] for item in described["slices"] if item["tumor_pixels"]]
    return {
        "voxels": described["tumor_pixels"],
        "volume_mm3": described["volume_mm3"],
        "volume_ml": described["volume_ml"],
        "area_mm2": described["area_mm2"],
        **_ends(with_tumor),
    }


def _flat(lesion: dict[str, Any]) -> dict[str, Any]:
    center: Iterable[float | None] = lesion["center_mm"] or (None,) * 3
    return {
        **lesion,
        **_ends(lesion["slices"]),
        "largest_slice": lesion["largest_slice"] + 1,
        **dict(zip(("center_x_mm", "center_y_mm", "center_z_mm"), center, strict=True)),
    }


def _ends(slices: list[int]) -> dict[str, int | None]:
    return {"first_slice": slices[0] + 1 if slices else None, "last_slice": slices[-1] + 1 if slices else None}
