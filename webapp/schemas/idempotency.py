"""The header under which the same POST does its work once."""

import marshmallow as ma
from marshmallow import fields, validate


class IdempotencyHeaderSchema(ma.Schema):
    """The header under which the same POST does its work once."""

    class Meta:
        unknown = ma.EXCLUDE

    idempotency_key = fields.String(data_key="Idempotency-Key", validate=validate.Length(min=1, max=255))
