"""What a request for a picture of a scan or of a case may say of its colors."""

import marshmallow as ma
from marshmallow import fields, validate

from ml.rendering.error_overlay import Palette

CHANNEL = (
    "shown alone, in gray, by `scan`, `overlay` and `errors`; default: all three, as colors, and under an evaluation's"
    " errors FLAIR where the model's card names it"
)


class PictureColorsSchema(ma.Schema):
    """How a picture is drawn."""

    palette = fields.Enum(
        Palette,
        by_value=True,
        load_default=Palette.STANDARD,
        metadata={"description": "of the errors; color-blind: orange and hatched missed, blue extra, white correct"},
    )
    channel = fields.Integer(
        validate=validate.Range(0, 2),
        metadata={"description": CHANNEL},
    )
