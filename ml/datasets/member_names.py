"""What the members of a zip are called, where the zip does not say in which letters.

PKWARE's APPNOTE 6.3.10, D: a name is UTF-8 by its flag, else of code page 437; Windows' Explorer writes the machine's
own code page all the same. Which one is told by the bytes of all names together, and where these do not tell, the names
stay those of code page 437.
"""

import contextlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence

# PKWARE's APPNOTE 4.4.4: bit 11 of a member's flags; 4.6.9: Info-ZIP's Unicode Path Extra Field.
_UTF_8 = 0x800
_UNICODE_PATH = 0x7075
_AS_WRITTEN = "cp437"
# Chinese (GB 2312): hanzi, and letters and signs of full width. Korean has its syllables up to 0xc8.
_CHINESE = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xa3\xb0-\xf7][\xa1-\xfe])*")
_NOT_KOREAN = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xc8][\xa1-\xfe])*[\xc9-\xf7]")
# Russian (866): words of small letters, with a capital before or not, or of capitals, and three small ones somewhere.
_RUSSIAN = re.compile(rb"[^\x80-\xff]*(?:(?:[\x80-\x9f]?[\xa0-\xaf\xe0-\xf1]+|[\x80-\x9f]+|\xfc)(?:[^\x80-\xff]+|$))*")
_RUSSIAN_WORD = re.compile(rb"[^\xff]*?[\xa0-\xaf\xe0-\xf1]{3}", re.DOTALL)
# Japanese (932): kanji and kana, which no other page has there.
_JAPANESE = re.compile(rb"(?:[\x00-\x7f]|[\x81-\x9f\xe0-\xea][\x40-\x7e\x80-\xfc])*")
_KANA = re.compile(rb"(?:[\x00-\x7f]|[\x84-\x9f\xe0-\xea].)*(?:\x82[\x9f-\xf1]|\x83[\x40-\x96])", re.DOTALL)
_PAGES = (("gbk", _CHINESE, _NOT_KOREAN), ("cp866", _RUSSIAN, _RUSSIAN_WORD), ("cp932", _JAPANESE, _KANA))


def names_of(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The members' names, in their order."""
    said = [_said_name(member) for member in members]
    unsaid = [member.filename.encode(_AS_WRITTEN) for member, name in zip(members, said, strict=True) if name is None]
    page = _page_of(unsaid)
    return [_decoded(member, page) if name is None else name for member, name in zip(members, said, strict=True)]


def _said_name(member: zipfile.ZipInfo) -> str | None:
    """A name whose letters are certain: by its flag, by the field beside it, or as its bytes are UTF-8, as where macOS'
    Finder packed it, which those of words in another code page are not."""
    if member.flag_bits & _UTF_8:
        return member.filename
    raw = member.filename.encode(_AS_WRITTEN)
    with contextlib.suppress(UnicodeError):
        return _unicode_path(member.extra, raw) or raw.decode("utf-8")
    return None


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """Of Info-ZIP's field, where it is this name's by its checksum; else empty. Raises UnicodeError."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) > 5 and struct.unpack_from("<BL", field) == (1, zlib.crc32(raw)):
            return field[5:].decode("utf-8")
    return ""


def _page_of(names: Iterable[bytes]) -> str:
    """The one code page that all names may be of, and one is hardly of another."""
    names = list(names)
    found = [page for page, form, sign in _PAGES if all(map(form.fullmatch, names)) and any(map(sign.match, names))]
    return found[0] if len(found) == 1 else _AS_WRITTEN


def _decoded(member: zipfile.ZipInfo, page: str) -> str:
    with contextlib.suppress(UnicodeError):
        return member.filename.encode(_AS_WRITTEN).decode(page)
    return member.filename
