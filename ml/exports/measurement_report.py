"""DICOM SR, TID 1500 (PS3.16): volume of the whole mask, and of each lesion its volume and diameters.

The mask's group refers to the segment of `segmentation_object`; a lesion's to the image on which it was measured.

Every group has coordinates, also where TID 1500 asks for none: OHIF (3.13) reads those of a group's first SCOORD or
SCOORD3D, and opens no report in which a group has neither. A diameter is a line on the image that it was measured on,
or in the patient where that plane is no image of the series; the mask's group has the place that a viewer goes to.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Ordered
from typing import Any

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    CoordinatesForMeasurement,
    CoordinatesForMeasurement3D,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    GraphicTypeValues3D,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    Scoord3DContentItem,
    ScoordContentItem,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ml.exports.common_modules import BRAIN, DISCLAIMER, MANUFACTURER, NEOPLASM, REGION, SERIES_NUMBERS, finish, uid_of
from ml.exports.facts import Facts
from ml.exports.segmentation_object import make_segmentation
from ml.exports.sources import Sources

# PS3.16: CID 7469 for sizes, CID 100 for the procedure. UCUM for units.
_VOLUME = codes.SCT.Volume
# Cornerstone's reader (`@cornerstonejs/adapters`, Bidirectional) finds both by these very words.
_LONG_AXIS = Code(codes.SCT.LongAxis.value, "SCT", "Long Axis")
_SHORT_AXIS = Code(codes.SCT.ShortAxis.value, "SCT", "Short Axis")
_LESIONS = codes.SCT.NumberOfLesions
_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
_CUBIC_MM, _MM, _ONE = codes.UCUM.CubicMillimeter, codes.UCUM.Millimeter, codes.UCUM.NoUnits
_OWN = "99GLIOSCOPE"
_VERDICT = Code("verdict", _OWN, "Verdict of the model")
# What a tracking identifier begins with where Cornerstone's reader may make a measurement of the group: two diameters.
_BIDIRECTIONAL = "Cornerstone3DTools@^0.1.0:Bidirectional"
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right, "both": codes.SCT.RightAndLeft}


def make_report(sources: Sources, mask: NDArray[np.uint8], facts: Facts) -> Comprehensive3DSR:
    """Build the object. mask: of `make_segmentation`, to whose object it refers."""
    segmentation = make_segmentation(sources, mask, facts)
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=uid_of(facts, "device"), name=MANUFACTURER, manufacturer_name=MANUFACTURER, model_name=facts.model
        ),
    )
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=_PROCEDURE,
        imaging_measurements=[_whole(sources, segmentation, facts), *_lesions(sources, facts)],
    )
    made = Comprehensive3DSR(
        evidence=[*sources.datasets, segmentation],
        content=report[0],
        series_instance_uid=uid_of(facts, "measurements", "series"),
        series_number=SERIES_NUMBERS["measurements"],
        # "2": of the form with coordinates, so that an archive keeps it beside one that it has of the form before.
        sop_instance_uid=uid_of(facts, "measurements", "instance", "2"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        series_description=f"{facts.title('Measurements')} {DISCLAIMER}",
    )
    finish(made, facts)
    return made


def _whole(sources: Sources, segmentation: Dataset, facts: Facts) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    measured = facts.measured
    measurements = [Measurement(name=_LESIONS, value=measured["lesion_count"], unit=_ONE)]
    if measured["volume_mm3"] is not None:
        measurements.insert(0, Measurement(name=_VOLUME, value=measured["volume_mm3"], unit=_CUBIC_MM))
    verdict = str(measured["verdict"])
    group = VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid_of(facts, "tracking"), identifier=facts.label),
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=1,
            source_series=SourceSeriesForSegmentation(sources.datasets[0].SeriesInstanceUID),
        ),
        finding_type=_finding(facts),
        finding_sites=[FindingSite(BRAIN)],
        algorithm_id=_algorithm(facts),
        measurements=measurements,
        qualitative_evaluations=[
            QualitativeEvaluation(_VERDICT, Code(verdict[:16], _OWN, verdict.replace("_", " "))),
        ],
    )
    # TID 1411 is extensible, and so may have these behind what it names.
    if facts.doubt:
        _append(group, _comment(facts.doubt))
    _append(group, _place(sources, facts))
    return group


def _lesions(sources: Sources, facts: Facts) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    for lesion in facts.measured["lesions"]:
        image = lesion["source_slice"]
        name = f"{'Lesion' if facts.is_assessed else 'Region'} {lesion['number']}"
        sizes = [
            _diameter(sources, concept, lesion[f"{which}_mm"], lesion[f"{which}_ends_mm"], image)
            for concept, which in ((_LONG_AXIS, "diameter"), (_SHORT_AXIS, "perpendicular"))
        ]
        # Behind them: Cornerstone's reader takes the coordinates of a group's first number.
        if lesion["volume_mm3"] is not None:
            sizes.append(Measurement(name=_VOLUME, value=lesion["volume_mm3"], unit=_CUBIC_MM))
        tracked = name if image is None else f"{_BIDIRECTIONAL}:{name}"
        group = MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=uid_of(facts, name), identifier=tracked),
            finding_type=_finding(facts),
            finding_sites=[FindingSite(BRAIN, laterality=_SIDES.get(lesion["hemisphere"]))],
            algorithm_id=_algorithm(facts),
            measurements=sizes,
            source_images=None if image is None else [SourceImageForMeasurementGroup(*_image(sources, image))],
        )
        # What viewers call it, also where they take the measurement out of the report. TID 1501 is extensible.
        _append(group, _comment(f"{name}, in doubt" if facts.doubt and facts.is_assessed else name))
        yield group


def _diameter(
    sources: Sources, concept: Code, length_mm: float, ends_mm: Ordered[Ordered[float]], image: int | None
) -> Measurement:
    """With the line that it is the length of. image: the series' slice that the line lies on."""
    if image is None:
        line: CoordinatesForMeasurement | CoordinatesForMeasurement3D = CoordinatesForMeasurement3D(
            GraphicTypeValues3D.POLYLINE, _to_lps(ends_mm), sources.datasets[0].FrameOfReferenceUID
        )
    else:
        line = CoordinatesForMeasurement(
            GraphicTypeValues.POLYLINE,
            _to_pixels(sources, ends_mm),
            SourceImageForRegion(*_image(sources, image)),
        )
    return Measurement(name=concept, value=length_mm, unit=_MM, referenced_coordinates=[line])


def _place(sources: Sources, facts: Facts) -> ScoordContentItem | Scoord3DContentItem:
    """Where to look: the center of the largest lesion, on the image nearest to it; of nothing the middle image's
    border, within which nothing was found."""
    lesions: list[dict[str, Any]] = facts.measured["lesions"]
    if lesions and lesions[0]["source_slice"] is None:
        return Scoord3DContentItem(
            codes.DCM.Center,
            GraphicTypeValues3D.POINT,
            _to_lps([lesions[0]["center_mm"]]),
            sources.datasets[0].FrameOfReferenceUID,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
    if lesions:
        concept, kind = codes.DCM.Center, GraphicTypeValues.POINT
        points = _to_pixels(sources, [lesions[0]["center_mm"]])
        image = round(_to_voxels(sources, [lesions[0]["center_mm"]])[0, 2])
    else:
        concept, kind, image = codes.DCM.SelectedRegion, GraphicTypeValues.POLYLINE, len(sources.places) // 2
        width, height = sources.datasets[0].Columns, sources.datasets[0].Rows
        points = np.array([(0, 0), (width, 0), (width, height), (0, height), (0, 0)], np.float64)
    item = ScoordContentItem(concept, kind, points, relationship_type=RelationshipTypeValues.CONTAINS)
    item.ContentSequence = Sequence([SourceImageForRegion(*_image(sources, image))])
    return item


def _to_voxels(sources: Sources, points_mm: Ordered[Ordered[float]]) -> NDArray[np.float64]:
    """Column, row and slice (N, 3), whole at centers of voxels, of points in mm (RAS)."""
    to_voxels = np.linalg.inv(np.asarray(sources.volume.affine))
    found: NDArray[np.float64] = np.asarray(points_mm, np.float64) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    return found


def _to_pixels(sources: Sources, points_mm: Ordered[Ordered[float]]) -> NDArray[np.float64]:
    """Column and row (N, 2) as SCOORD counts them: 0 at the image's outer corner (PS3.3 C.18.6)."""
    image = sources.datasets[0]
    pixels: NDArray[np.float64] = np.clip(
        np.round(_to_voxels(sources, points_mm)[:, :2] + 0.5, 3), 0, (image.Columns, image.Rows)
    )
    return pixels


def _to_lps(points_mm: Ordered[Ordered[float]]) -> NDArray[np.float64]:
    """Of mm (RAS), (N, 3) in mm as DICOM counts them."""
    return np.asarray(points_mm, np.float64) * (-1, -1, 1)


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.DCM.Comment, text, RelationshipTypeValues.CONTAINS)


def _append(group: Ordered[Dataset], item: Dataset) -> None:
    group[0].ContentSequence.append(item)


def _finding(facts: Facts) -> Code:
    found: Code = NEOPLASM if facts.is_assessed else REGION
    return found


def _image(sources: Sources, index: int) -> tuple[str, str, list[int] | None]:
    """Class, instance and frames of the image that is a slice of the series."""
    file, frame = sources.places[index]
    dataset = sources.datasets[file]
    return dataset.SOPClassUID, dataset.SOPInstanceUID, [frame + 1] if sources.is_multiframe else None


def _algorithm(facts: Facts) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=facts.model,
        version=facts.model_version or "not stated",
        parameters=[f"threshold {facts.threshold}"],
        manufacturer=MANUFACTURER,
    )
