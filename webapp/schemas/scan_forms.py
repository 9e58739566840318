"""The API's forms, as marshmallow schemas: what is read from a request, and what OpenAPI says of the answers."""

import marshmallow as ma
from marshmallow import fields, validate

from webapp.domain.jobs.models import Status
from webapp.domain.scans.history import DEFAULT_LIMIT, LARGEST_LIMIT, SORTS
from webapp.domain.scans.lookup import LONGEST_WAIT_S
from webapp.domain.scans.models import Verdict

THRESHOLD_RANGE = validate.Range(0, 1)


class ErrorSchema(ma.Schema):
    """Every failure."""

    code = fields.String(required=True, metadata={"description": "stable, for programs"})
    message = fields.String(required=True, metadata={"description": "one sentence: what, the limit, the remedy"})
    request_id = fields.String(required=True)


class RejectedSchema(ma.Schema):
    """One file of several that was not admitted."""

    filename = fields.String(required=True)
    code = fields.String(required=True)
    message = fields.String(required=True)


class MessageSchema(ma.Schema):
    """A code and its sentence."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class SliceSchema(ma.Schema):
    """One slice's figures."""

    index = fields.Integer(required=True)
    tumor_pixels = fields.Integer(required=True)
    max_probability = fields.Float(required=True, metadata={"description": "0 to 1"})


class SegmentationSchema(ma.Schema):
    """One run of one model on one scan."""

    id = fields.String(required=True)
    scan_id = fields.String(required=True)
    status = fields.String(required=True, metadata={"enum": [status.value for status in Status]})
    model = fields.String(required=True)
    model_version = fields.String(allow_none=True)
    engine = fields.String(allow_none=True)
    threshold = fields.Float(required=True)
    min_tumor_pixels = fields.Integer(allow_none=True, metadata={"description": "on the scan's own grid"})
    verdict = fields.String(allow_none=True, metadata={"enum": [verdict.value for verdict in Verdict]})
    tumor_pixels = fields.Integer(allow_none=True)
    total_pixels = fields.Integer(allow_none=True)
    coverage_percent = fields.Float(allow_none=True, metadata={"description": "tumor pixels / all pixels, in percent"})
    max_probability = fields.Float(allow_none=True, metadata={"description": "0 to 1"})
    area_mm2 = fields.Float(allow_none=True, metadata={"description": "null where the file has no spacing"})
    volume_mm3 = fields.Float(allow_none=True, metadata={"description": "null where the file has no spacing"})
    slices = fields.List(fields.Nested(SliceSchema))
    timings_ms = fields.Dict(keys=fields.String(), values=fields.Float(), metadata={"description": "milliseconds"})
    attempt = fields.Integer(required=True)
    created_at = fields.String(metadata={"format": "date-time"})
    finished_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    queue_position = fields.Integer(allow_none=True, metadata={"description": "from 1; null unless queued"})
    warnings = fields.List(fields.Nested(MessageSchema))
    error = fields.Nested(MessageSchema, allow_none=True)


class ScanSchema(ma.Schema):
    """What was uploaded, with the run that the pages show."""

    id = fields.String(required=True)
    filename = fields.String(required=True)
    origin = fields.String(metadata={"description": "upload, or phantom for a synthetic sample"})
    format = fields.String(required=True)
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    slice_count = fields.Integer(required=True)
    spacing_mm = fields.List(
        fields.Float(allow_none=True),
        allow_none=True,
        metadata={"description": "slice, row, column; null where the file has none"},
    )
    sha256 = fields.String(required=True)
    bytes = fields.Integer(required=True)
    segmentation = fields.Nested(SegmentationSchema, allow_none=True)
    links = fields.Dict(keys=fields.String(), values=fields.String())


class AdmittedSchema(ma.Schema):
    """The answer to an upload."""

    scans = fields.List(fields.Nested(ScanSchema), required=True)
    rejected = fields.List(fields.Nested(RejectedSchema))


class ScanPageSchema(ma.Schema):
    """One page of the history."""

    scans = fields.List(fields.Nested(ScanSchema), required=True)
    next_cursor = fields.String(allow_none=True)


class SegmentationListSchema(ma.Schema):
    """All runs of a scan, newest first."""

    segmentations = fields.List(fields.Nested(SegmentationSchema), required=True)


class UploadFormSchema(ma.Schema):
    """The form fields beside the files."""

    # A file sent as text has no name and is none: the answer is `no_file`, not that the field is unknown.
    file = fields.Raw()
    model = fields.String(validate=validate.Length(max=100))
    threshold = fields.Float(validate=THRESHOLD_RANGE)


# The body of an upload as OpenAPI 3 says it; flask-smorest would describe files and fields as two bodies.
UPLOAD_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    "model": {"type": "string", "description": "default: the portal's model"},
                    "threshold": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": 1,
                        "description": "default: the model card's",
                    },
                },
            }
        }
    },
}


class RunSchema(ma.Schema):
    """What to run: another model, another threshold, or both. A threshold alone uses the stored map."""

    model = fields.String(validate=validate.Length(max=100))
    threshold = fields.Float(validate=THRESHOLD_RANGE)


class ScanQuerySchema(ma.Schema):
    """Which run to show, and whether to wait for its end."""

    segmentation = fields.String(
        validate=validate.Length(max=32), metadata={"description": "a run's id; default: the shown one"}
    )

    wait = fields.Float(
        load_default=0.0,
        validate=validate.Range(0, LONGEST_WAIT_S),
        metadata={"description": "seconds; answers as soon as no run of the scan is open"},
    )


class PictureSchema(ma.Schema):
    """Which picture."""

    slice = fields.Integer(
        validate=validate.Range(0, 1_000_000), metadata={"description": "default: the slice with most tumor"}
    )
    segmentation = fields.String(
        validate=validate.Length(max=32), metadata={"description": "a run's id; default: the shown one"}
    )


class RunChoiceSchema(ma.Schema):
    """Which run."""

    segmentation = fields.String(
        validate=validate.Length(max=32), metadata={"description": "a run's id; default: the shown one"}
    )


class HistorySchema(ma.Schema):
    """What to list."""

    q = fields.String(
        load_default="", validate=validate.Length(max=255), metadata={"description": "part of the file name"}
    )
    status = fields.Enum(Status, by_value=True)
    verdict = fields.Enum(Verdict, by_value=True)
    model = fields.String(load_default="", validate=validate.Length(max=100))
    from_date = fields.Date(data_key="from", metadata={"description": "first day, UTC"})
    to_date = fields.Date(data_key="to", metadata={"description": "last day, UTC"})
    sort = fields.String(load_default="newest", validate=validate.OneOf([sort.value for sort in SORTS]))
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, LARGEST_LIMIT))
    cursor = fields.String(load_default="", validate=validate.Length(max=3000))


class ModelSchema(ma.Schema):
    """A model card, as its file has it."""

    class Meta:
        unknown = ma.INCLUDE

    name = fields.String(required=True)
    usable = fields.Boolean(required=True)
    problem = fields.String(allow_none=True)


class ModelListSchema(ma.Schema):
    """All model packages."""

    models = fields.List(fields.Dict(), required=True)


class IdempotencyHeaderSchema(ma.Schema):
    """The header under which the same POST does its work once."""

    class Meta:
        unknown = ma.EXCLUDE

    idempotency_key = fields.String(data_key="Idempotency-Key", validate=validate.Length(min=1, max=255))
