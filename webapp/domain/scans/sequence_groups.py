"""Which volumes of one upload are sequences of one patient: those whose names are equal without the words of sequences.

They become a study, so that they can be read together. `static/js/scans/sequences.js` names studies by the same rule,
since it sends the files of one drop one by one; a test holds the two equal.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from ml.datasets.file_names import slashed
from ml.scans.sequence import SEQUENCE_WORDS
from webapp.domain.scans import studies

_VOLUME = re.compile(r"(?i)\.nii(\.gz)?$")
WORDS = SEQUENCE_WORDS
_WORD = re.compile(WORDS)
_UNNAMED = "Sequences"
# A name with fewer digits is many patients': the study of another one may have it already.
LEAST_DIGITS = 2
# Digits that many patients' names have: days, templates and sizes of voxels. As `DAYS` and `OF_MANY` in sequences.js.
_OF_MANY = re.compile(
    r"(?<![0-9])((19|20)[0-9]{2}([-_. ]?)[01][0-9]\3[0-3][0-9]|[0-3]?[0-9]([-_. ])[01]?[0-9]\4(19|20)[0-9]{2})(?![0-9])"
    r"|mni[0-9]+[a-z0-9]*|sri24|[0-9.]+x[0-9.]+(x[0-9.]+)?(mm)?",
    re.IGNORECASE,
)


def study_names(paths: Sequence[str], time: str) -> dict[int, str]:
    """The study of each file that is one of several sequences of a patient, by its place.

    paths: as the client names them, with folders where it sends them. time: what tells studies apart whose files do not
    say whose they are.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    titles: dict[tuple[str, str], str] = {}
    for place, path in enumerate(paths):
        folder, name = _split(path)
        rest = name_without_sequence(name) if _VOLUME.search(name) else None
        if rest is not None:
            key = (unicodedata.normalize("NFC", folder), unicodedata.normalize("NFC", rest).casefold())
            groups[key].append(place)
            inner = folder.rpartition("/")[2]
            own = rest if _says_whose(rest) or not inner else inner
            titles.setdefault(key, title(own or _UNNAMED, time))
    return {place: titles[key] for key, places in groups.items() if len(places) > 1 for place in places}


def name_without_sequence(name: str) -> str | None:
    """What a file's name says besides its sequence, the patient mostly; None where it names no sequence."""
    stem = _VOLUME.sub("", name)
    words = "".join(char.lower() if re.fullmatch(r"[a-zA-Z0-9+*]", char) else " " for char in stem)
    rest, end = [], 0
    for found in _WORD.finditer(words):
        rest.append(stem[end : found.start()])
        end = found.end()
    if not rest:
        return None
    parts = [part.strip(" _.-+()[]") for part in (*rest, stem[end:])]
    return " ".join(part for part in parts if part)


def now() -> str:
    """The time behind a study's name."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def title(name: str, time: str) -> str:
    """A study's name; the time follows where many patients may be called so: they are not put together."""
    return (name if _says_whose(name) else f"{name}, {time}")[-studies.LONGEST_NAME :]


def _says_whose(name: str) -> bool:
    return len(re.findall(r"[0-9]", _OF_MANY.sub("", name))) >= LEAST_DIGITS


def _split(path: str) -> tuple[str, str]:
    """Folder and name."""
    folder, _, name = slashed(path).strip("/").rpartition("/")
    return folder, name
