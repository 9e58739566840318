"""What every object says alike: whose it is, that nobody is named, when and by what it was made, and its UIDs."""

import hashlib
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from ml.exports.facts import Facts

MANUFACTURER = "Glioscope"
DISCLAIMER = "Research use only. Not for diagnosis."
# Beyond the numbers that scanners give.
SERIES_NUMBERS = {"segmentation": 9001, "measurements": 9002, "rtstruct": 9003}

# Of patient and study, which an object repeats (PS3.3 C.7.1.1, C.7.2.1).
COPIED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)


def uid_of(facts: Facts, *parts: str) -> UID:
    """A UID that is the same whenever the same object is written: 2.25 and a number of 128 bits (PS3.5 B.2)."""
    digest = hashlib.sha256("\n".join(["glioscope", facts.run, *parts]).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16])}")


def name_patient(datasets: tuple[Dataset, ...], facts: Facts) -> None:
    """Write the pseudonym into headers that objects copy, in the place of names that were left out at import."""
    for dataset in datasets:
        dataset.PatientID = facts.patient
        dataset.PatientName = f"{facts.patient}^Pseudonym" if facts.patient else ""
        if not dataset.get("StudyInstanceUID"):
            dataset.StudyInstanceUID = uid_of(facts, "study")


def finish(dataset: Dataset, facts: Facts) -> None:
    """Write what all objects share into one that is otherwise whole."""
    finished = datetime.fromisoformat(facts.finished_at)
    day, time = finished.strftime("%Y%m%d"), finished.strftime("%H%M%S")
    for name in ("InstanceCreationDate", "ContentDate", "SeriesDate", "StructureSetDate"):
        if name in dataset:
            setattr(dataset, name, day)
    for name in ("InstanceCreationTime", "ContentTime", "SeriesTime", "StructureSetTime"):
        if name in dataset:
            setattr(dataset, name, time)
    for equipment in dataset.get("ContributingEquipmentSequence", []):
        equipment.ContributionDateTime = day + time
    for element in dataset.iterall():
        if element.keyword == "DimensionOrganizationUID":
            element.value = uid_of(facts, "dimensions")
    dataset.TimezoneOffsetFromUTC = "+0000"
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    dataset.DeidentificationMethod = "Glioscope: elements for geometry and pixels alone"
    # PS3.16 CID 7050.
    dataset.DeidentificationMethodCodeSequence = [
        _code("113100", "Basic Application Confidentiality Profile"),
        _code("113110", "Retain UIDs Option"),
    ]


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


# What is marked: the category and the kind of a segment, and where it lies (PS3.16 CID 7150, 7159, 4).
CATEGORY = codes.SCT.MorphologicallyAbnormalStructure
NEOPLASM = codes.SCT.Neoplasm
BRAIN = codes.SCT.Brain
# Of what is marked without a verdict: a place, and nothing that is said to be there.
NO_CATEGORY = codes.SCT.SpatialAndRelationalConcept
REGION = codes.DCM.ImageRegion
