"""Names in uploads: UTF-8, as RFC 7578 (section 5.1) says, or in the characters of a client's old system."""

from werkzeug import formparser
from werkzeug.datastructures import Headers
from werkzeug.sansio.multipart import MultipartDecoder


class LenientDecoder(MultipartDecoder):
    """Werkzeug's decoder, which takes a header that is not UTF-8 for the end of the request: without any file."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        try:
            return super()._parse_headers(data)
        except UnicodeDecodeError:
            return super()._parse_headers(_western(bytes(data)).encode())


def register() -> None:
    """Use it for every request; Werkzeug has no place of its own to say so."""
    formparser.MultipartDecoder = LenientDecoder  # type: ignore[attr-defined]


def _western(data: bytes) -> str:
    """As Windows-1252, else as Latin-1, which has a character for every byte."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")
