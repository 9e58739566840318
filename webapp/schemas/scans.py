"""The JSON of a scan."""

from functools import lru_cache
from typing import Any

from flask import request, url_for
from marshmallow import fields

from webapp.context import resources
from webapp.domain.exports.dicom_objects import Kind, is_series
from webapp.domain.scans import visits
from webapp.domain.scans.grouping import missing_numbers
from webapp.domain.scans.images import KINDS, OF_TRUTH, VOLUMES
from webapp.domain.scans.models import Scan, Segmentation, SpacingSource
from webapp.schemas.errors import RejectedSchema
from webapp.schemas.fields import AnswerSchema, Code, Links, RowSchema, Spacing, Timestamp, dump
from webapp.schemas.segmentations import LONGEST_ID, SegmentationSchema
from webapp.schemas.sequences import PartSchema, SequenceSchema
from webapp.schemas.truth import AgreementSchema, TruthField

# Stands in an address for the id of the scan that it is of.
_ANY_ID = "0" * LONGEST_ID


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
    date = fields.Date(
        required=True, allow_none=True, metadata={"description": "of the examination, as entered; null: not entered"}
    )
    patient = fields.String(required=True, allow_none=True, metadata={"description": "as entered; null: not entered"})


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


class AdmittedSchema(AnswerSchema):
    """The answer to an upload."""

    scans = fields.List(fields.Nested(ScanSchema), required=True)
    rejected = fields.List(fields.Nested(RejectedSchema), required=True)


class ScanPageSchema(AnswerSchema):
    """One page of the history."""

    scans = fields.List(fields.Nested(ScanSchema), attribute="rows", required=True)
    next_cursor = fields.String(allow_none=True)
