"""The forms of /api/v1/evaluations, as marshmallow schemas."""

from typing import ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from webapp.domain.evaluations.cases import CASE_ORDERS, DEFAULT_LIMIT, LARGEST_LIMIT, PATIENT_ORDERS
from webapp.domain.evaluations.lookup import LARGEST_LIMIT as MOST_EVALUATIONS
from webapp.domain.evaluations.models import CaseOutcome, SourceKind
from webapp.domain.evaluations.sources import LONGEST_PATH
from webapp.domain.evaluations.submission import LONGEST_NAME, LONGEST_WAIT_S
from webapp.domain.jobs.models import Status
from webapp.schemas.metrics import MetricsSchema, case_fields, patient_fields
from webapp.schemas.scan_forms import THRESHOLD_RANGE, MessageSchema


class ProgressSchema(ma.Schema):
    """How far an evaluation is."""

    stage = fields.String(metadata={"enum": ["waiting", "checking", "running", "reporting", "ended"]})
    total = fields.Integer(allow_none=True, metadata={"description": "cases; null until the data set is listed"})
    checked = fields.Integer(metadata={"description": "cases whose files the check has read"})
    done = fields.Integer(metadata={"description": "finished cases, failed ones included"})
    failed = fields.Integer()
    rate_per_s = fields.Float(allow_none=True, metadata={"description": "cases a second over the last half minute"})
    seconds_left = fields.Float(allow_none=True)
    outcomes = fields.Dict(keys=fields.String(), values=fields.Integer(), metadata={"description": "cases by outcome"})
    mean_dice = fields.Float(allow_none=True, metadata={"description": "of the slices with tumor finished so far"})
    waits_for = fields.String(allow_none=True, metadata={"description": "why it stands still: a full disk"})


class EvaluationSchema(ma.Schema):
    """A model over a data set: a job, and its result."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    source = fields.String(metadata={"enum": [kind.value for kind in SourceKind]})
    path = fields.String(allow_none=True, metadata={"description": "of a folder"})
    filename = fields.String(allow_none=True, metadata={"description": "of an archive"})
    status = fields.String(required=True, metadata={"enum": [status.value for status in Status]})
    model = fields.String(required=True)
    model_version = fields.String(allow_none=True)
    engine = fields.String(allow_none=True)
    threshold = fields.Float(required=True)
    min_tumor_pixels = fields.Integer(metadata={"description": "on the model's grid"})
    has_truth = fields.Boolean(allow_none=True, metadata={"description": "null until the data set is listed"})
    created_at = fields.String(metadata={"format": "date-time"})
    started_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    finished_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    progress = fields.Nested(ProgressSchema)
    findings = fields.Dict(allow_none=True, metadata={"description": "what the check found; its first problems"})
    headline = fields.String(allow_none=True)
    summary = fields.Dict(allow_none=True, metadata={"description": "as in report.json"})
    error = fields.Nested(MessageSchema, allow_none=True)
    links = fields.Dict(keys=fields.String(), values=fields.String())


class EvaluationPageSchema(ma.Schema):
    """One page of evaluations, newest first."""

    evaluations = fields.List(fields.Nested(EvaluationSchema), required=True)
    next_cursor = fields.String(allow_none=True)


class EvaluationListQuerySchema(ma.Schema):
    """What to list."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, MOST_EVALUATIONS))
    cursor = fields.String(load_default="", validate=validate.Length(max=1000))


class EvaluationQuerySchema(ma.Schema):
    """Whether to wait."""

    wait = fields.Float(
        load_default=0.0,
        validate=validate.Range(0, LONGEST_WAIT_S),
        metadata={"description": "seconds; answers as soon as the evaluation has ended"},
    )


class WishSchema(ma.Schema):
    """What a person chooses for an evaluation, beside its data."""

    # A file sent as text has no name and is none: the answer is `no_file`, not that the field is unknown.
    archive = fields.Raw(load_only=True)
    model = fields.String(validate=validate.Length(max=100))
    threshold = fields.Float(validate=THRESHOLD_RANGE)
    name = fields.String(validate=validate.Length(max=LONGEST_NAME))


class FolderWishSchema(ma.Schema):
    """A folder below an allowed root, and what to do with it."""

    path = fields.String(required=True, validate=validate.Length(max=LONGEST_PATH))
    model = fields.String(validate=validate.Length(max=100))
    threshold = fields.Float(validate=THRESHOLD_RANGE)
    name = fields.String(validate=validate.Length(max=LONGEST_NAME))


_WISH = {
    "model": {"type": "string", "description": "default: the portal's model"},
    "threshold": {"type": "number", "minimum": 0, "maximum": 1, "description": "default: the model card's"},
    "name": {"type": "string", "description": "default: the folder's or the archive's name"},
}
# The two bodies of a POST as OpenAPI 3 says them; flask-smorest would describe one.
EVALUATION_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["path"],
                "properties": {"path": {"type": "string", "description": "a folder below an allowed root"}, **_WISH},
            }
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["archive"],
                "properties": {"archive": {"type": "string", "format": "binary", "description": "a zip"}, **_WISH},
            }
        },
    },
}


class CaseSchema(MetricsSchema):
    """One finished slice."""

    position = fields.Integer(required=True, metadata={"description": "its place in the data set, from 0"})
    patient = fields.String(required=True)
    image = fields.String(required=True)
    outcome = fields.String(required=True, metadata={"enum": [outcome.value for outcome in CaseOutcome]})
    width = fields.Integer(allow_none=True)
    height = fields.Integer(allow_none=True)
    warnings = fields.List(fields.Nested(MessageSchema), metadata={"description": "`unlike_training_data`, or none"})
    error = fields.Nested(MessageSchema, allow_none=True)
    links = fields.Dict(keys=fields.String(), values=fields.String())

    class Meta:
        """The metrics, from their registry."""

        include: ClassVar = case_fields()


class CasePageSchema(ma.Schema):
    """One page of cases."""

    cases = fields.List(fields.Nested(CaseSchema), required=True)
    next_cursor = fields.String(allow_none=True)


class CaseQuerySchema(ma.Schema):
    """Which cases, and in which order."""

    outcome = fields.Enum(CaseOutcome, by_value=True)
    patient = fields.String(load_default="", validate=validate.Length(max=500))
    q = fields.String(
        load_default="", validate=validate.Length(max=255), metadata={"description": "part of patient or image"}
    )
    order = fields.String(load_default="position", validate=validate.OneOf([order.value for order in CASE_ORDERS]))
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, LARGEST_LIMIT))
    cursor = fields.String(load_default="", validate=validate.Length(max=1000))


class PatientSchema(MetricsSchema):
    """One patient of a finished evaluation."""

    patient = fields.String(required=True)

    class Meta:
        """The metrics, from their registry."""

        include: ClassVar = patient_fields()


class PatientPageSchema(ma.Schema):
    """One page of patients."""

    patients = fields.List(fields.Nested(PatientSchema), required=True)
    next_cursor = fields.String(allow_none=True)


class PatientQuerySchema(ma.Schema):
    """Which patients, and in which order."""

    q = fields.String(load_default="", validate=validate.Length(max=255))
    order = fields.String(load_default="position", validate=validate.OneOf([order.value for order in PATIENT_ORDERS]))
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, LARGEST_LIMIT))
    cursor = fields.String(load_default="", validate=validate.Length(max=1000))


class FolderSchema(ma.Schema):
    """One sub-folder."""

    name = fields.String(required=True)
    path = fields.String(required=True)


class FolderListSchema(ma.Schema):
    """The sub-folders of a folder below an allowed root, or the roots."""

    path = fields.String(allow_none=True, metadata={"description": "null: the list of the roots"})
    parent = fields.String(allow_none=True, metadata={"description": "empty: the list of the roots"})
    folders = fields.List(fields.Nested(FolderSchema), required=True)
    files = fields.Integer()
    has_more = fields.Boolean(metadata={"description": "more sub-folders than are listed"})


class FolderQuerySchema(ma.Schema):
    """Which folder to look into."""

    path = fields.String(load_default="", validate=validate.Length(max=LONGEST_PATH))


class ComparisonQuerySchema(ma.Schema):
    """The other evaluation."""

    other = fields.String(required=True, validate=validate.Length(max=32))


class PairedSchema(ma.Schema):
    """Pooled Dice of the patients that both have: second less first."""

    pairs = fields.Integer()
    mean_difference = fields.Float(allow_none=True)
    median_difference = fields.Float(allow_none=True)
    ci95 = fields.List(
        fields.Float(), allow_none=True, metadata={"description": "of the mean, bootstrap over patients"}
    )
    better = fields.Integer(metadata={"description": "patients with a higher Dice in the second"})
    worse = fields.Integer()
    equal = fields.Integer()
    wilcoxon_p = fields.Float(allow_none=True, metadata={"description": "two-sided signed-rank test"})


class ChangedSchema(ma.Schema):
    """How many slices went from one outcome to another."""

    first = fields.String()
    second = fields.String()
    slices = fields.Integer()


class ChangeSchema(ma.Schema):
    """One slice whose outcome differs."""

    patient = fields.String()
    image = fields.String()
    first_position = fields.Integer()
    second_position = fields.Integer()
    first = fields.String()
    second = fields.String()


class ComparisonSchema(ma.Schema):
    """Two evaluations on the same cases."""

    first = fields.String(required=True)
    second = fields.String(required=True)
    shared = fields.Integer(metadata={"description": "images in both, by name"})
    altered = fields.Integer(metadata={"description": "of those, images whose bytes differ"})
    only_first = fields.Integer()
    only_second = fields.Integer()
    patient_dice = fields.Nested(PairedSchema)
    changed = fields.List(fields.Nested(ChangedSchema))
    changes = fields.List(fields.Nested(ChangeSchema), metadata={"description": "the first of them"})
