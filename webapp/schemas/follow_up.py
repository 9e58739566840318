"""The JSON of a follow-up, from which its page takes the same figures."""

from typing import Any

from marshmallow import fields

from ml.measurements import Verdict
from webapp.domain.scans.dates import DateSource
from webapp.domain.scans.follow_up import MOST_POINTS, Change, FollowUp, Point
from webapp.domain.scans.models import SpacingSource
from webapp.domain.scans.patients import PatientSource
from webapp.schemas.fields import AnswerSchema, Code, Rounded, dump

METHOD = (
    "The model's card states, from patients that it had not seen, within how many times the expert's volume was larger"
    " or smaller than its own for a share of them (95 in 100), and the same of the ratio of two volumes, by pairs of"
    " patients. A volume V then stands for V / factor to V x factor, and a ratio r for r / change_factor to"
    " r x change_factor. That the errors of one patient at two dates are as unlike as those of two is assumed."
)


class FollowUpPatientSchema(AnswerSchema):
    """Whose studies these are."""

    name = fields.String(
        required=True, allow_none=True, metadata={"description": "a pseudonym, or what was entered; null: not known"}
    )
    source = Code(PatientSource, allow_none=True)
    problem = fields.String(allow_none=True, metadata={"description": "why it is not known"})


class ModelErrorSchema(AnswerSchema):
    """The error of volumes that the model's card states."""

    model = fields.String(required=True)
    version = fields.String(allow_none=True)
    threshold = fields.Float(required=True)
    patients = fields.Integer(required=True, attribute="volumes.patients", metadata={"description": "who measured it"})
    set = fields.String(required=True, attribute="volumes.set")
    share = fields.Float(
        required=True, attribute="volumes.share", metadata={"description": "of patients, and of changes, 0 to 1"}
    )
    factor = Rounded(
        4,
        required=True,
        attribute="volumes.volume",
        metadata={"description": "how many times larger or smaller a volume may be"},
    )
    half_factor = Rounded(
        4, required=True, attribute="volumes.half", metadata={"description": "the same for half of the patients"}
    )
    change_factor = Rounded(
        4,
        required=True,
        attribute="volumes.change",
        metadata={"description": "how many times larger or smaller the ratio of two volumes may be"},
    )


class FollowUpPointSchema(AnswerSchema):
    """One study."""

    study = fields.String(required=True, metadata={"description": "its id"})
    name = fields.String(required=True)
    date = fields.String(allow_none=True, metadata={"description": "a day, or a year; null where it is not known"})
    date_source = Code(DateSource, allow_none=True, metadata={"description": "`entered`: a day; `file`: a year"})
    date_problem = fields.String(
        allow_none=True, metadata={"description": "that the series state another year than the day that was entered"}
    )
    scan = fields.String(allow_none=True, metadata={"description": "whose figures stand for the study"})
    segmentation = fields.String(allow_none=True)
    other_scans = fields.Integer(required=True, metadata={"description": "of the study that have a volume, too"})
    model = fields.String(allow_none=True)
    model_version = fields.String(allow_none=True)
    threshold = fields.Float(allow_none=True)
    verdict = Code(Verdict, allow_none=True)
    volume_ml = Rounded(4, allow_none=True, metadata={"description": "null where none counts"})
    spacing_source = Code(
        SpacingSource,
        allow_none=True,
        metadata={"description": "who says how far pixels and slices of `scan` lie apart; null where nobody does"},
    )
    volume_ml_range = fields.List(
        Rounded(4), allow_none=True, metadata={"description": "what the model's stated error allows; null: not known"}
    )
    has_expert_mask = fields.Boolean(
        required=True, metadata={"description": "of `scan`, which no volume here counts: they are the model's"}
    )
    doubt = fields.String(required=True, metadata={"description": "in sentences; empty where there is none"})
    problem = fields.String(allow_none=True, metadata={"description": "why there is no volume"})
    error = fields.Nested(ModelErrorSchema, allow_none=True)
    error_problem = fields.String(allow_none=True, metadata={"description": "why the error is not known"})


class FollowUpChangeSchema(AnswerSchema):
    """From one study to a later one; figures are null where none can be told, and `problem` says why."""

    first = fields.String(required=True, metadata={"description": "a study's id"})
    second = fields.String(required=True)
    change_ml = Rounded(4, allow_none=True)
    change_ml_range = fields.List(Rounded(4), allow_none=True)
    change_percent = Rounded(2, allow_none=True)
    change_percent_range = fields.List(Rounded(2), allow_none=True)
    is_told = fields.Boolean(
        allow_none=True, metadata={"description": "false: the range covers zero, so no change can be told"}
    )
    problem = fields.String(allow_none=True)


class LeftOutSchema(AnswerSchema):
    """A study that names the patient and is not counted."""

    study = fields.String(required=True)
    name = fields.String(required=True)
    reason = fields.String(required=True)


class FollowUpSchema(AnswerSchema):
    """One patient's studies in the order of their dates."""

    patient = fields.Nested(FollowUpPatientSchema, required=True)
    points = fields.List(fields.Nested(FollowUpPointSchema), required=True)
    changes = fields.List(
        fields.Nested(FollowUpChangeSchema),
        required=True,
        metadata={
            "description": "between neighbors in time, also over dates without a volume, and from the first to the last"
            " with one"
        },
    )
    left_out = fields.List(fields.Nested(LeftOutSchema), required=True)
    series_without_study = fields.Integer(required=True, metadata={"description": "of the patient"})
    older_studies = fields.Integer(
        required=True, metadata={"description": f"beyond the newest {MOST_POINTS}, which are not in `points`"}
    )
    method = fields.String(required=True, metadata={"description": "how ranges are computed"})
    notice = fields.String(required=True)


def dump_follow_up(found: FollowUp) -> dict[str, Any]:
    """Inside the session."""
    return dump(
        FollowUpSchema,
        {
            "patient": found.patient,
            "points": [_point(point) for point in found.points],
            "changes": [_change(item) for item in found.changes],
            "left_out": [
                {"study": item.study.id, "name": item.study.name, "reason": item.reason} for item in found.left_out
            ],
            "series_without_study": found.lone_scans,
            "older_studies": found.older,
            "method": METHOD,
            "notice": "Research use only. Not for diagnosis.",
        },
    )


def _point(point: Point) -> dict[str, Any]:
    run = point.run
    return {
        "study": point.study.id,
        "name": point.study.name,
        "date": point.date and point.date.label,
        "date_source": point.date and point.date.source,
        "date_problem": point.date_problem,
        "scan": point.scan and point.scan.id,
        "segmentation": run and run.id,
        "other_scans": point.others,
        "model": run and run.model,
        "model_version": run and run.model_version,
        "threshold": run and run.threshold,
        "verdict": run and run.verdict,
        "volume_ml": point.volume_ml,
        "spacing_source": point.scan and point.scan.spacing_source,
        "volume_ml_range": point.range_ml,
        "has_expert_mask": point.scan is not None and point.scan.truth is not None,
        "doubt": point.doubt,
        "problem": point.problem,
        "error": point.error,
        "error_problem": point.error_problem,
    }


def _change(item: Change) -> dict[str, Any]:
    told = item.growth
    return {
        "first": item.first.study.id,
        "second": item.second.study.id,
        "change_ml": told and told.change_ml,
        "change_ml_range": told and told.change_ml_range,
        "change_percent": told and told.change_percent,
        "change_percent_range": told and told.change_percent_range,
        "is_told": told and told.is_told,
        "problem": item.problem,
    }
