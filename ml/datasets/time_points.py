"""Which patients of a data set are one person at several times: they are on one side of a split, and one draw of an
interval.

BraTS from 2023 on writes the time behind the person: BraTS-GLI-00001-000 and BraTS-GLI-00001-001
(https://www.synapse.org/brats2023); so do UPENN-GBM (UPENN-GBM-00001_11 and _21, https://doi.org/10.7937/TCIA.709X-DN49),
UCSF-PDGM (UCSF-PDGM-0433_nifti and UCSF-PDGM-0433_FU001d_nifti, https://doi.org/10.7937/tcia.bdgf-8v37) and BIDS, whose
times are sessions (sub-01_ses-1, https://bids-specification.readthedocs.io). Several series of one
PatientID that are read from DICOM are called `P1/series 1`, `P1/series 2` (ml.datasets.layouts.dicom_sets). Others
write a date or a word behind a name with a number: TCIA's and PACS' `TCGA-02-0006_1996.08.23`, `P7_20190304`,
MU-Glioma-Post's `PatientID_0003/Timepoint_1` (https://doi.org/10.7937/7K9K-3C83), LUMIERE's `Patient-001/week-044`
(https://doi.org/10.1038/s41597-022-01881-7). TCIA's RHUH-GBM has a folder for each time (`RHUH-0001/0`
to `/2`), its UCSD-PTGBM a number behind the person's (UCSD-PTGBM-0002_01 and _02), UCSF-BMSR a letter (100101A and
100101B, https://doi.org/10.1148/ryai.230126), and UCSF-ALPTDG both times in one folder (`100001/100001_time1`).
Dates begin with the year, the day or the month (`P7/04.03.2021`, NBIA's
`P7/01-30-2020-NA-BRAIN`); the folder around one that is called by its date is the person, unless it is a class, a site
or the like. Where the folders of times are around those of persons (`pre/P1`, `post/P1`), the inner name is theirs.
A sequence behind all that is no part of a name (`P7_20190304_flair`). Scans that are one patient's whatever they are
called have it in front (`name_of_scan`).
"""

import re

from ml.datasets.class_names import is_of_many

_SERIES = re.compile(r"(.*)/series \d+", re.DOTALL)
_SCAN = re.compile(r"(person \d+) - .+", re.DOTALL)
_SEQUENCE = re.compile(r"(.*\d)[-_. ](?:flair|t2f|t2w?|t1(?:n|c|ce|gd|w)?)(?: \(\d+\))?", re.IGNORECASE | re.DOTALL)
_TIMES = re.compile(
    r"(.*BraTS[-_][A-Za-z]+[-_]\d{4,6})[-_]\d{3}|(UPENN-GBM-\d{5})_\d{2}|(UCSF-PDGM-\d{4})(?:_FU\d+d)?(?:_nifti)?"
    r"|(?:.*/)?(RHUH-\d{4})[/_]\d(?:/.*)?|(?:.*/)?(UCSD-PTGBM-\d{4})_\d{2}"
    r"|((?:.*/)?\d{5,})[A-Z]|(?:.*/)?(sub-[a-z0-9]+)[_/]ses-[a-z0-9]+(?:[_/].*)?",
    re.IGNORECASE,
)
# A date, or the word of a time with its number. A name without a number before it may be anything ("MR_20190304").
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_DATE = (
    rf"(?:{_YEAR}(?P<year_first>[-_.]?)(?:0[1-9]|1[0-2])(?P=year_first)(?:0[1-9]|[12]\d|3[01])"
    rf"|(?:{_DAY}(?P<day_first>[-_.]){_MONTH}(?P=day_first)|{_MONTH}(?P<month_first>[-_.]){_DAY}(?P=month_first)){_YEAR})"
)
_WORD = (
    r"(?:time(?:[-_ ]?points?)?|tp|visit|years?|weeks?|months?|days?|session|follow[-_ ]?up|fu)[-_ ]?\d[-\w]*|baseline"
    r"|\d{1,3}[-_ ]?(?:years?|yrs?|months?|mo|weeks?|wks?|days?)|follow[-_ ]?up|fu"
    r"|(?:pre|post|intra)(?:[-_ ]?(?:op(?:erative)?|rt|surgery|treatment))?"
    r"|(?:initial|primary|recurren(?:ce|t)|relapse|progression|diagnosis)(?:[-_ ]?\d{1,2})?"
)
# Around persons; a day around numbers may be a list of that day's.
_OUTER = re.compile(rf"(?:{_WORD})/(?P<person>.+)", re.IGNORECASE | re.DOTALL)
_TIME = re.compile(rf"(?:mri?|mrt|irm|scan|exam|study)?[-_. ]?{_DATE}(?:[-_. ][^/]*)?|{_WORD}", re.IGNORECASE)
_DATED = re.compile(rf"(?P<person>.*\d.*?)[-_. ](?:{_DATE}|{_WORD})", re.IGNORECASE | re.DOTALL)
# A visit or a time by its letter; behind a site's name it may be a volunteer.
_LETTERED = re.compile(r"(?P<person>.*\d.*?)[-_. ][vt]\d", re.IGNORECASE | re.DOTALL)


def is_time(name: str) -> bool:
    """Whether a name says a time and nobody: that of a folder in a person's."""
    return _TIME.fullmatch(name) is not None


def name_of_scan(person: int, name: str) -> str:
    """What a scan of several of one person is called, by whose number `person_of` knows these."""
    return f"person {person} - {name}"


def person_of(patient: str) -> str:
    """The name without the time, the series or the sequence, of a data set that has one; else the patient's own."""
    for pattern in (_SCAN, _SEQUENCE, _SERIES, _TIMES):
        if found := pattern.fullmatch(patient):
            patient = next(filter(None, found.groups()))
    if (found := _OUTER.fullmatch(patient)) and not is_time(found["person"]):
        patient = found["person"]
    person, _, time = patient.rpartition("/")
    if person and is_time(time):
        return patient if is_of_many(person.rpartition("/")[2]) else person
    if found := _DATED.fullmatch(patient):
        return found["person"]
    found = _LETTERED.fullmatch(patient)
    return found["person"] if found and not is_of_many(found["person"].rpartition("/")[2]) else patient
