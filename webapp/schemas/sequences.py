"""Which sequence a scan is, what it was joined of, and the body that joins."""

import marshmallow as ma
from marshmallow import fields, validate

from ml.scans.sequence import SequenceKind, SequenceSource
from webapp.schemas.segmentations import LONGEST_ID


class SequenceSchema(ma.Schema):
    """Which MRI sequence a file says that it is."""

    kind = fields.String(required=True, metadata={"enum": [kind.value for kind in SequenceKind]})
    source = fields.String(
        required=True, metadata={"enum": [item.value for item in SequenceSource], "description": "who says so"}
    )


class PartSchema(ma.Schema):
    """A scan that a joined one was made of; it may be deleted since."""

    sequence = fields.String(required=True, metadata={"enum": ["flair", "t1", "t1_post"]})
    id = fields.String(required=True)
    filename = fields.String(required=True)


def _id(description: str, *, is_required: bool = False) -> fields.String:
    return fields.String(
        required=is_required,
        allow_none=not is_required,
        load_default=ma.missing if is_required else None,
        validate=validate.Length(max=LONGEST_ID),
        metadata={"description": description},
    )


class ChoiceSchema(ma.Schema):
    """The scans that are read together, one of them the scan of the address."""

    flair = _id("the id of the scan whose grid the new one has", is_required=True)
    t1 = _id("of T1 before contrast; null or left out: there is none")
    t1_post = _id("of T1 after contrast; likewise")
