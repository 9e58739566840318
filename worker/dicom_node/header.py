"""What the node reads of an instance: which study and series it belongs to, and whose it is. Nothing else is parsed
outside of the sandbox."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom

from webapp.domain.networks.identity import FIELDS, identity_of

_UID = re.compile(r"[0-9.]{1,64}")
_READ = (
    "SpecificCharacterSet",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SOPInstanceUID",
    *FIELDS,
)


class UnreadableHeader(Exception):
    """An instance that does not say which it is."""


@dataclass(frozen=True)
class Header:
    """series_number: 0 where there is none. identity: of `identity_of`."""

    study_uid: str
    series_uid: str
    series_number: int
    sop_uid: str
    identity: dict[str, str]


def identify(path: Path) -> tuple[str, str]:
    """SOP class and SOP instance of a file that the node has taken."""
    meta = pydicom.filereader.read_file_meta_info(path)
    return str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)


def read_header(path: Path) -> Header:
    """Read a file in DICOM's own format. Raises UnreadableHeader."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_READ))
            uids = [str(found.get(name) or "") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
            number = str(found.get("SeriesNumber") or "0")
            identity = identity_of(found)
    except Exception as error:  # a stranger's bytes: readers raise whatever they like
        raise UnreadableHeader from error
    if not all(_UID.fullmatch(uid) for uid in uids):
        raise UnreadableHeader
    study, series, sop = uids
    return Header(study, series, int(number) if number.isdecimal() and len(number) < 6 else 0, sop, identity)
