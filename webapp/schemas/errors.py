"""The JSON of failures."""

import marshmallow as ma
from marshmallow import fields


class RejectedSchema(ma.Schema):
    """One file of several that was not admitted."""

    filename = fields.String(required=True)
    code = fields.String(required=True)
    message = fields.String(required=True)


class ErrorSchema(ma.Schema):
    """Every failure."""

    code = fields.String(required=True, metadata={"description": "stable, for programs"})
    message = fields.String(required=True, metadata={"description": "one sentence: what, the limit, the remedy"})
    request_id = fields.String(required=True)
    rejected = fields.List(
        fields.Nested(RejectedSchema), metadata={"description": "of an upload of which no file was taken: every file"}
    )
