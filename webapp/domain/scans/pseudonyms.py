"""Names of patients that say nothing of them: equal for equal ids, and only where the portal's key is known.

A plain digest of an id can be tried out, all hospital numbers of eight digits in a second; a keyed one cannot without
the key (`GLIOSCOPE_SECRET_KEY`). DICOM PS3.15 annex E leaves how a pseudonym is made to whoever makes it.
"""

import hashlib
import hmac

_DIGITS = 16  # 64 bits: among a million patients two share one with a chance of 3 in 100 million


def pseudonym(key: str, digest: str) -> str | None:
    """Of a digest of a patient's id; None where it is empty."""
    return _keyed(key, "P", "patient", digest)


def examination_pseudonym(key: str, digest: str) -> str | None:
    """Of a digest of an examination's UID, which may have a date in it; None where it is empty."""
    return _keyed(key, "E", "examination", digest)


def birth_pseudonym(key: str, digest: str) -> str | None:
    """Of a digest of a patient and the birth date; None where it is empty."""
    return _keyed(key, "B", "birth", digest)


def _keyed(key: str, letter: str, kind: str, digest: str) -> str | None:
    if not digest:
        return None
    return letter + hmac.new(key.encode(), f"{kind} {digest}".encode(), hashlib.sha256).hexdigest()[:_DIGITS].upper()
