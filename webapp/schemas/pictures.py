"""What a request for a picture of a scan or of a case may say of its colors."""

import marshmallow as ma
from marshmallow import fields

from ml.rendering.error_overlay import Palette


class PaletteSchema(ma.Schema):
    """How a picture is drawn."""

    palette = fields.Enum(
        Palette,
        by_value=True,
        load_default=Palette.STANDARD,
        metadata={"description": "of the errors; color-blind: orange and hatched missed, blue extra, white correct"},
    )
