"""All of a scan's result as a zip that is made while it is sent: a slice of it is in memory at a time."""

import io
import json
import threading
import zipfile
from collections.abc import Generator, Iterator
from typing import Any

from webapp.domain.errors import TooManyDownloads
from webapp.domain.resources import Resources
from webapp.domain.scans import images
from webapp.domain.scans.models import Scan, Segmentation

# Each draws pictures as fast as its client reads them, which keeps a core busy.
MOST_AT_ONCE = 4

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


class Archive(Iterator[bytes]):
    """The bytes of a zip with every slice's pictures, mask and map, and the result as JSON.

    It holds one of a few places until its last piece is taken or it is closed. Raises TooManyDownloads where none is
    free; StorageUnavailable, at once where the arrays are missing.
    """

    def __init__(self, resources: Resources, scan: Scan, row: Segmentation, described: dict[str, Any]) -> None:
        self._pieces = _pieces(resources, scan, row, described)
        self._has_place = _places.acquire(blocking=False)
        if not self._has_place:
            raise TooManyDownloads("Too many zips are being downloaded right now; try again when one has ended.")
        try:
            # What is missing is found before the answer has begun.
            self._first: bytes | None = next(self._pieces)
        except BaseException:
            self.close()
            raise

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            return next(self._pieces)
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        self.close()  # a server that forgets to close an answer does not keep its place for ever

    def close(self) -> None:
        """Give the place back; the server calls it, whatever became of the client."""
        self._pieces.close()
        if self._has_place:
            self._has_place = False
            _places.release()


def _pieces(
    resources: Resources, scan: Scan, row: Segmentation, described: dict[str, Any]
) -> Generator[bytes, None, None]:
    outbox = _Outbox()
    # PNG is compressed already; storing keeps the archive quick to make.
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as file:
        file.writestr("result.json", json.dumps(described, indent=2))
        file.writestr("README.txt", "Research use only. Not for diagnosis.\n")
        for index in range(scan.slice_count):
            for kind, data in images.slice_pictures(resources, scan, row, index):
                file.writestr(f"{kind}/slice_{index:04d}.png", data)
            yield outbox.take()
    yield outbox.take()


class _Outbox(io.RawIOBase):
    """A file that is given away from its beginning while it is written.

    It can seek in what is still here: so zipfile writes a member's sizes before its bytes, where every reader looks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0
        self._kept = io.BytesIO()

    def take(self) -> bytes:
        """All that has been written since the last time."""
        data = self._kept.getvalue()
        self._taken += len(data)
        self._kept = io.BytesIO()
        return data

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._taken + self._kept.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._taken + self._kept.seek(offset - self._taken if whence == io.SEEK_SET else offset, whence)

    def write(self, data: Any) -> int:
        return self._kept.write(data)
