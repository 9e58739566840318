"""The JSON of an expert's mask beside a scan, and of how far a run agrees with it."""

from typing import Any, ClassVar

from marshmallow import fields

from ml.datasets.mask_findings import MASK_FINDINGS
from webapp.domain.scans.models import Scan
from webapp.domain.scans.truth import Truth
from webapp.schemas.fields import AnswerSchema, dump
from webapp.schemas.metrics import scan_agreement_fields, slice_agreement_fields


class MaskFindingSchema(AnswerSchema):
    """What is doubtful about the masks of some slices; they are used all the same."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    slices = fields.List(fields.Integer(), required=True, metadata={"description": "from 0"})


class TruthSchema(AnswerSchema):
    """An expert's mask of a scan."""

    filename = fields.String(
        required=True, allow_none=True, metadata={"description": "null where each slice has a file of its own"}
    )
    slice_names = fields.List(
        fields.String(allow_none=True),
        required=True,
        allow_none=True,
        metadata={"description": "the masks' files, first slice first; null where one file has all of them"},
    )
    slices = fields.List(
        fields.Integer(), required=True, metadata={"description": "those that have a mask, empty or not; from 0"}
    )
    findings = fields.List(fields.Nested(MaskFindingSchema), required=True)


class TruthField(fields.Nested):
    """A scan's expert's mask, from its column; null where there is none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(TruthSchema, allow_none=True, **options)

    def get_value(self, obj: Any, attr: str, accessor: Any = None, default: Any = None) -> Any:
        """What is nested."""
        return described(obj)


def described(scan: Scan) -> dict[str, Any] | None:
    """An expert's mask with the sentences of its findings; None where there is none."""
    truth = Truth.of(scan)
    if truth is None:
        return None
    return {
        "filename": truth.filename,
        "slice_names": truth.slice_names,
        "slices": [index for index in range(scan.slice_count) if truth.has_slice(index)],
        "findings": [
            {"code": code, "message": MASK_FINDINGS[code].message if code in MASK_FINDINGS else code, "slices": slices}
            for code, slices in truth.findings.items()
        ],
    }


class SliceAgreementSchema(AnswerSchema):
    """A slice that has an expert's mask."""

    index = fields.Integer(required=True, metadata={"description": "from 0"})

    class Meta:
        """The metrics, from their registry."""

        include: ClassVar = slice_agreement_fields()


class AgreementSchema(AnswerSchema):
    """All slices with an expert's mask together, and each."""

    segmentation = fields.String(required=True, metadata={"description": "the id of the run that was compared"})
    slices = fields.List(fields.Nested(SliceAgreementSchema), required=True)
    caveat = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "what must be known before the figures: that the model was trained on this patient"},
    )

    class Meta:
        """The metrics, from their registry."""

        include: ClassVar = scan_agreement_fields()


def dump_agreement(agreement: dict[str, Any] | None) -> dict[str, Any] | None:
    """The JSON of `webapp.domain.scans.agreement.measure`."""
    return None if agreement is None else dump(AgreementSchema, agreement)
