"""The JSON of an evaluation's cases and patients, and how they may be listed."""

from typing import Any, ClassVar

import marshmallow as ma
from flask import url_for
from marshmallow import fields, validate

from ml.datasets.mask_findings import MASK_FINDINGS
from webapp.domain.evaluations.cases import CASE_ORDERS, DEFAULT_LIMIT, LARGEST_LIMIT, PATIENT_ORDERS
from webapp.domain.evaluations.images import KINDS, OF_TRUTH
from webapp.domain.evaluations.manifest import ListedCase
from webapp.domain.evaluations.models import CaseOutcome, EvaluationCase
from webapp.schemas.fields import AnswerSchema, Code, FailureField, Links, Warnings, dump
from webapp.schemas.metrics import MetricsSchema, case_fields, patient_fields


def _case_links(case: EvaluationCase) -> dict[str, str]:
    """A case's page, and its images from one address by kind: building each took a fifth of a page's time."""
    own: dict[str, Any] = {"evaluation_id": case.evaluation_id, "position": case.position}
    page = {"page": url_for("evaluations.case", **own)}
    if not case.map_key:
        return page
    kinds = [kind for kind in KINDS if case.has_truth or kind not in OF_TRUTH]
    folder = url_for("api-evaluations.picture", kind=kinds[0], **own).removesuffix(f"{kinds[0]}.png")
    return page | {kind: f"{folder}{kind}.png" for kind in kinds}


class CaseSchema(MetricsSchema):
    """One finished slice."""

    position = fields.Integer(required=True, metadata={"description": "its place in the data set, from 0"})
    patient = fields.String(required=True)
    image = fields.String(required=True)
    outcome = Code(CaseOutcome, required=True)
    width = fields.Integer(allow_none=True)
    height = fields.Integer(allow_none=True)
    warnings = Warnings(lambda row: row.warning_codes)
    error = FailureField()
    links = Links(_case_links)

    class Meta(MetricsSchema.Meta):
        """The metrics, from their registry."""

        include: ClassVar = case_fields()


class CaseMaskFindingSchema(AnswerSchema):
    """What is doubtful about a case's expert's mask, which is used all the same."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class OneCaseSchema(CaseSchema):
    """A finished slice by itself."""

    mask_findings = fields.List(fields.Nested(CaseMaskFindingSchema), required=True)


def described_case(row: EvaluationCase, listed: ListedCase | None) -> dict[str, Any]:
    """One case with what its list says of its mask."""
    codes = (listed.mask_codes or ()) if listed else ()
    findings = [{"code": code, "message": MASK_FINDINGS[code].message} for code in codes if code in MASK_FINDINGS]
    return {**dump(CaseSchema, row), "mask_findings": findings}


class CasePageSchema(AnswerSchema):
    """One page of cases."""

    cases = fields.List(fields.Nested(CaseSchema), attribute="rows", required=True)
    next_cursor = fields.String(allow_none=True)


class CaseQuerySchema(ma.Schema):
    """Which cases, and in which order."""

    outcome = fields.Enum(CaseOutcome, by_value=True)
    patient = fields.String(load_default="", validate=validate.Length(max=500))
    query = fields.String(
        data_key="q",
        load_default="",
        validate=validate.Length(max=255),
        metadata={"description": "words, each part of patient or image"},
    )
    order = fields.String(load_default="position", validate=validate.OneOf([order.value for order in CASE_ORDERS]))
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, LARGEST_LIMIT))
    cursor = fields.String(load_default="", validate=validate.Length(max=1000))


class PatientSchema(MetricsSchema):
    """One patient of a finished evaluation."""

    patient = fields.String(required=True)

    class Meta(MetricsSchema.Meta):
        """The metrics, from their registry."""

        include: ClassVar = patient_fields()


class PatientPageSchema(AnswerSchema):
    """One page of patients."""

    patients = fields.List(fields.Nested(PatientSchema), attribute="rows", required=True)
    next_cursor = fields.String(allow_none=True)


class PatientQuerySchema(ma.Schema):
    """Which patients, and in which order."""

    query = fields.String(data_key="q", load_default="", validate=validate.Length(max=255))
    order = fields.String(load_default="position", validate=validate.OneOf([order.value for order in PATIENT_ORDERS]))
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, LARGEST_LIMIT))
    cursor = fields.String(load_default="", validate=validate.Length(max=1000))
