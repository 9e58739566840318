"""Which patients of a data set are one person at several times: they are on one side of a split, and one draw of an
interval.

BraTS from 2023 on writes the time behind the person: BraTS-GLI-00001-000 and BraTS-GLI-00001-001
(https://www.synapse.org/brats2023). Several series of one PatientID that are read from DICOM are called `P1/series 1`,
`P1/series 2` (ml.datasets.layouts.dicom_sets).
"""

import re

_BRATS = re.compile(r"(.*BraTS[-_][A-Za-z]+[-_]\d{4,6})[-_]\d{3}", re.IGNORECASE)
_SERIES = re.compile(r"(.*)/series \d+", re.DOTALL)


def person_of(patient: str) -> str:
    """The name without the time or the series, of a data set that has one; else the patient's own."""
    for pattern in (_SERIES, _BRATS):
        if found := pattern.fullmatch(patient):
            patient = found[1]
    return patient
