"""The forms in which files come: scans, and experts' masks of one."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from webapp.domain.scans.grouping import Grouping
from webapp.domain.scans.studies import LONGEST_NAME
from webapp.schemas.segmentations import LONGEST_MODEL_NAME, NO_THRESHOLD, THRESHOLD_RANGE

# Longer than any name: what is too long for one is said in the domain's sentence.
LONGEST_TYPED = 10_000
MOST_VOLUMES = 1_000_000
# DICOM's own names of segments and ROIs have 64 characters.
LONGEST_REGION, MOST_REGIONS = 64, 16


class FormSchema(ma.Schema):
    """A form's fields beside its files. One that nobody filled in is sent empty, and is none."""

    @ma.pre_load
    def _drop_empty(self, data: Any, **_options: Any) -> dict[str, Any]:
        return {name: data[name] for name in data if data[name] != ""}


class UploadFormSchema(FormSchema):
    """The form fields beside the files."""

    # A file sent as text has no name and is none: the answer is `no_file`, not that the field is unknown.
    file = fields.Raw()
    model = fields.String(validate=validate.Length(max=LONGEST_MODEL_NAME))
    threshold = fields.Float(validate=THRESHOLD_RANGE, error_messages=NO_THRESHOLD)
    group = fields.Enum(Grouping, by_value=True, load_default=Grouping.NONE)
    study = fields.String(validate=validate.Length(max=LONGEST_TYPED))
    volume = fields.Integer(validate=validate.Range(1, MOST_VOLUMES))


def _form(properties: dict[str, Any]) -> dict[str, Any]:
    """A body of files and fields in OpenAPI's words; the files are required."""
    schema = {"type": "object", "required": ["file"], "properties": properties}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


# The body of an upload as OpenAPI 3 says it; flask-smorest would describe files and fields as two bodies.
UPLOAD_BODY = _form(
    {
        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "model": {"type": "string", "description": "default: the portal's model"},
        "threshold": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "default: the model card's",
        },
        "group": {
            "type": "string",
            "enum": [grouping.value for grouping in Grouping],
            "default": Grouping.NONE.value,
            "description": "stack: all files are one scan; auto: numbered files of one name in one"
            " folder; in each way NAME_mask becomes the truth of NAME",
        },
        "volume": {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_VOLUMES,
            "description": "of NIfTI files that hold several volumes (4-D): the one to read, from 1",
        },
        "study": {
            "type": "string",
            "maxLength": LONGEST_NAME,
            "description": "the name of the study that all of them belong to; made where there is none",
        },
    }
)


class TruthFormSchema(ma.Schema):
    """The form fields beside an expert's mask."""

    file = fields.Raw()
    region = fields.List(
        fields.String(validate=validate.Length(1, LONGEST_REGION)),
        load_default=(),
        validate=validate.Length(max=MOST_REGIONS),
    )


TRUTH_BODY = _form(
    {
        "file": {
            "x-example": "scan_mask.png",
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "one mask with a page for each slice, or a mask a slice, told by its name"
            " (NAME_mask, or NAME) or else by its place in the natural order of the names; of a scan"
            " with geometry also NIfTI, DICOM SEG or RTSTRUCT",
        },
        "region": {
            "type": "array",
            "maxItems": MOST_REGIONS,
            "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_REGION},
            "description": "of a DICOM SEG or RTSTRUCT with several segments or ROIs the names of the"
            " tumor's; by default those that are called as a tumor",
        },
    }
)
