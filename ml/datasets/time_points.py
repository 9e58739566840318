"""Which patients of a data set are one person at several times: they are on one side of a split, and one draw of an
interval.

BraTS from 2023 on writes the time behind the person: BraTS-GLI-00001-000 and BraTS-GLI-00001-001
(https://www.synapse.org/brats2023); so do UPENN-GBM (UPENN-GBM-00001_11 and _21, https://doi.org/10.7937/TCIA.709X-DN49)
and BIDS, whose times are sessions (sub-01_ses-1, https://bids-specification.readthedocs.io). Several series of one
PatientID that are read from DICOM are called `P1/series 1`, `P1/series 2` (ml.datasets.layouts.dicom_sets).
"""

import re

_SERIES = re.compile(r"(.*)/series \d+", re.DOTALL)
_TIMES = re.compile(
    r"(.*BraTS[-_][A-Za-z]+[-_]\d{4,6})[-_]\d{3}|(UPENN-GBM-\d{5})_\d{2}"
    r"|(?:.*/)?(sub-[a-z0-9]+)[_/]ses-[a-z0-9]+(?:[_/].*)?",
    re.IGNORECASE,
)


def person_of(patient: str) -> str:
    """The name without the time or the series, of a data set that has one; else the patient's own."""
    for pattern in (_SERIES, _TIMES):
        if found := pattern.fullmatch(patient):
            patient = next(filter(None, found.groups()))
    return patient
