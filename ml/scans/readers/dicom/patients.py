"""Of which patient a DICOM header is, as digests: they tell patients of one upload apart, and are not stored."""

import hashlib
import re

from pydicom.dataset import Dataset

# What de-identification writes in place of an id or a name, letters and digits alone: of everybody the same.
_NOBODY = frozenset(
    {"anon", "anonym", "anonyme", "anonymous", "anonymized", "anonymised", "anonymouspatient", "anonymizedid"}
    | {"anonymizedpatient", "anonymise", "anonymisé", "anonymisiert", "anonimo", "anónimo", "anonimizado"}
    | {"anonimizzato", "geanonimiseerd", "removedbyctp"}
    | {"anonymisedpatient", "patientanonymous", "patientanonymized", "deidentified", "deident", "removed", "redacted"}
    | {"hidden", "masked", "withheld", "confidential", "blank", "empty", "default", "dummy", "test", "none", "null"}
    | {"nil", "na", "nan", "unknown", "unnamed", "unspecified", "notavailable", "notprovided", "noname", "noid"}
    | {"nopatientid", "id", "name", "patient", "patientid", "patientname", "subject", "subjectid"}
)
# Words beside these, as in "De-identified^Patient" and "Anonymous^Male".
_BESIDE_NOBODY = frozenset(
    {"de", "identified", "not", "no", "available", "provided", "given", "male", "female", "m", "f"}
)


def patient_of(header: Dataset) -> str:
    """A digest that two files of one patient share; empty where the header names none, or has a word that is written
    for everybody."""
    known = (str(header.get(name) or "").strip() for name in ("PatientID", "PatientName"))
    return _digest(next(filter(_names_somebody, known), ""))


def birth_of(header: Dataset) -> str:
    """A digest of the patient with the birth date, so that who has the key cannot find it by trying dates out; empty
    where one of them is not there, and for January 1st, which stands for a day that is not known or was taken out."""
    text = re.sub(r"[.-]", "", str(header.get("PatientBirthDate") or "").strip())
    patient = patient_of(header)
    is_known = patient and re.fullmatch(r"(18|19|20)\d{6}", text) and not text.endswith("0101")
    return _digest(f"{patient} {text}") if is_known else ""


def examination_of(header: Dataset) -> str:
    """A digest of the study's UID; empty without one."""
    return _digest(str(header.get("StudyInstanceUID") or "").strip())


def _names_somebody(text: str) -> bool:
    """Whether it is nothing that de-identification writes for everybody: "ANON", "De-identified^Patient"."""
    words = re.findall(r"[^\W_]+", text.casefold())
    is_nobody = "".join(words) in _NOBODY or (_NOBODY & set(words) and set(words) <= _NOBODY | _BESIDE_NOBODY)
    return not is_nobody and bool(words) and bool(text.strip("0Xx-_^ "))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() if text else ""
