"""Whose a study is where it came from: what an archive must find in a result to file it beside the study.

The portal keeps none of it. The node keeps it in its spool until the results are back (`worker.dicom_node.spool`);
DICOMweb asks the archive for it when a result is pushed (`dicomweb`).
"""

from collections.abc import Mapping
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

# Of patient and study (PS3.3 C.7.1.1, C.7.2.1): an object of a study repeats them.
FIELDS = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
)
# What an object must have, with or without a value; the others are left out where they are empty.
_TYPE_2 = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
           "AccessionNumber", "ReferringPhysicianName")  # fmt: skip
# What our objects say of the names that were taken away (`ml.exports.common_modules.finish`).
_SAYS_DEIDENTIFIED = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)
# The longest value of these kinds is 64 letters; a name has three groups of them (PS3.5 table 6.2-1).
_LONGEST = 200

Identity = Mapping[str, str]


def identity_of(dataset: Dataset) -> dict[str, str]:
    """The elements of `FIELDS` that have a value, by keyword."""
    found = {}
    for name in FIELDS:
        value = str(dataset.get(name) or "")
        if 0 < len(value) <= _LONGEST:
            found[name] = value
    return found


def restore(path: Path, identity: Identity) -> None:
    """Write whose an object of ours is into its file, in the place of pseudonym and empty elements. Raises OSError."""
    dataset = pydicom.dcmread(path)
    dataset.SpecificCharacterSet = "ISO_IR 192"  # UTF-8: names keep their letters, whatever they were written in
    for name in FIELDS:
        value = identity.get(name, "")
        if value or name in _TYPE_2:
            setattr(dataset, name, value)
        elif name in dataset:
            del dataset[name]
    for name in _SAYS_DEIDENTIFIED:
        if name in dataset:
            del dataset[name]
    dataset.save_as(path, enforce_file_format=True, overwrite=True)
