"""Results as a zip that is made while it is sent: no more of it than a scan's masks, or a slice, exists at a time."""

import io
import json
import tempfile
import threading
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from webapp.domain.errors import NotReady, PortalError, StorageFull, StorageUnavailable, TooManyDownloads
from webapp.domain.resources import Resources
from webapp.domain.scans import doubts, images
from webapp.domain.scans.member_names import MemberNames, clean_member
from webapp.domain.scans.models import Scan, Segmentation

# Each draws pictures, or reads pages of rows, as fast as its client takes them, which keeps a core busy.
MOST_AT_ONCE = 4
PIECE_BYTES = 1_048_576
# What of a zip is not sent yet is on the disk beyond this.
MOST_IN_MEMORY = 8 * PIECE_BYTES
NOTE = (
    "Research use only. Not for diagnosis.\n"
    "In the names of these files slices count from 0: slice_0000 is slice 1 of the page.\n"
)

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


class Content(StrEnum):
    """What a zip of several scans has of each."""

    ALL = "all"
    """Its masks, every picture of every slice, and the result as JSON."""
    MASKS = "masks"
    """Its masks alone, as one TIFF with a page a slice."""


@dataclass(frozen=True)
class Result:
    """A scan with a succeeded run, and both as JSON. tables: makes the measurements' files, by their names."""

    scan: Scan
    run: Segmentation
    described: dict[str, Any]
    tables: Callable[[], dict[str, bytes]]


@dataclass(frozen=True)
class NoResult:
    """A scan that a zip leaves out. name: of the scan, or its id where it is gone; reason: in words."""

    name: str
    reason: str


class Download(Iterator[bytes]):
    """Bytes that are made while they are sent.

    It holds one of a few places until its last piece is taken or it is closed. Raises TooManyDownloads where none is
    free, and at once what the first piece raises: StorageUnavailable where the arrays are missing.
    """

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        self._pieces = pieces
        self._has_place = _places.acquire(blocking=False)
        if not self._has_place:
            raise TooManyDownloads("Too many downloads are being made right now; try again when one has ended.")
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


def scan_zip(resources: Resources, result: Result) -> Generator[bytes, None, None]:
    """The bytes of a zip with every slice's pictures, mask and map, and the result as JSON.

    Raises StorageUnavailable.
    """
    outbox = _Outbox()
    # PNG is compressed already; storing keeps the archive quick to make.
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as file:
        doubt = doubts.doubt_of(result.scan, result.run)
        file.writestr("README.txt", f"{NOTE}{doubt}\n" if doubt else NOTE)
        yield from _add_pictures(resources, file, outbox, result, "")
    yield from outbox.take()


def scans_zip(
    resources: Resources, scan_ids: Sequence[str], read: Callable[[str], Result | NoResult], content: Content
) -> Generator[bytes, None, None]:
    """The bytes of a zip of several scans, those of a study in its folder.

    `left_out.txt` names what is not in it, `in_doubt.txt` what has no verdict or is in doubt.

    read: gives a scan when its turn comes. Where nothing of any scan can be given, raises before the first byte:
    NotReady, or StorageUnavailable or StorageFull of one that has a result.
    """
    outbox, names, left_out, in_doubt = _Outbox(), MemberNames(), [], []
    folders: dict[str, str] = {}  # of studies, by their ids
    is_empty = True
    problem: PortalError | None = None
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as file:
        for scan_id in scan_ids:
            found = read(scan_id)
            if isinstance(found, NoResult):
                left_out.append(f"{found.name}: {found.reason}")
                continue
            study = found.described["study"]
            if study and study["id"] not in folders:
                folders[study["id"]] = names.take(clean_member(study["name"])) + "/"
            name = names.take((folders[study["id"]] if study else "") + clean_member(found.scan.stem))
            try:
                _add_masks(resources, file, found, name if content is Content.MASKS else f"{name}/")
            except (StorageUnavailable, StorageFull) as error:
                problem = error
                left_out.append(f"{found.scan.filename}: {error.message}")
                continue
            is_empty = False
            if doubt := doubts.doubt_of(found.scan, found.run):
                in_doubt.append(f"{name}: {doubt}")
            if content is Content.ALL:
                try:
                    yield from _add_pictures(resources, file, outbox, found, f"{name}/")
                except (StorageUnavailable, StorageFull) as error:
                    # By now a part of the zip is with the client.
                    left_out.append(f"{name}, a part of it: {error.message}")
            yield from outbox.take()
        if is_empty:
            raise problem or NotReady("None of these scans has a result yet; wait for their runs, or choose others.")
        file.writestr("README.txt", NOTE)
        if in_doubt:
            file.writestr("in_doubt.txt", "\n".join(["Read these before the masks:", *in_doubt, ""]))
        if left_out:
            file.writestr("left_out.txt", "\n".join(["Not in this zip:", *left_out, ""]))
    yield from outbox.take()


def _add_masks(resources: Resources, file: zipfile.ZipFile, result: Result, prefix: str) -> None:
    """`mask.tif` in a folder, or behind a name."""
    path = resources.storage.temporary_file()
    try:
        images.write_masks(resources, result.scan, result.run, path)
        file.write(path, f"{prefix}mask.tif" if prefix.endswith("/") else f"{prefix}-mask.tif")
    finally:
        path.unlink(missing_ok=True)


def _add_pictures(
    resources: Resources, file: zipfile.ZipFile, outbox: "_Outbox", result: Result, folder: str
) -> Iterator[bytes]:
    file.writestr(f"{folder}result.json", json.dumps(result.described, indent=2))
    for name, data in result.tables().items():
        file.writestr(f"{folder}{name}", data)
    for index in range(result.scan.slice_count):
        for kind, data in images.slice_pictures(resources, result.scan, result.run, index):
            file.writestr(f"{folder}{kind}/slice_{index:04d}.png", data)
        yield from outbox.take()


class _Outbox(io.RawIOBase):
    """A file that is given away from its beginning while it is written.

    It can seek in what is still here: so zipfile writes a member's sizes before its bytes, where every reader looks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0
        self._kept = tempfile.SpooledTemporaryFile(max_size=MOST_IN_MEMORY)  # noqa: SIM115 - closed with this file

    def close(self) -> None:
        self._kept.close()
        super().close()

    def take(self) -> Iterator[bytes]:
        """All that has been written since the last time, in pieces; nothing is written before the last one."""
        self._kept.seek(0)
        while piece := self._kept.read(PIECE_BYTES):
            self._taken += len(piece)
            yield piece
        self._kept.seek(0)
        self._kept.truncate()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._taken + self._kept.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._kept.seek(offset - self._taken if whence == io.SEEK_SET else offset, whence)
        return self.tell()

    def write(self, data: Any) -> int:
        return self._kept.write(data)
