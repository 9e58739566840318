"""DICOM SR, TID 1500 (PS3.16): volume of the whole mask, and of each lesion its volume and diameters.

The mask's group refers to the segment of `segmentation_object`; a lesion's to the image on which it was measured.
"""

from collections.abc import Iterator

from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from numpy import uint8
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ml.exports.common_modules import BRAIN, DISCLAIMER, MANUFACTURER, NEOPLASM, REGION, SERIES_NUMBERS, finish, uid_of
from ml.exports.facts import Facts
from ml.exports.segmentation_object import make_segmentation
from ml.exports.sources import Sources

# PS3.16: CID 7469 for sizes, CID 100 for the procedure. UCUM for units.
_VOLUME, _LONG_AXIS, _SHORT_AXIS = codes.SCT.Volume, codes.SCT.LongAxis, codes.SCT.ShortAxis
_LESIONS = codes.SCT.NumberOfLesions
_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
_CUBIC_MM, _MM, _ONE = codes.UCUM.CubicMillimeter, codes.UCUM.Millimeter, codes.UCUM.NoUnits
_OWN = "99GLIOSCOPE"
_VERDICT = Code("verdict", _OWN, "Verdict of the model")
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right, "both": codes.SCT.RightAndLeft}


def make_report(sources: Sources, mask: NDArray[uint8], facts: Facts) -> Comprehensive3DSR:
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
        sop_instance_uid=uid_of(facts, "measurements", "instance"),
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
    if facts.doubt:
        # TID 1411 is extensible, and so may have a comment behind what it names.
        comment = TextContentItem(codes.DCM.Comment, facts.doubt, RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(comment)
    return group


def _lesions(sources: Sources, facts: Facts) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    for lesion in facts.measured["lesions"]:
        sizes = [
            (_VOLUME, lesion["volume_mm3"], _CUBIC_MM),
            (_LONG_AXIS, lesion["diameter_mm"], _MM),
            (_SHORT_AXIS, lesion["perpendicular_mm"], _MM),
        ]
        side = _SIDES.get(lesion["hemisphere"])
        name = f"{'Lesion' if facts.is_assessed else 'Region'} {lesion['number']}"
        yield MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=uid_of(facts, name), identifier=name),
            finding_type=_finding(facts),
            finding_sites=[FindingSite(BRAIN, laterality=side)],
            algorithm_id=_algorithm(facts),
            measurements=[
                Measurement(name=concept, value=value, unit=unit) for concept, value, unit in sizes if value is not None
            ],
            source_images=_image(sources, lesion["source_slice"]),
        )


def _finding(facts: Facts) -> Code:
    found: Code = NEOPLASM if facts.is_assessed else REGION
    return found


def _image(sources: Sources, index: int | None) -> list[SourceImageForMeasurementGroup] | None:
    """The image of a slice on which a lesion was measured; None where that is no image of the series."""
    if index is None:
        return None
    file, frame = sources.places[index]
    dataset = sources.datasets[file]
    frames = [frame + 1] if sources.is_multiframe else None
    return [SourceImageForMeasurementGroup(dataset.SOPClassUID, dataset.SOPInstanceUID, frames)]


def _algorithm(facts: Facts) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=facts.model,
        version=facts.model_version or "not stated",
        parameters=[f"threshold {facts.threshold:g}"],
        manufacturer=MANUFACTURER,
    )
