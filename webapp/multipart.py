"""Names in uploads: UTF-8, as RFC 7578 (section 5.1) says, or in the characters of a client's old system; with
Windows' separators, too."""

import re

from werkzeug import formparser
from werkzeug.datastructures import Headers
from werkzeug.sansio.multipart import MultipartDecoder

# Clients escape quotes and backslashes; before any other character a backslash is one itself.
_BACKSLASH = re.compile(rb'\\["\\]|\\')


class LenientDecoder(MultipartDecoder):
    """Werkzeug's decoder, which takes a header that is not UTF-8 for the end of the request, without any file, and
    a path's backslashes for escapes: `C:\\scans\\a.png` for `C:scansa.png`."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        data = _BACKSLASH.sub(_kept, bytes(data))
        try:
            return super()._parse_headers(data)
        except UnicodeDecodeError:
            return super()._parse_headers(_western(data).encode())


def register() -> None:
    """Use it for every request; Werkzeug has no place of its own to say so."""
    formparser.MultipartDecoder = LenientDecoder  # type: ignore[attr-defined]


def _kept(found: re.Match[bytes]) -> bytes:
    return found[0] if len(found[0]) > 1 else found[0] * 2


def _western(data: bytes) -> str:
    """As Windows-1252, else as Latin-1, which has a character for every byte."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")
