"""What may be asked of scans that are there: a run, a picture, a change, several in one."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from webapp.domain.jobs.wait import LONGEST_WAIT_S
from webapp.domain.scans.images import THUMBNAIL_SIDES
from webapp.domain.scans.result_zips import Content
from webapp.domain.scans.spacing import LEAST_MM, MOST_MM
from webapp.schemas.pictures import PictureColorsSchema
from webapp.schemas.segmentations import LONGEST_ID, RunChoiceSchema
from webapp.schemas.uploads import LONGEST_TYPED

# More than a screen of selected rows, less than what a request may not do in its time.
MOST_SELECTED = 200

_THREE_DISTANCES = "These are not three distances in mm: slice, row, column, as [5.5, 0.9, 0.9]."


class ScanQuerySchema(RunChoiceSchema):
    """Which run to show, and whether to wait for its end."""

    wait = fields.Float(
        load_default=0.0,
        validate=validate.Range(0, LONGEST_WAIT_S),
        metadata={"description": "seconds; answers as soon as no run of the scan is open"},
    )


class ImageQuerySchema(RunChoiceSchema, PictureColorsSchema):
    """Which image."""

    slice = fields.Integer(
        validate=validate.Range(0, 1_000_000), metadata={"description": "default: the slice with most tumor"}
    )


class ThumbnailQuerySchema(RunChoiceSchema):
    """Which thumbnail."""

    side = fields.Integer(
        load_default=THUMBNAIL_SIDES[-1],
        validate=validate.OneOf(THUMBNAIL_SIDES),
        metadata={"description": "pixels of its longer side"},
    )


class ScanChangeSchema(ma.Schema):
    """What of a scan may be changed: one of these."""

    study = fields.String(
        allow_none=True,
        validate=validate.Length(max=LONGEST_TYPED),
        metadata={
            "description": "the name of its new study, made where there is none; null: out of its study",
            "x-example": "Patient 7",
        },
    )
    spacing_mm = fields.List(
        fields.Float(allow_none=True),
        allow_none=True,
        validate=validate.Length(equal=3, error=_THREE_DISTANCES),
        error_messages={"invalid": _THREE_DISTANCES},
        metadata={
            "description": f"slice, row, column, {LEAST_MM:g} to {MOST_MM:g} mm, of a scan whose file states none; that"
            " of slices may be null where there is one slice. null: not known any more"
        },
    )

    @ma.validates_schema
    def _check_one(self, data: dict[str, Any], **_options: Any) -> None:
        if len(data) != 1:
            raise ma.ValidationError("Give `study` or `spacing_mm`, one at a time.")


def _scan_ids(least: int, description: str) -> fields.List[str]:
    return fields.List(
        fields.String(validate=validate.Length(max=LONGEST_ID)),
        required=True,
        validate=validate.Length(least, MOST_SELECTED),
        metadata={"description": description, "x-example": ["SCAN_ID", "OTHER_ID"]},
    )


class StackSchema(ma.Schema):
    """Scans of one picture each that become one stack."""

    scans = _scan_ids(2, "ids, in any order: the stack is in the natural order of their names")


class SelectionSchema(ma.Schema):
    """Several scans, and what of them."""

    scans = _scan_ids(1, "ids")
    content = fields.Enum(
        Content,
        by_value=True,
        load_default=Content.ALL,
        metadata={"description": "all: every picture, masks, result; masks: one TIFF a scan, a page a slice"},
    )
