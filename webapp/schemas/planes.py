"""What a request for a plane or for voxels may say."""

from marshmallow import fields, validate

from webapp.domain.scans.planes import Axis, Layer
from webapp.domain.scans.voxels import Content
from webapp.schemas.segmentations import NO_THRESHOLD, THRESHOLD_RANGE, RunChoiceSchema


class PlaneQuerySchema(RunChoiceSchema):
    """Which plane."""

    axis = fields.Enum(
        Axis,
        by_value=True,
        required=True,
        metadata={"description": "of the axial stack: axial counts slices, coronal rows, sagittal columns"},
    )
    index = fields.Integer(
        validate=validate.Range(0, 1_000_000),
        metadata={"description": "from 0; default: the slice with most tumor, the middle row or column"},
    )
    layer = fields.Enum(
        Layer, by_value=True, load_default=Layer.OVERLAY, metadata={"description": "mask: 0 or 255, not interpolated"}
    )
    channel = fields.Integer(
        validate=validate.Range(0, 2),
        metadata={"description": "shown alone, in gray, by `scan` and `overlay`; default: all three, as colors"},
    )
    threshold = fields.Float(
        validate=THRESHOLD_RANGE,
        error_messages=NO_THRESHOLD,
        metadata={"description": "of the mask; default: the run's. At another one the rule for stacks is not applied"},
    )


class VoxelQuerySchema(RunChoiceSchema):
    """Which voxels."""

    content = fields.Enum(Content, by_value=True, load_default=Content.SCAN)
    channel = fields.Integer(load_default=0, validate=validate.Range(0, 2), metadata={"description": "of `scan`"})
