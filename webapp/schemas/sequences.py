"""Which sequence a scan is, what it was joined of, and the body that joins."""

from collections.abc import Sequence
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from ml.ood.sequences import PLAINLY_NOT_FLAIR
from ml.scans.sequence import SequenceKind, SequenceSource
from webapp.schemas.fields import AnswerSchema
from webapp.schemas.labels import SEQUENCES
from webapp.schemas.segmentations import LONGEST_ID


class SequenceSchema(AnswerSchema):
    """Which MRI sequence a file says that it is."""

    kind = fields.String(required=True, metadata={"enum": [kind.value for kind in SequenceKind]})
    source = fields.String(
        required=True, metadata={"enum": [item.value for item in SequenceSource], "description": "who says so"}
    )


class PartSchema(AnswerSchema):
    """A scan that a joined one was made of."""

    sequence = fields.String(required=True, metadata={"enum": ["flair", "t1", "t1_post"]})
    id = fields.String(required=True)
    filename = fields.String(required=True)


def _id(description: str, example: str, *, is_required: bool = False) -> fields.String:
    return fields.String(
        required=is_required,
        allow_none=not is_required,
        load_default=ma.missing if is_required else None,
        validate=validate.Length(
            min=1,
            max=LONGEST_ID,
            error="It must be a scan's id"
            + ("." if is_required else "; of a sequence that there is not, leave it out."),
        ),
        metadata={"description": description, "x-example": example},
    )


class ChoiceSchema(ma.Schema):
    """The scans that are read together, one of them the scan of the address."""

    flair = _id("the id of the scan whose grid the new one has", "SCAN_ID", is_required=True)
    t1 = _id("of T1 before contrast; null or left out: there is none", "OTHER_ID")
    t1_post = _id("of T1 after contrast; likewise", "THIRD_ID")


def channel_names(scan: dict[str, Any], names: Sequence[str]) -> list[str]:
    """What the channels are called: those of the model, but for a gray scan that is known to be of another sequence."""
    codes = {warning["code"] for warning in scan["segmentation"]["warnings"]} if scan["segmentation"] else set()
    if PLAINLY_NOT_FLAIR not in codes or scan["parts"]:
        return list(names)
    stated = scan["sequence"]["kind"] if scan["sequence"] else SequenceKind.OTHER.value
    kind = SequenceKind.OTHER.value if stated == SequenceKind.FLAIR.value else stated
    return [SEQUENCES[kind]] * len(names)
