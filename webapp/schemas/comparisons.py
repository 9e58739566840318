"""The JSON of a comparison of two evaluations."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from webapp.domain.evaluations.comparison import Comparison
from webapp.schemas.fields import AnswerSchema, Rounded


class ComparisonQuerySchema(ma.Schema):
    """The other evaluation."""

    other = fields.String(required=True, validate=validate.Length(max=32))


class PairedSchema(AnswerSchema):
    """Dice of patients, pooled over the slices that both compared with the same truth: second less first."""

    pairs = fields.Integer()
    mean_difference = Rounded(6, allow_none=True)
    median_difference = Rounded(6, allow_none=True)
    ci95 = fields.List(Rounded(6), allow_none=True, metadata={"description": "of the mean, bootstrap over patients"})
    is_few = fields.Boolean(metadata={"description": "under ten persons: too few for a test"})
    better = fields.Integer(metadata={"description": "patients with a higher Dice in the second"})
    worse = fields.Integer()
    equal = fields.Integer()
    wilcoxon_p = fields.Float(
        attribute="p_value",
        allow_none=True,
        metadata={"description": "two-sided signed-rank, a person's times as one; null under ten persons"},
    )


class PatientPairSchema(AnswerSchema):
    """One patient's pooled Dice in both."""

    patient = fields.String()
    slices = fields.Integer(metadata={"description": "over which both Dice are pooled"})
    first = Rounded(6)
    second = Rounded(6)


class ChangedSchema(AnswerSchema):
    """How many slices went from one outcome to another."""

    first = fields.String()
    second = fields.String()
    slices = fields.Integer()


class ChangeSchema(AnswerSchema):
    """One slice whose outcome differs."""

    patient = fields.String()
    image = fields.String()
    first_position = fields.Integer()
    second_position = fields.Integer()
    first = fields.String()
    second = fields.String()


class DifferenceSchema(AnswerSchema):
    """One slice that both compared with the same truth, with its Dice in each."""

    patient = fields.String()
    image = fields.String()
    first_position = fields.Integer()
    second_position = fields.Integer()
    first = Rounded(6)
    second = Rounded(6)


class Transitions(fields.List[Any]):
    """Outcomes before and after, with how many slices went that way, sorted."""

    def _serialize(self, value: Any, attr: str | None, obj: Comparison, **options: Any) -> Any:
        rows = [{"first": first, "second": second, "slices": count} for (first, second), count in sorted(value.items())]
        return super()._serialize(rows, attr, obj, **options)


class ComparisonSchema(AnswerSchema):
    """Two evaluations on the same cases."""

    first = fields.String(required=True, attribute="first.id")
    second = fields.String(required=True, attribute="second.id")
    shared = fields.Integer(metadata={"description": "images in both, by name"})
    compared = fields.Integer(
        metadata={"description": "of those, slices that both compared with the same truth; the Dice are of them"}
    )
    altered = fields.Integer(metadata={"description": "of those, slices whose bytes or whose truth differ"})
    failed = fields.Integer(metadata={"description": "of those, slices that one of both could not read"})
    only_first = fields.Integer()
    only_second = fields.Integer()
    patient_dice = fields.Nested(PairedSchema, attribute="paired")
    patients = fields.List(
        fields.Nested(PatientPairSchema), metadata={"description": "the largest loss first; the first of them"}
    )
    changed = Transitions(fields.Nested(ChangedSchema))
    changes = fields.List(fields.Nested(ChangeSchema), metadata={"description": "the first of them"})
    differences = fields.List(
        fields.Nested(DifferenceSchema), metadata={"description": "slices whose Dice differ most, the largest first"}
    )
