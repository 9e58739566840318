"""The JSON of an evaluation, and what one may be started with."""

from typing import Any

import marshmallow as ma
from flask import url_for
from marshmallow import fields, validate

from webapp.domain.evaluations import progress
from webapp.domain.evaluations.lookup import LARGEST_LIMIT as MOST_EVALUATIONS
from webapp.domain.evaluations.models import Evaluation, SourceKind
from webapp.domain.evaluations.report_files import DOWNLOADS
from webapp.domain.evaluations.sources import LONGEST_PATH
from webapp.domain.evaluations.submission import LONGEST_NAME
from webapp.domain.jobs.models import Status
from webapp.domain.jobs.wait import LONGEST_WAIT_S
from webapp.schemas.fields import AnswerSchema, Code, FailureField, Links, Rounded, Timestamp, session_of
from webapp.schemas.segmentations import LONGEST_MODEL_NAME, NO_THRESHOLD, THRESHOLD_RANGE
from webapp.schemas.uploads import FormSchema


class ProgressSchema(AnswerSchema):
    """How far an evaluation is."""

    stage = Code(progress.Stage)
    total = fields.Integer(allow_none=True, metadata={"description": "cases; null until the data set is listed"})
    checked = fields.Integer(metadata={"description": "cases whose files the check has read"})
    done = fields.Integer(metadata={"description": "finished cases, failed ones included"})
    failed = fields.Integer()
    rate_per_s = Rounded(2, allow_none=True, metadata={"description": "cases a second over the last half minute"})
    seconds_left = Rounded(0, allow_none=True)
    outcomes = fields.Dict(keys=fields.String(), values=fields.Integer(), metadata={"description": "cases by outcome"})
    mean_dice = Rounded(4, allow_none=True, metadata={"description": "of the slices with tumor finished so far"})
    waits_for = fields.String(allow_none=True, metadata={"description": "why it stands still: a full disk"})


class ProgressField(fields.Nested):
    """How far it is: asked of the database, by indexes alone."""

    def get_value(self, obj: Any, attr: str, accessor: Any = None, default: Any = None) -> Any:
        """What is nested."""
        return progress.progress(session_of(obj), obj)


class Location(fields.String):
    """Where an evaluation's files came from, where that is of one kind; null for the other."""

    _CHECK_ATTRIBUTE = False

    def __init__(self, kind: SourceKind, **options: Any) -> None:
        super().__init__(allow_none=True, **options)
        self.kind = kind

    def _serialize(self, value: Any, attr: str | None, obj: Evaluation, **options: Any) -> str | None:
        return obj.location if obj.source is self.kind else None


def _links(evaluation: Evaluation) -> dict[str, str]:
    """Where an evaluation's parts are; the report's once there is one."""
    own: dict[str, Any] = {"evaluation_id": evaluation.id}
    links = {
        "self": url_for("api-evaluations.EvaluationItem", **own),
        "page": url_for("evaluations.show", **own),
        "cases": url_for("api-evaluations.cases", **own),
        "patients": url_for("api-evaluations.patients", **own),
        "findings": url_for("api-evaluations.findings", **own),
    }
    if evaluation.status is Status.SUCCEEDED:
        links |= {name: url_for("api-evaluations.report", name=name, **own) for name in DOWNLOADS}
    return links


class EvaluationSchema(AnswerSchema):
    """A model over a data set: a job, and its result."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    source = Code(SourceKind)
    # A folder's path is the operator's own; of an archive there is the name that it came under.
    path = Location(SourceKind.FOLDER, metadata={"description": "of a folder"})
    filename = Location(SourceKind.ARCHIVE, metadata={"description": "of an archive"})
    status = Code(Status, required=True)
    model = fields.String(required=True)
    model_version = fields.String(allow_none=True)
    engine = fields.String(allow_none=True)
    threshold = fields.Float(required=True)
    min_tumor_pixels = fields.Integer(metadata={"description": "on the model's grid"})
    has_truth = fields.Boolean(allow_none=True, metadata={"description": "null until the data set is listed"})
    created_at = Timestamp()
    started_at = Timestamp(allow_none=True)
    finished_at = Timestamp(allow_none=True)
    progress = ProgressField(ProgressSchema)
    findings = fields.Dict(allow_none=True, metadata={"description": "what the check found; its first problems"})
    headline = fields.String(allow_none=True)
    summary = fields.Dict(allow_none=True, metadata={"description": "as in report.json"})
    error = FailureField()
    links = Links(_links)


class EvaluationPageSchema(AnswerSchema):
    """One page of evaluations, newest first."""

    evaluations = fields.List(fields.Nested(EvaluationSchema), attribute="rows", required=True)
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


class EvaluationOptionsSchema(ma.Schema):
    """What a person chooses for an evaluation, beside its data."""

    model = fields.String(validate=validate.Length(max=LONGEST_MODEL_NAME))
    threshold = fields.Float(validate=THRESHOLD_RANGE, error_messages=NO_THRESHOLD)
    name = fields.String(validate=validate.Length(max=LONGEST_NAME))


class ArchiveFormSchema(FormSchema, EvaluationOptionsSchema):
    """The form fields beside an archive."""

    # A file sent as text has no name and is none: the answer is `no_file`, not that the field is unknown.
    archive = fields.Raw(load_only=True)


MOST_SCANS = 500
# What an evaluation of a JSON body is of.
SOURCES = ("path", "scans", "study")


class FolderBodySchema(EvaluationOptionsSchema):
    """A folder below an allowed root, or scans of the portal with experts' masks, and what to do with them."""

    path = fields.String(validate=validate.Length(max=LONGEST_PATH))
    scans = fields.List(fields.String(validate=validate.Length(max=40)), validate=validate.Length(1, MOST_SCANS))
    study = fields.String(validate=validate.Length(max=40))

    @ma.validates_schema
    def check_source(self, data: dict[str, Any], **options: Any) -> None:
        """One of the three. Raises ValidationError."""
        if sum(name in data for name in SOURCES) != 1:
            raise ma.ValidationError(f"Name one of: {', '.join(SOURCES)}.", "path")


_OPTIONS = {
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
                "description": "one of path, scans and study",
                "properties": {
                    "path": {
                        "type": "string",
                        "description": "a folder below an allowed root",
                        "x-example": "/data/brains",
                    },
                    "scans": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": f"ids, at most {MOST_SCANS}; those with an expert's mask are evaluated",
                    },
                    "study": {"type": "string", "description": "id; its scans with an expert's mask are evaluated"},
                    **_OPTIONS,
                },
            }
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["archive"],
                "properties": {
                    "archive": {
                        "type": "string",
                        "format": "binary",
                        "description": "a zip",
                        "x-example": "brains.zip",
                    },
                    **_OPTIONS,
                },
            }
        },
    },
}


class FolderSchema(AnswerSchema):
    """One sub-folder."""

    name = fields.String(required=True)
    path = fields.String(required=True)


class FolderListSchema(AnswerSchema):
    """The sub-folders of a folder below an allowed root, or the roots."""

    path = fields.String(allow_none=True, metadata={"description": "null: the list of the roots"})
    parent = fields.String(allow_none=True, metadata={"description": "empty: the list of the roots"})
    folders = fields.List(fields.Nested(FolderSchema), required=True)
    files = fields.Integer()
    has_more = fields.Boolean(metadata={"description": "more sub-folders than are listed"})


class FolderQuerySchema(ma.Schema):
    """Which folder to look into."""

    path = fields.String(load_default="", validate=validate.Length(max=LONGEST_PATH))
