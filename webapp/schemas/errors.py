"""The JSON of failures."""

from marshmallow import fields

from webapp.schemas.fields import AnswerSchema


class RejectedSchema(AnswerSchema):
    """One file of several that was not admitted."""

    filename = fields.String(required=True)
    code = fields.String(required=True)
    message = fields.String(required=True)


class ErrorSchema(AnswerSchema):
    """Every failure."""

    may_lack = frozenset({"rejected"})

    code = fields.String(required=True, metadata={"description": "stable, for programs"})
    message = fields.String(required=True, metadata={"description": "one sentence: what, the limit, the remedy"})
    request_id = fields.String(required=True)
    rejected = fields.List(
        fields.Nested(RejectedSchema), metadata={"description": "of an upload of which no file was taken: every file"}
    )
