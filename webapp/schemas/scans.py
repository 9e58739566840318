"""The JSON of a scan, and what an upload and the history may be asked for."""

from functools import lru_cache
from typing import Any

import marshmallow as ma
from flask import request, url_for
from marshmallow import fields, validate

from ml.measurements import Verdict
from webapp.context import resources
from webapp.domain.exports.dicom_objects import Kind, is_series
from webapp.domain.jobs.models import Status
from webapp.domain.jobs.wait import LONGEST_WAIT_S
from webapp.domain.scans import visits
from webapp.domain.scans.archives import Content
from webapp.domain.scans.grouping import Grouping, missing_numbers
from webapp.domain.scans.history import DEFAULT_LIMIT, LARGEST_LIMIT, SORTS
from webapp.domain.scans.images import KINDS, OF_TRUTH, THUMBNAIL_SIDES, VOLUMES
from webapp.domain.scans.models import Scan, Segmentation, SpacingSource
from webapp.domain.scans.spacing import LEAST_MM, MOST_MM
from webapp.domain.scans.studies import LONGEST_NAME
from webapp.schemas.errors import RejectedSchema
from webapp.schemas.fields import Code, Links, RowSchema, Timestamp, dump
from webapp.schemas.pictures import PictureColorsSchema
from webapp.schemas.segmentations import (
    LONGEST_ID,
    LONGEST_MODEL_NAME,
    THRESHOLD_RANGE,
    RunChoiceSchema,
    SegmentationSchema,
)
from webapp.schemas.sequences import PartSchema, SequenceSchema
from webapp.schemas.truth import AgreementSchema, TruthField
from webapp.schemas.warnings import WARNINGS

# Longer than any name: what is too long for one is said in the domain's sentence.
LONGEST_TYPED = 10_000
MOST_VOLUMES = 1_000_000
# More than a screen of selected rows, less than what a request may not do in its time.
MOST_SELECTED = 200
# Stands in an address for the id of the scan that it is of.
_ANY_ID = "0" * LONGEST_ID


class Spacing(fields.List[Any]):
    """Distances in mm. A single slice states no distance between slices: the readers say 0, which is no distance."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> list[float | None] | None:
        return [distance or None for distance in value] if value else None


class ExpiresAt(Timestamp):
    """When a scan goes by itself, as the portal's settings say."""

    _CHECK_ATTRIBUTE = False

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> str | None:
        return super()._serialize(visits.expires_at(obj, resources().settings), attr, obj, **options)


def _links(scan: Scan) -> dict[str, str]:
    kinds = (*KINDS, *OF_TRUTH) if scan.truth else KINDS
    addresses = _addresses(request.script_root, kinds, scan.geometry is not None, is_series(scan))
    return {name: address.replace(_ANY_ID, scan.id) for name, address in addresses.items()}


@lru_cache(maxsize=64)
def _addresses(_prefix: str, kinds: tuple[str, ...], has_geometry: bool, is_dicom: bool) -> dict[str, str]:
    """The addresses of any scan of that kind: to build each took a quarter of a list's time.

    _prefix: the path under which the portal is reached, which every address begins with.
    """
    own: dict[str, Any] = {"scan_id": _ANY_ID}
    return {
        "self": url_for("api-scans.ScanItem", **own),
        "page": url_for("scans.show", **own),
        **{kind: url_for("api-scans.picture", kind=kind, **own) for kind in kinds},
        "masks": url_for("api-scans.masks", **own),
        **{f"{kind}_nii": url_for("api-scans.volume", kind=kind, **own) for kind in VOLUMES if has_geometry},
        "measurements": url_for("api-measurements.as_json", **own),
        "measurements_csv": url_for("api-measurements.as_csv", **own),
        **{f"{kind}_dcm": url_for("api-exports.dicom_object", kind=kind, **own) for kind in Kind if is_dicom},
        "report": url_for("api-exports.report", **own),
        "download": url_for("api-scans.download", **own),
        "original": url_for("api-scans.original", **own),
        "segmentations": url_for("api-scans.ScanSegmentations", **own),
    }


class MissingNumbers(fields.List[Any]):
    """The numbers that lack between the names of a stack's files."""

    _CHECK_ATTRIBUTE = False

    def _serialize(self, value: Any, attr: str | None, obj: Scan, **options: Any) -> list[int]:
        return missing_numbers(obj.slice_names or ())


class StudyNameSchema(RowSchema):
    """The study of a scan."""

    id = fields.String(required=True)
    name = fields.String(required=True)


class SameAsSchema(RowSchema):
    """An earlier scan whose original has the same bytes."""

    id = fields.String(required=True)
    filename = fields.String(required=True)
    created_at = Timestamp(required=True)


class GeometrySchema(RowSchema):
    """Where the voxels of a volume's file lie; masks and maps as NIfTI are on this grid."""

    affine = fields.List(
        fields.List(fields.Float()),
        required=True,
        metadata={"description": "4 x 4, from a voxel's indices (i, j, k) to mm: right, front, head (RAS)"},
    )
    shape = fields.List(fields.Integer(), required=True, metadata={"description": "i, j, k"})
    orientation = fields.String(
        required=True, metadata={"description": "where i, j and k grow to: L or R, P or A, I or S"}
    )
    frame_of_reference = fields.String(
        allow_none=True, metadata={"description": "DICOM's UID: series of one are positioned alike; else null"}
    )


class SeriesSchema(RowSchema):
    """What is said of a DICOM series: nothing of its header that may name a patient."""

    description = fields.String(
        required=True,
        metadata={"description": "the words of its description that protocols have, else plane, kind and times"},
    )
    modality = fields.String(required=True)
    date = fields.String(required=True, allow_none=True, metadata={"description": "the year of the examination"})
    patient = fields.String(
        allow_none=True,
        metadata={"description": "a pseudonym: the same for all series of one patient; null where no id was there"},
    )


class ScanSchema(RowSchema):
    """What was uploaded, with the run that the pages show."""

    id = fields.String(required=True)
    filename = fields.String(required=True)
    origin = fields.String(metadata={"description": "upload, or phantom for a synthetic sample"})
    format = fields.String(required=True)
    created_at = Timestamp(required=True)
    expires_at = ExpiresAt(
        required=True,
        allow_none=True,
        metadata={"description": "when a public demonstration deletes it by itself; null elsewhere"},
    )
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    slice_count = fields.Integer(required=True)
    spacing_mm = Spacing(
        fields.Float(allow_none=True),
        allow_none=True,
        metadata={"description": "slice, row, column; null where it is not known"},
    )
    spacing_source = Code(SpacingSource, allow_none=True, metadata={"description": "null where it is not known"})
    geometry = fields.Nested(
        GeometrySchema, allow_none=True, metadata={"description": "of the file's voxels; null of pictures"}
    )
    sequence = fields.Nested(
        SequenceSchema, allow_none=True, metadata={"description": "null where neither header nor name says it"}
    )
    parts = fields.List(
        fields.Nested(PartSchema),
        allow_none=True,
        metadata={"description": "the scans whose sequences are its channels; null where it was not joined"},
    )
    slice_names = fields.List(
        fields.String(),
        allow_none=True,
        metadata={"description": "of the files that were stacked, first slice first; null where one file is the scan"},
    )
    missing_slice_numbers = MissingNumbers(
        fields.Integer(), metadata={"description": "between the numbers at the end of slice_names"}
    )
    sha256 = fields.String(required=True, metadata={"description": "of the original, as it is downloaded"})
    bytes = fields.Integer(required=True)
    series = fields.Nested(SeriesSchema, allow_none=True, metadata={"description": "of DICOM; else null"})
    study = fields.Nested(StudyNameSchema, allow_none=True, metadata={"description": "null where it is of none"})
    same_as = fields.Nested(
        SameAsSchema,
        allow_none=True,
        metadata={"description": "the newest earlier scan of the very same file; null where there is none"},
    )
    segmentation = fields.Nested(SegmentationSchema, attribute="displayed", allow_none=True)
    truth = TruthField(metadata={"description": "null without an expert's mask"})
    links = Links(_links)


def dump_scan(scan: Scan, run: Segmentation | None = None) -> dict[str, Any]:
    """A scan's JSON with another of its runs than the displayed one; inside the session."""
    if run is None or run is scan.displayed:
        return dump(ScanSchema, scan)
    return {**dump(ScanSchema, scan), "segmentation": dump(SegmentationSchema, run)}


class ScanDetailSchema(ScanSchema):
    """A scan, and how far its run agrees with its expert's mask."""

    agreement = fields.Nested(
        AgreementSchema,
        allow_none=True,
        metadata={"description": "null without an expert's mask, and before the run has succeeded"},
    )


class ScanChangeSchema(ma.Schema):
    """What of a scan may be changed: one of these."""

    study = fields.String(
        allow_none=True,
        validate=validate.Length(max=LONGEST_TYPED),
        metadata={"description": "the name of its new study, made where there is none; null: out of its study"},
    )
    spacing_mm = fields.List(
        fields.Float(allow_none=True),
        allow_none=True,
        validate=validate.Length(equal=3),
        metadata={
            "description": f"slice, row, column, {LEAST_MM:g} to {MOST_MM:g} mm, of a scan whose file states none; that"
            " of slices may be null where there is one slice. null: not known any more"
        },
    )

    @ma.validates_schema
    def _check_one(self, data: dict[str, Any], **_options: Any) -> None:
        if len(data) != 1:
            raise ma.ValidationError("Give `study` or `spacing_mm`, one at a time.")


class AdmittedSchema(ma.Schema):
    """The answer to an upload."""

    scans = fields.List(fields.Nested(ScanSchema), required=True)
    rejected = fields.List(fields.Nested(RejectedSchema))


class ScanPageSchema(ma.Schema):
    """One page of the history."""

    scans = fields.List(fields.Nested(ScanSchema), attribute="rows", required=True)
    next_cursor = fields.String(allow_none=True)


class UploadFormSchema(ma.Schema):
    """The form fields beside the files."""

    # A file sent as text has no name and is none: the answer is `no_file`, not that the field is unknown.
    file = fields.Raw()
    model = fields.String(validate=validate.Length(max=LONGEST_MODEL_NAME))
    threshold = fields.Float(validate=THRESHOLD_RANGE)
    group = fields.Enum(Grouping, by_value=True, load_default=Grouping.NONE)
    study = fields.String(validate=validate.Length(max=LONGEST_TYPED))
    volume = fields.Integer(validate=validate.Range(1, MOST_VOLUMES))


# The body of an upload as OpenAPI 3 says it; flask-smorest would describe files and fields as two bodies.
UPLOAD_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    "model": {"type": "string", "description": "default: the portal's model"},
                    "threshold": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": 1,
                        "description": "default: the model card's",
                    },
                    "group": {
                        "type": "string",
                        "enum": [grouping.value for grouping in Grouping],
                        "default": Grouping.NONE.value,
                        "description": "stack: all files are one scan; auto: numbered files of one name in one"
                        " folder; in each way NAME_mask becomes the truth of NAME",
                    },
                    "volume": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": MOST_VOLUMES,
                        "description": "of NIfTI files that hold several volumes (4-D): the one to read, from 1",
                    },
                    "study": {
                        "type": "string",
                        "maxLength": LONGEST_NAME,
                        "description": "the name of the study that all of them belong to; made where there is none",
                    },
                },
            }
        }
    },
}


TRUTH_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "description": "one mask with a page for each slice, or a mask a slice, told by its name"
                        " (NAME_mask, or NAME) or else by its place in the natural order of the names",
                    }
                },
            }
        }
    },
}


class ScanQuerySchema(RunChoiceSchema):
    """Which run to show, and whether to wait for its end."""

    wait = fields.Float(
        load_default=0.0,
        validate=validate.Range(0, LONGEST_WAIT_S),
        metadata={"description": "seconds; answers as soon as no run of the scan is open"},
    )


class ImageQuerySchema(RunChoiceSchema, PictureColorsSchema):
    """Which image."""

    slice = fields.Integer(
        validate=validate.Range(0, 1_000_000), metadata={"description": "default: the slice with most tumor"}
    )


class ThumbnailQuerySchema(RunChoiceSchema):
    """Which thumbnail."""

    side = fields.Integer(
        load_default=THUMBNAIL_SIDES[-1],
        validate=validate.OneOf(THUMBNAIL_SIDES),
        metadata={"description": "pixels of its longer side"},
    )


class StackSchema(ma.Schema):
    """Scans of one picture each that become one stack."""

    scans = fields.List(
        fields.String(validate=validate.Length(max=LONGEST_ID)),
        required=True,
        validate=validate.Length(2, MOST_SELECTED),
        metadata={"description": "ids, in any order: the stack is in the natural order of their names"},
    )


class SelectionSchema(ma.Schema):
    """Several scans, and what of them."""

    scans = fields.List(
        fields.String(validate=validate.Length(max=LONGEST_ID)),
        required=True,
        validate=validate.Length(1, MOST_SELECTED),
        metadata={"description": "ids"},
    )
    content = fields.Enum(
        Content,
        by_value=True,
        load_default=Content.ALL,
        metadata={"description": "all: every picture, masks, result; masks: one TIFF a scan, a page a slice"},
    )


class HistoryFilterSchema(ma.Schema):
    """Which scans, in which order."""

    query = fields.String(
        data_key="q",
        load_default="",
        validate=validate.Length(max=255),
        metadata={"description": "part of the file name, or of the name, tags or notes of its study"},
    )
    status = fields.Enum(Status, by_value=True)
    verdict = fields.Enum(Verdict, by_value=True)
    model = fields.String(load_default="", validate=validate.Length(max=LONGEST_MODEL_NAME))
    study = fields.String(
        load_default="", validate=validate.Length(max=LONGEST_ID), metadata={"description": "a study's id"}
    )
    warnings = fields.List(
        fields.String(validate=validate.OneOf(list(WARNINGS))),
        data_key="warning",
        load_default=(),
        metadata={"description": "a code; repeated: scans with any of them"},
    )
    from_date = fields.Date(data_key="from", metadata={"description": "first day, UTC"})
    to_date = fields.Date(data_key="to", metadata={"description": "last day, UTC"})
    sort = fields.String(load_default="newest", validate=validate.OneOf([sort.value for sort in SORTS]))


class HistoryQuerySchema(HistoryFilterSchema):
    """What to list."""

    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, LARGEST_LIMIT))
    cursor = fields.String(load_default="", validate=validate.Length(max=3000))


class IdempotencyHeaderSchema(ma.Schema):
    """The header under which the same POST does its work once."""

    class Meta:
        unknown = ma.EXCLUDE

    idempotency_key = fields.String(data_key="Idempotency-Key", validate=validate.Length(min=1, max=255))
