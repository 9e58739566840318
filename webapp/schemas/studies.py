"""The JSON of a study, and what of it may be changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import marshmallow as ma
from flask import url_for
from marshmallow import fields, validate

from webapp.domain.scans.history import DEFAULT_LIMIT, LARGEST_LIMIT
from webapp.domain.scans.models import Scan, Study
from webapp.domain.scans.result_zips import Content
from webapp.schemas.fields import AnswerSchema, Links, Timestamp, dump
from webapp.schemas.scans import ScanSchema, dump_scan
from webapp.schemas.uploads import LONGEST_TYPED


def _links(study: Study) -> dict[str, str]:
    return {
        "self": url_for("api-studies.StudyItem", study_id=study.id),
        "page": url_for("scans.index", study=study.id),
        "scans": url_for("api-scans.ScanCollection", study=study.id),
        "follow_up": url_for("api-follow-up.show", study_id=study.id),
    }


class StudySchema(AnswerSchema):
    """Scans that belong together, of one patient mostly."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    notes = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    date = fields.Date(
        required=True, allow_none=True, metadata={"description": "of the examination, as entered; null: not entered"}
    )
    patient = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "as entered, for studies whose files do not say whose they are"},
    )
    created_at = Timestamp(required=True)
    revision = fields.Integer(required=True, metadata={"description": "counts its changes"})
    links = Links(_links)


class ListedStudySchema(StudySchema):
    """A study in a list."""

    scan_count = fields.Integer(required=True)


class WholeStudySchema(ListedStudySchema):
    """A study with its scans."""

    scans = fields.List(
        fields.Nested(ScanSchema),
        required=True,
        metadata={"description": f"the newest {LARGEST_LIMIT}; `links.scans` pages through all of them"},
    )


class StudyPageSchema(AnswerSchema):
    """One page of studies, newest first."""

    studies = fields.List(fields.Nested(ListedStudySchema), required=True)
    next_cursor = fields.String(allow_none=True)


class StudyQuerySchema(ma.Schema):
    """Which studies."""

    query = fields.String(
        data_key="q",
        load_default="",
        validate=validate.Length(max=255),
        metadata={"description": "words, each part of a name, a tag, the notes or the patient"},
    )
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, LARGEST_LIMIT))
    cursor = fields.String(load_default="", validate=validate.Length(max=3000))


class ContentQuerySchema(ma.Schema):
    """What of its scans."""

    content = fields.Enum(Content, by_value=True, load_default=Content.ALL)


class StudyChangeSchema(ma.Schema):
    """What to write; what is not named stays."""

    name = fields.String(validate=validate.Length(max=LONGEST_TYPED))
    notes = fields.String(validate=validate.Length(max=10 * LONGEST_TYPED), metadata={"x-example": "Second visit"})
    tags = fields.List(fields.String(validate=validate.Length(max=LONGEST_TYPED)), validate=validate.Length(max=1000))
    date = fields.String(
        allow_none=True,
        validate=validate.Length(max=LONGEST_TYPED),
        metadata={"description": "the day of the examination, as 2026-11-30; null: not known"},
    )
    patient = fields.String(
        allow_none=True,
        validate=validate.Length(max=LONGEST_TYPED),
        metadata={"description": "whose study it is, best a pseudonym; null: not known"},
    )
    revision = fields.Integer(
        metadata={"description": "of the study as it was read: where it was changed since, the answer is 409"}
    )


def dump_study(study: Study, scan_count: int) -> dict[str, Any]:
    """A study's JSON as a list has it."""
    return {**dump(StudySchema, study), "scan_count": scan_count}


def dump_studies(studies: Sequence[Study], counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """The JSON of several; counts: of their scans, by id."""
    return [dump_study(study, counts.get(study.id, 0)) for study in studies]


def dump_whole_study(study: Study, scan_count: int, scans: Sequence[Scan]) -> dict[str, Any]:
    """A study's JSON with scans; inside the session."""
    return {**dump_study(study, scan_count), "scans": [dump_scan(scan) for scan in scans]}
