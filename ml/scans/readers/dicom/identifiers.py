"""What a DICOM header says of people, taken out of the names of files and folders that were sent with it.

People write a name in other letters and another order than the header: "Mueller Joerg" for `Müller^Jörg`, "delacruz"
for `De La Cruz`, "SMITHJOHN" for `Smith^John`. All of these are compared without accents, as one word. A name is
read in every character set that fits its bytes, too: many files state none, or another than they were written in.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import permutations
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

PEOPLE = (
    "PatientName",
    "OtherPatientNames",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
)
# What else tells a person, as file names and folders repeat it.
_NUMBERS = ("PatientID", "PatientBirthDate", "AccessionNumber", "StudyID", "InstitutionName")
_SHORTEST = 3  # letters: a number 1 or an initial stands in every name
_FIRST_IDEOGRAPH = "\u2e80"  # from here on a letter is a syllable or a word
_MOST_WORDS = 12  # of one element, and of a name that is compared as one word
_MOST_COMPONENTS = 3  # family, given, middle
# Letters that no decomposition of Unicode takes apart.
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
# Western, Central European, Cyrillic, Greek, Turkish, Hebrew, Arabic, Thai, Japanese, Chinese, Korean; as DICOM,
# Windows and DOS write them.
_CHARACTER_SETS = (
    *("utf-8", "cp1252", "cp850", "iso8859-2", "cp1250", "cp852", "iso8859-5", "cp1251", "cp866", "koi8-r"),
    *("iso8859-7", "cp1253", "cp1254", "iso8859-8", "cp1255", "iso8859-6", "cp1256", "cp874"),
    *("iso2022-jp-2", "shift-jis", "euc-jp", "gb18030", "big5", "iso2022-kr", "cp949"),
)
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


def without_people(names: Sequence[str], header: Dataset) -> list[str]:
    """Files' names without the words by which their header names somebody; empty where no other is left.

    header: as it was read, since pydicom forgets the bytes of an element that has been looked at.
    Raises whatever pydicom does for damaged elements.
    """
    said = _identifying(header)
    return [_without(name, said) for name in names]


def _without(name: str, said: set[str]) -> str:
    # Words at the odd places, what parts them at the even ones; macOS sends letters and their accents apart.
    parts = re.split(r"([^\W_]+)", unicodedata.normalize("NFC", name))
    words = parts[1::2]
    start, is_changed = 0, False
    while start < len(words):
        most = min(_MOST_WORDS, len(words) - start)
        found = (count for count in range(most, 0, -1) if _spellings(words[start : start + count]) & said)
        count = next(found, 0)
        if count:
            parts[2 * start + 1 : 2 * (start + count)] = [""] * (2 * count - 1)
        start, is_changed = start + max(count, 1), is_changed or count > 0
    if not is_changed:
        return name
    left = re.sub(r"([\W_])[\W_]+", r"\1", "".join(parts)).strip(" ^,;_-")
    stem = left.rpartition(".")[0] if "." in left else left
    return left if re.search(r"[^\W_]", stem) else ""


def _identifying(header: Dataset) -> set[str]:
    """Spellings of what the header says, each as one word."""
    said = [words for element in PEOPLE for text in _texts(header, element) for words in _of_person(text)]
    for element in _NUMBERS:
        for text in _texts(header, element):
            words = _words(text)
            said += [words, *([word] for word in words)]
    for text in _texts(header, "PatientBirthDate"):
        year, month, day = text[:4], text[4:6], text[6:8]
        said += [[day, month, year], [month, day, year]]
        if len(text) == 8:
            said += [[year[2:], month, day], [day, month, year[2:]], [month, day, year[2:]]]
    spelled = {spelling for words in said for spelling in _spellings(words)}
    return {word for word in spelled if len(word) >= _SHORTEST or word >= _FIRST_IDEOGRAPH}


def _of_person(text: str) -> Iterator[Sequence[str]]:
    """Words that name somebody where they stand one behind another. text: PN, `Family^Given=...` (PS3.5 6.2.1)."""
    for group in text.split("="):
        components = [words for part in group.split("^") if (words := _words(part))][:_MOST_COMPONENTS]
        words = [word for component in components for word in component][:_MOST_WORDS]
        yield from (words[first:last] for last in range(1, len(words) + 1) for first in range(last))
        if len(components) == 1:
            components = [[word] for word in words][:_MOST_COMPONENTS]
        for count in range(2, len(components) + 1):
            for some in permutations(components, count):
                yield [word for component in some for word in component]
        for one, other in permutations(components, 2):
            yield [*one, other[0][0]]
            yield [other[0][0], *one]


def _spellings(words: Sequence[str]) -> set[str]:
    """The words as one, without accents: with each letter as it looks, and with ä, ö, ü as ae, oe, ue."""
    word = unicodedata.normalize("NFC", "".join(words)).casefold()
    found = {word, _bare(word), _bare(word.translate(_DIGRAPHS))}
    return found | {word.lstrip("0")} if word.isdecimal() else found


def _bare(word: str) -> str:
    apart = unicodedata.normalize("NFD", word.translate(_LETTERS))
    return unicodedata.normalize("NFC", "".join(char for char in apart if not unicodedata.combining(char)))


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", unicodedata.normalize("NFC", text)) if word][:_MOST_WORDS]


def _texts(header: Dataset, name: str) -> list[str]:
    stored = header.get_item(name)
    value: Any = header.get(name)
    values = value if isinstance(value, MultiValue | list) else [value]
    texts = [str(item) for item in values if item]
    if isinstance(stored, RawDataElement) and stored.value:
        texts += _other_readings(stored.value)
    return texts


def _other_readings(stored: bytes) -> Iterator[str]:
    """What an element may say in character sets that its file does not state."""
    if stored.isascii() and b"\x1b" not in stored:
        return
    for encoding in _CHARACTER_SETS:
        with suppress(UnicodeDecodeError):
            yield from stored.decode(encoding).split("\\")
