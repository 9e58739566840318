"""What the history may be asked for."""

import marshmallow as ma
from marshmallow import fields, validate

from ml.measurements import Verdict
from webapp.domain.jobs.models import Status
from webapp.domain.scans.history import DEFAULT_LIMIT, LARGEST_LIMIT, SORTS
from webapp.schemas.segmentations import LONGEST_ID, LONGEST_MODEL_NAME
from webapp.schemas.warnings import WARNINGS


def _day(name: str, description: str) -> fields.Date:
    return fields.Date(
        data_key=name,
        error_messages={"invalid": "This is not a day; write it as 2026-11-30."},
        metadata={"description": description},
    )


class HistoryFilterSchema(ma.Schema):
    """Which scans, in which order."""

    query = fields.String(
        data_key="q",
        load_default="",
        validate=validate.Length(max=255),
        metadata={
            "description": "words, each part of the file's name, or of the name, tags, notes or patient of its study;"
            " or the whole pseudonym of a DICOM series"
        },
    )
    status = fields.Enum(Status, by_value=True)
    verdict = fields.Enum(Verdict, by_value=True)
    model = fields.String(load_default="", validate=validate.Length(max=LONGEST_MODEL_NAME))
    study = fields.String(
        load_default="", validate=validate.Length(max=LONGEST_ID), metadata={"description": "a study's id"}
    )
    warnings = fields.List(
        fields.String(validate=validate.OneOf(list(WARNINGS))),
        data_key="warning",
        load_default=(),
        metadata={"description": "a code; repeated: scans with any of them"},
    )
    from_date = _day("from", "first day, UTC, as 2026-11-30")
    to_date = _day("to", "last day, UTC, as 2026-11-30")
    sort = fields.String(load_default="newest", validate=validate.OneOf([sort.value for sort in SORTS]))


class HistoryTableQuerySchema(HistoryFilterSchema):
    """Which scans, in which order, and how the table begins."""

    bom = fields.Boolean(
        load_default=False,
        metadata={"description": "true: a byte order mark first, by which Excel tells UTF-8"},
    )


class HistoryQuerySchema(HistoryFilterSchema):
    """What to list."""

    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, LARGEST_LIMIT))
    cursor = fields.String(load_default="", validate=validate.Length(max=3000))
