"""Which patients of a data set are one person at several times: they are on one side of a split, and one draw of an
interval.

BraTS from 2023 on writes the time behind the person: BraTS-GLI-00001-000 and BraTS-GLI-00001-001
(https://www.synapse.org/brats2023).
"""

import re

_BRATS = re.compile(r"(.*BraTS[-_][A-Za-z]+[-_]\d{4,6})[-_]\d{3}", re.IGNORECASE)


def person_of(patient: str) -> str:
    """The name without the time, of a data set that has one; else the patient's own."""
    found = _BRATS.fullmatch(patient)
    return found[1] if found else patient
