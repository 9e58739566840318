"""Admission of files that are the slices of one scan: each is decoded on its own, then all are stacked."""

import hashlib
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.sandbox.decoder import Decoded
from ml.scans import ScanError
from webapp.domain.database.orm import new_id
from webapp.domain.errors import PortalError, UploadRejected
from webapp.domain.resources import Resources
from webapp.domain.scans import admission
from webapp.domain.scans.admission import Accepted
from webapp.domain.scans.grouping import missing_numbers
from webapp.domain.scans.models import Scan
from webapp.domain.storage.interface import translated_errors
from webapp.domain.uploads.receiving import Received, display_name

# Files of one group that are decoded at the same time; the decoder has its own limit for all requests.
AT_ONCE = 4
# Files that a warning names, before it counts the others.
MOST_NAMED = 8

# Warnings of one file that say something of a whole stack only where every slice has them: slices without any brain at
# both ends are often of one color.
OF_ALL_SLICES = ("constant", "gray_repeated")
SCALED_ALONE = "slices_scaled_alone"
SLICES_MISSING = "slices_missing"
SIZES_DIFFER = "sizes_differ"
SLICES_REFUSED = "slices_refused"


@dataclass(frozen=True)
class _Slice:
    """A decoded file of the group. place: in the group."""

    place: int
    upload: Received
    decoded: Decoded
    pixels: Path


@dataclass(frozen=True)
class AdmittedGroup:
    """What became of a group: its scans, and the files that were refused, by their places in the group.

    places: of the files of each scan, from the first slice to the last.
    """

    scans: tuple[Accepted, ...]
    places: tuple[tuple[int, ...], ...]
    refused: tuple[tuple[int, PortalError], ...]


def admit_group(
    resources: Resources,
    uploads: Sequence[Received],
    name: str,
    *,
    lost: Sequence[str] = (),
    volume: int | None = None,
    **options: Any,
) -> AdmittedGroup:
    """Decode the slices of a scan, in this order, store them as one stack, and queue it.

    A file that cannot be read is refused, and the others stand. Slices of another size, and files that have several
    slices themselves, become scans of their own. lost: the names of files of the group that were refused before.
    volume: of files that hold several.
    options: of `admission.store`. Raises UploadRejected (more slices than
    a scan may have), InvalidInput, StorageFull, StorageUnavailable, DecoderUnavailable.
    """
    most = resources.settings.max_slices
    if len(uploads) > most:
        raise UploadRejected("limit", f"These are {len(uploads):,} slices and the limit is {most:,}; send fewer.")
    refused: list[tuple[int, PortalError]] = []
    accepted: list[Accepted] = []
    places: list[tuple[int, ...]] = []
    with _decoded(resources, uploads, volume) as results:
        slices = [item for item in results if isinstance(item, _Slice)]
        refused += [(place, item) for place, item in enumerate(results) if isinstance(item, UploadRejected)]
        parts = _of_one_size(slices)
        lacking = [*lost, *(uploads[place].filename for place, _ in refused)]
        more = _More(
            [*([SIZES_DIFFER] if len(parts) > 1 else []), *([SLICES_REFUSED] if lacking else [])],
            {SLICES_REFUSED: f"Left out: {listed(lacking)}."} if lacking else None,
        )
        for part in parts:
            try:
                accepted.append(_admit_stack(resources, part, name, more, volume, **options))
                places.append(tuple(item.place for item in part))
            except PortalError as error:
                # The machine's fault ends the request, unless something of it is stored already.
                if not accepted and not isinstance(error, UploadRejected):
                    raise
                refused += [(item.place, error) for item in part]
    return AdmittedGroup(tuple(accepted), tuple(places), tuple(sorted(refused, key=lambda item: item[0])))


@dataclass(frozen=True)
class _More:
    """Warnings of a group that none of its files has, and the details of some."""

    codes: Sequence[str]
    details: dict[str, str] | None

    def put_into(self, row: Scan) -> None:
        """Behind those of the row."""
        row.warnings, row.warning_details = [*row.warnings, *self.codes], self.details


def listed(names: Sequence[str]) -> str:
    """The first names of files, without their folders, and how many more there are."""
    shown = [_called(name) for name in names[:MOST_NAMED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _called(name: str) -> str:
    try:
        return display_name(name)
    except UploadRejected:
        return "a file without a name"


@contextmanager
def _decoded(
    resources: Resources, uploads: Sequence[Received], volume: int | None
) -> Iterator[list[_Slice | UploadRejected]]:
    """Each file's pixels in a temporary file, or why it was refused; the files are gone after the block."""
    targets = [resources.storage.temporary_file() for _ in uploads]

    def decode(place: int) -> _Slice | UploadRejected:
        try:
            upload = uploads[place]
            decoded = admission.decode(resources, upload.path, targets[place], upload.filename, volume=volume)
            return _Slice(place, uploads[place], decoded, targets[place])
        except UploadRejected as error:
            return error

    try:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="slices") as pool:
            yield list(pool.map(decode, range(len(uploads))))
    finally:
        for target in targets:
            target.unlink(missing_ok=True)


def _of_one_size(slices: Sequence[_Slice]) -> list[list[_Slice]]:
    """The slices by their size in pixels, and each file that is a stack itself alone; in the order of their first."""
    parts: dict[tuple[int, ...], list[_Slice]] = defaultdict(list)
    for item in slices:
        is_stack = item.decoded.slice_count > 1 or item.decoded.grid is not None
        parts[(item.place,) if is_stack else (item.decoded.height, item.decoded.width)].append(item)
    return list(parts.values())


def _admit_stack(
    resources: Resources,
    slices: Sequence[_Slice],
    name: str,
    more: "_More",
    volume: int | None,
    **options: Any,
) -> Accepted:
    if len(slices) == 1:
        [alone] = slices
        row = admission.scan_row(alone.upload, alone.decoded, volume=volume)
        more.put_into(row)
        return admission.store(resources, row, alone.upload.path, alone.pixels, **options)
    height, width = slices[0].decoded.height, slices[0].decoded.width
    try:
        resources.decoder.limits.check_stack(len(slices), width, height)
    except ScanError as error:
        raise UploadRejected(error.code, error.message) from error
    stack, original = resources.storage.temporary_file(), resources.storage.temporary_file()
    try:
        with translated_errors():
            _write_stack(stack, [item.pixels for item in slices], (height, width))
            names = _write_originals(original, [item.upload for item in slices])
            row = _stack_row(slices, names, name, original)
        more.put_into(row)
        return admission.store(resources, row, original, stack, **options)
    finally:
        stack.unlink(missing_ok=True)
        original.unlink(missing_ok=True)


def _write_stack(target: Path, sources: Sequence[Path], shape: tuple[int, int]) -> None:
    """uint8 (N, H, W, 3) of the decoded slices, one of which is in memory at a time."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(sources), *shape, 3)}
    with target.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for source in sources:
            pixels = np.load(source, allow_pickle=False)  # (1, H, W, 3)
            file.write(pixels.tobytes())


def _write_originals(target: Path, uploads: Sequence[Received]) -> list[str]:
    """A zip of the files as they were sent, equal for equal files, and their names in it."""
    names: list[str] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for upload in uploads:
            name = upload.filename
            while name in names:  # equal names in two folders: the later one says its place
                name = f"{len(names) + 1:04d}_{name}"
            names.append(name)
            # ZipInfo's own date is the same for all, so that equal files make equal bytes.
            with upload.path.open("rb") as source, archive.open(zipfile.ZipInfo(names[-1]), "w") as member:
                shutil.copyfileobj(source, member)
    return names


def _stack_row(slices: Sequence[_Slice], names: Sequence[str], name: str, original: Path) -> Scan:
    first = slices[0].decoded
    formats = {item.decoded.format for item in slices}
    orientations = [item.decoded.orientation for item in slices]
    with original.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Scan(
        id=new_id(),
        filename=name,
        origin="upload",
        format=formats.pop() if len(formats) == 1 else "mixed",
        width=first.width,
        height=first.height,
        slice_count=len(slices),
        # Files of single slices do not say how far they lie apart, and without that there is no volume.
        spacing_mm=None,
        sha256=digest,
        bytes=original.stat().st_size,
        warnings=_stack_warnings(slices),
        slice_names=list(names),
        orientations=None if set(orientations) == {1} else orientations,
    )


def _stack_warnings(slices: Sequence[_Slice]) -> list[str]:
    of_slices = [set(item.decoded.warnings) for item in slices]
    said = list(dict.fromkeys(code for item in slices for code in item.decoded.warnings))
    kept = [code for code in said if code not in OF_ALL_SLICES or all(code in codes for codes in of_slices)]
    return [
        *(SCALED_ALONE if code == "intensity_scaled" else code for code in kept),
        *([SLICES_MISSING] if missing_numbers(item.upload.filename for item in slices) else []),
    ]
