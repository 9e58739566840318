"""The JSON of a segmentation, and what a request for one may say."""

from collections.abc import Iterator
from typing import Any, cast

import marshmallow as ma
from marshmallow import fields, validate

from ml.measurements import Verdict
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.models import Status
from webapp.domain.scans.models import Scan, Segmentation
from webapp.schemas.fields import AnswerSchema, Code, FailureField, Rounded, RowSchema, Timestamp, Warnings, session_of

THRESHOLD_RANGE = validate.Range(0, 1)
NO_THRESHOLD: dict[str, Any] = {"invalid": "This is no number from 0 to 1; write it with a point, as 0.5."}
LONGEST_MODEL_NAME = 100
LONGEST_ID = 32


class SliceSchema(RowSchema):
    """One slice's figures."""

    index = fields.Integer(required=True)
    tumor_pixels = fields.Integer(required=True)
    max_probability = Rounded(4, required=True, metadata={"description": "0 to 1"})
    area_mm2 = Rounded(
        2,
        dump_default=None,
        allow_none=True,
        metadata={"description": "of the mask; null where the file has no spacing, and in runs of an earlier version"},
    )
    doubtful_pixels = fields.Integer(dump_default=0, metadata={"description": "of regions that are in doubt"})
    uncounted_pixels = fields.Integer(
        dump_default=None,
        allow_none=True,
        metadata={"description": "at or above the threshold, neither in the mask nor in doubt: too small an area"},
    )
    mean_confidence = Rounded(
        4, dump_default=None, allow_none=True, metadata={"description": "mean probability of the mask's pixels"}
    )
    rim_pixels = fields.Integer(
        dump_default=None,
        allow_none=True,
        metadata={"description": "of probability 0.25 to 0.75, in the mask and joined to it"},
    )
    border_pixels = fields.Integer(
        dump_default=None, allow_none=True, metadata={"description": "of the mask, at its edge"}
    )
    head_pixels = fields.Integer(dump_default=None, allow_none=True, metadata={"description": "an estimate"})
    is_first_look = fields.Boolean(
        dump_default=False,
        metadata={
            "description": "of a cascade: its first member saw nothing and answered alone, so the map is its own"
        },
    )
    dropped = fields.List(
        fields.List(fields.Integer()),
        dump_default=(),
        metadata={"description": "a pixel (row, column) of each region that the rule for stacks took out of the mask"},
    )


class DoubtRuleSchema(RowSchema):
    """When something is in doubt: a region at this lower threshold, without a pixel of the mask, of enough pixels."""

    threshold = fields.Float(required=True)
    min_pixels = fields.Integer(required=True, metadata={"description": "on the scan's own grid"})


class DoubtSchema(RowSchema):
    """The region in doubt with the highest probability."""

    slice = fields.Integer(required=True, metadata={"description": "from 0"})
    pixels = fields.Integer(required=True)
    max_probability = Rounded(4, required=True, metadata={"description": "0 to 1"})
    regions = fields.Integer(required=True, metadata={"description": "in doubt in all"})


class Slices(fields.List[Any]):
    """The figures of every slice; none before the run has succeeded.

    They are stored as the schema says them, but for digits and for what earlier versions did not count. A list has
    thousands of them: marshmallow takes each field of each slice in hand, which took nine tenths of the list's time.
    """

    def __init__(self, schema: type[ma.Schema], **options: Any) -> None:
        super().__init__(fields.Nested(schema), **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> list[dict[str, Any]]:
        wanted = cast(fields.Nested, self.inner).schema.dump_fields
        defaults = [(name, field.serialize(name, {})) for name, field in wanted.items()]
        digits = [(name, field.digits) for name, field in wanted.items() if isinstance(field, Rounded)]
        slices = [
            {name: said for name, default in defaults if (said := stored.get(name, default)) is not ma.missing}
            for stored in value or ()
        ]
        for figures in slices:
            for name, places in digits:
                if (figure := figures.get(name)) is not None:
                    figures[name] = round(float(figure), places)
        return slices


class SlicesDone(fields.Integer):
    """How far a run is; none before it begins and after its end."""

    _CHECK_ATTRIBUTE = False

    def _serialize(self, value: Any, attr: str | None, obj: Segmentation, **options: Any) -> int | None:
        return obj.slices_done if obj.status is Status.RUNNING else None


class QueuePosition(fields.Integer):
    """The place in line; one query for all runs of a list."""

    _CHECK_ATTRIBUTE = False

    def _serialize(self, value: Any, attr: str | None, obj: Segmentation, **options: Any) -> int | None:
        return lifecycle.queue_position(session_of(obj), obj) if obj.status is Status.QUEUED else None


def _warning_codes(run: Segmentation) -> Iterator[str]:
    """The scan's own warnings and the run's."""
    yield from session_of(run).get_one(Scan, run.scan_id).warnings
    yield from run.warnings


def _warning_details(run: Segmentation) -> dict[str, str] | None:
    return session_of(run).get_one(Scan, run.scan_id).warning_details


class SegmentationSchema(RowSchema):
    """One run of one model on one scan; figures are null before it has succeeded."""

    id = fields.String(required=True)
    scan_id = fields.String(required=True)
    status = Code(Status, required=True)
    model = fields.String(required=True)
    model_version = fields.String(allow_none=True)
    engine = fields.String(allow_none=True)
    threshold = fields.Float(required=True)
    min_tumor_pixels = fields.Integer(allow_none=True, metadata={"description": "on the scan's own grid"})
    doubt_rule = fields.Nested(
        DoubtRuleSchema, allow_none=True, metadata={"description": "null where the model has none"}
    )
    verdict = Code(Verdict, allow_none=True)
    doubt = fields.Nested(DoubtSchema, allow_none=True, metadata={"description": "null where nothing is in doubt"})
    tumor_pixels = fields.Integer(allow_none=True)
    uncounted_pixels = fields.Integer(
        allow_none=True,
        metadata={
            "description": "at or above the threshold, neither in the mask nor in doubt: areas smaller than"
            " `min_tumor_pixels`, or small beside the stack's largest; null in runs of an earlier version"
        },
    )
    total_pixels = fields.Integer(allow_none=True)
    coverage_percent = Rounded(4, allow_none=True, metadata={"description": "tumor pixels / all pixels, in percent"})
    head_pixels = fields.Integer(
        allow_none=True,
        metadata={
            "description": "of all slices, by the rule of docs/models.md; null where no head is seen, and in old runs"
        },
    )
    head_coverage_percent = Rounded(
        4, allow_none=True, metadata={"description": "tumor pixels / pixels of the head, in percent; an estimate"}
    )
    mean_confidence = Rounded(
        4,
        allow_none=True,
        metadata={"description": "mean probability of the mask's pixels, 0 to 1; null without a mask"},
    )
    rim_width_pixels = Rounded(
        2,
        allow_none=True,
        metadata={
            "description": "width of the doubtful rim: `rim_pixels` for each of `border_pixels`; null without a mask"
        },
    )
    max_probability = Rounded(4, allow_none=True, metadata={"description": "0 to 1"})
    area_mm2 = Rounded(2, allow_none=True, metadata={"description": "null where the file has no spacing"})
    volume_mm3 = Rounded(1, allow_none=True, metadata={"description": "null where the file has no spacing"})
    volume_ml = Rounded(4, allow_none=True, metadata={"description": "volume_mm3 / 1000"})
    slices_done = SlicesDone(
        allow_none=True, metadata={"description": "of a stack, while it runs: slices that the model has read"}
    )
    slices = Slices(SliceSchema)
    timings_ms = fields.Dict(keys=fields.String(), values=fields.Float(), metadata={"description": "milliseconds"})
    attempt = fields.Integer(required=True)
    releases = fields.Integer(
        required=True,
        metadata={
            "description": "how often it went back into the queue for a fault of the machine; such a try is no attempt"
        },
    )
    created_at = Timestamp()
    finished_at = Timestamp(allow_none=True)
    queue_position = QueuePosition(allow_none=True, metadata={"description": "from 1; null unless queued"})
    warnings = Warnings(_warning_codes, _warning_details)
    error = FailureField()


class SegmentationListSchema(AnswerSchema):
    """All runs of a scan, newest first."""

    segmentations = fields.List(fields.Nested(SegmentationSchema), required=True)


class RunSchema(ma.Schema):
    """What to run: another model, another threshold, or both. A threshold alone uses the stored map."""

    model = fields.String(validate=validate.Length(max=LONGEST_MODEL_NAME))
    threshold = fields.Float(validate=THRESHOLD_RANGE, error_messages=NO_THRESHOLD, metadata={"x-example": 0.62})


class RunChoiceSchema(ma.Schema):
    """Which run."""

    segmentation = fields.String(
        validate=validate.Length(max=LONGEST_ID), metadata={"description": "a run's id; default: the displayed one"}
    )


class ObjectChoiceSchema(RunChoiceSchema):
    """Which run as a DICOM object."""

    unassessed = fields.Boolean(
        load_default=False,
        metadata={"description": "also of a run without a verdict: the object says so, and calls nothing tumor"},
    )
