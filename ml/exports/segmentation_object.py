"""DICOM SEG (PS3.3 A.51): the mask as one binary segment on the voxels of its series, frame by frame."""

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ml.exports.common_modules import (
    BRAIN,
    CATEGORY,
    DISCLAIMER,
    MANUFACTURER,
    NEOPLASM,
    NO_CATEGORY,
    REGION,
    SERIES_NUMBERS,
    finish,
    uid_of,
)
from ml.exports.facts import Facts
from ml.exports.sources import Sources

# PS3.16 CID 7162.
_ARTIFICIAL_INTELLIGENCE: Code = codes.DCM.ArtificialIntelligence


def make_segmentation(sources: Sources, mask: NDArray[np.uint8], facts: Facts) -> Segmentation:
    """Build the object. mask: uint8 (slice, row, column), 0 or 1.

    Of an empty mask all frames are there, and empty: an object without any could not say what was looked at.
    """
    if sources.is_multiframe:
        frames = np.zeros_like(mask)
        frames[[frame for _, frame in sources.places]] = mask
        datasets = [sources.datasets[0]]
    else:
        frames, datasets = mask, sources.by_slice
    description = SegmentDescription(
        segment_number=1,
        segment_label=facts.label,
        segmented_property_category=CATEGORY if facts.is_assessed else NO_CATEGORY,
        segmented_property_type=NEOPLASM if facts.is_assessed else REGION,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(facts),
        tracking_uid=uid_of(facts, "tracking"),
        tracking_id=facts.label,
        anatomic_regions=[BRAIN],
    )
    if facts.doubt:
        description.SegmentDescription = facts.doubt
    made = Segmentation(
        source_images=datasets,
        pixel_array=frames,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=uid_of(facts, "segmentation", "series"),
        series_number=SERIES_NUMBERS["segmentation"],
        sop_instance_uid=uid_of(facts, "segmentation", "instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=f"{facts.model} {facts.model_version}"[:64],
        software_versions=facts.version,
        device_serial_number="none",
        content_label="TUMOR" if facts.is_assessed else "NOT_ASSESSED",
        content_description=(facts.doubt or f"Mask at threshold {facts.threshold}. {DISCLAIMER}")[:64],
        omit_empty_frames=bool(mask.any()),
        series_description=f"{facts.title('Mask')} {DISCLAIMER}",
    )
    finish(made, facts)
    return made


def algorithm(facts: Facts) -> AlgorithmIdentificationSequence:
    """The model, as objects name it."""
    return AlgorithmIdentificationSequence(
        name=facts.model[:64], family=_ARTIFICIAL_INTELLIGENCE, version=facts.model_version or "not stated"
    )
