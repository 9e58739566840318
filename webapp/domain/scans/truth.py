"""An expert's mask of a scan: decoded in the sandbox, compared in size with its slices, stored, taken away.

One mask a slice, or one file with a page for each. A slice without one is compared with nothing. Every pixel that is
not 0 is tumor; what is doubtful about a mask (`ml.datasets.mask_findings`) is said, and the mask is used.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from ml.datasets.file_names import natural_key
from ml.datasets.mask_findings import (
    MASK_FINDINGS,
    OF_FILES,
    ON_ANOTHER_GRID,
    REPEATED,
    find_doubtful,
    trace_mask,
)
from ml.sandbox.decoder import DecodedMask
from ml.scans import ScanError
from webapp.domain.database.orm import new_id
from webapp.domain.errors import Conflict, NotFound, OutcomeUnknown, UploadRejected
from webapp.domain.resources import Resources
from webapp.domain.scans.grouping import number_of
from webapp.domain.scans.mask_pairs import match_slices
from webapp.domain.scans.models import Scan
from webapp.domain.storage.arrays import read_array, write_array
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import own_truth_key, stack_key, truth_key
from webapp.domain.uploads.receiving import Received
from webapp.domain.uploads.sandbox_errors import sandbox_errors

# Slices, rows and columns.
Shape = tuple[int, int, int]

AT_ONCE = 4  # masks of one request that are decoded at the same time


# A viewer that stores masks; it replaces no other's.
Origin = NewType("Origin", str)
ANOTHERS = (
    "This scan has an expert's mask that this viewer did not store, and it is not replaced; take it away on the scan's"
    " page first, then submit again. A viewer is known by a Client/User-ID of its own in its settings, else by its"
    " machine's address."
)

CHANGED_SINCE = (
    "The expert's mask of this scan was changed elsewhere in the meantime, and yours was not stored. This page shows"
    " how it is now; send yours again if it is to take its place."
)

# Viewers write a label on the voxels of the volume in view, so this one was drawn on another.
OTHER_VOXELS = (
    "The label does not lie on the voxels of its image, and was drawn on another volume; choose the volume that was"
    " sent as the source volume in the viewer, and submit again."
)


@dataclass(frozen=True)
class Truth:
    """What a scan's row keeps of its expert's mask.

    id: of its array. filename: of the one file that has all masks; None where each slice has a file of its own, and
    then slice_names has them, None for a slice without a mask. findings: slices by the codes of `MASK_FINDINGS`.
    origin: which viewer stored it; None of what was uploaded. is_on_file: whether it is also kept on the voxels of the
    scan's file, of which the stack has fewer.
    """

    id: str
    filename: str | None
    slice_names: Sequence[str | None] | None
    findings: Mapping[str, Sequence[int]] = field(default_factory=dict)
    origin: str | None = None
    is_on_file: bool = False

    @classmethod
    def of(cls, scan: Scan) -> "Truth | None":
        """The scan's own; None where it has none."""
        return None if scan.truth is None else cls(**scan.truth)

    def has_slice(self, index: int) -> bool:
        """Whether a slice has an expert's mask, empty or not."""
        return self.slice_names is None or self.slice_names[index] is not None

    def shown_by_file(self, index: int) -> tuple[str, ...]:
        """What the file of a slice's mask showed, and its pixels alone do not."""
        return tuple(code for code, slices in self.findings.items() if code in OF_FILES and index in slices)

    def check_slice(self, index: int) -> None:
        """Raises NotFound where a slice has no expert's mask."""
        if not self.has_slice(index):
            raise NotFound("This slice has no expert's mask.")


@dataclass(frozen=True)
class _Mask:
    """A decoded file of masks. bits: uint8 (N, H, bytes of a row); own: the same on the voxels of the scan's file, None
    where the stack has them, or at least as many."""

    decoded: DecodedMask
    bits: NDArray[np.uint8]
    own: NDArray[np.uint8] | None = None

    def showing(self, codes: tuple[str, ...]) -> "_Mask":
        """Of one slice, with these codes in the place of its own."""
        return replace(self, decoded=replace(self.decoded, codes=(codes,)))


# The files that were refused, by their places, and why.
Refused = list[tuple[int, UploadRejected]]


def attach(
    resources: Resources,
    scan_id: str,
    uploads: Sequence[Received],
    slices: Sequence[int] | None = None,
    *,
    is_whole: bool = False,
    origin: Origin | None = None,
    seen: str | None = None,
    regions: Sequence[str] = (),
    codes: Sequence[tuple[str, ...]] | None = None,
) -> Refused:
    """Store masks as the scan's truth, in the place of what it had; what of them was refused.

    slices: of each mask; None where the files tell: one with a page for each slice, or several by their names, else by
    their order. Files that cannot be used are refused and the others stand, or with `is_whole` none; where none does,
    nothing changes. origin: the viewer that sends them, which replaces its own mask alone. seen: the id of the mask
    that a page showed, empty for none: it alone is replaced; None, and whatever is there. regions: of a DICOM object
    with several, the names of the tumor's. codes: of masks of one slice that the portal itself wrote, turned already as
    their slices are, what the files that they came in had shown. Raises NotFound, Conflict (another mask is there),
    UploadRejected (the files do not fit the scan as a whole), StorageFull, StorageUnavailable, DecoderUnavailable.
    """
    with resources.database.read() as session:
        scan = session.get(Scan, scan_id)
    if scan is None:
        raise NotFound("There is no such scan.")
    _check_old(Truth.of(scan), origin, seen)
    places = slices if slices is not None else _places(scan, uploads)
    read = _read_masks(resources, scan, uploads, places, regions)
    if codes is not None:
        read = [
            item if isinstance(item, UploadRejected) else item.showing(own)
            for item, own in zip(read, codes, strict=True)
        ]
    page_count = scan.slice_count if places is None else 1
    checked = [
        item if isinstance(item, UploadRejected) else _misfit(scan, item, page_count, origin) or item for item in read
    ]
    refused = [(place, item) for place, item in enumerate(checked) if isinstance(item, UploadRejected)]
    masks = {place: item for place, item in enumerate(checked) if isinstance(item, _Mask)}
    if masks and not (is_whole and refused):
        by_slice = {places[place] if places is not None else 0: (place, mask) for place, mask in masks.items()}
        _store(resources, scan, uploads, by_slice, origin, seen)
    return refused


def remove(resources: Resources, scan_id: str, seen: str | None = None) -> None:
    """Take a scan's expert's mask away. seen: as of `attach`. Raises NotFound, also where it has none, Conflict."""
    old = _exchange(resources, scan_id, None, seen)
    if old is None:
        raise NotFound("This scan has no expert's mask.")
    _delete(resources, scan_id, old)


def read_slice(resources: Resources, scan: Scan, truth: Truth, index: int) -> NDArray[np.bool]:
    """The expert's mask of one slice, bool (H, W). Raises NotFound where it has none, StorageUnavailable."""
    truth.check_slice(index)
    return unpacked(np.asarray(read_array(resources.storage, truth_key(scan.id, truth.id))[index]), scan.width)


def read_on_file(resources: Resources, scan: Scan, truth: Truth) -> list[NDArray[np.bool]] | None:
    """The expert's mask on the voxels of the scan's file, axial slices of bool (H, W); None where it is kept on the
    stack alone. Raises StorageUnavailable."""
    if not truth.is_on_file or scan.geometry is None:
        return None
    width = _own_shape(scan.geometry)[2]
    return [
        unpacked(np.asarray(bits), width) for bits in read_array(resources.storage, own_truth_key(scan.id, truth.id))
    ]


def _stack_shape(scan: Scan) -> Shape:
    return scan.slice_count, scan.height, scan.width


def _own_shape(geometry: Mapping[str, Any]) -> Shape:
    from ml.volumes.grid import VolumeGrid  # a web process that sees no volume does not pay for it

    slices, rows, columns = VolumeGrid.from_json(geometry).axial_shape
    return slices, rows, columns


def unpacked(bits: NDArray[np.uint8], width: int) -> NDArray[np.bool]:
    """Bits (H, bytes of a row) as bool (H, W)."""
    mask: NDArray[np.bool] = np.unpackbits(bits, axis=1, count=width).astype(np.bool)
    return mask


def _places(scan: Scan, uploads: Sequence[Received]) -> list[int] | None:
    """The slice of each file; None where one file has all of them. Raises UploadRejected where that is not clear."""
    names = [upload.filename for upload in uploads]
    by_name = match_slices(scan.slice_names, names) if scan.slice_names else None
    if by_name is not None:
        return by_name
    if len(uploads) == 1:
        return None
    if len(uploads) != scan.slice_count:
        slices = "1 slice" if scan.slice_count == 1 else f"{scan.slice_count:,} slices"
        raise UploadRejected(
            "unequal_size",
            f"These are {len(uploads):,} masks and the scan has {slices}; send one for each, one file with as many"
            " pages, or masks whose names are those of their slices (NAME_mask for NAME).",
        )
    order = sorted(range(len(names)), key=lambda place: natural_key(names[place]))
    if scan.slice_names and (contradiction := _contradiction(scan.slice_names, [names[place] for place in order])):
        raise UploadRejected("unequal_size", contradiction)
    return [order.index(place) for place in range(len(names))]


def _contradiction(slice_names: Sequence[str], mask_names: Sequence[str]) -> str | None:
    """Why masks in their order cannot be taken for those of the slices in theirs: names, or numbers, say otherwise."""
    for slice_name, mask_name in zip(slice_names, mask_names, strict=True):
        matched = match_slices(slice_names, [mask_name])
        if matched is not None and slice_names[matched[0]] != slice_name:
            return (
                f"{mask_name} is called as the mask of {slice_names[matched[0]]}, but not every mask has the name of a"
                " slice; call each NAME_mask for its slice NAME."
            )
    of_slices, of_masks = (_steps([number_of(name) for name in names]) for names in (slice_names, mask_names))
    if of_slices is None or of_masks is None or of_slices == of_masks:  # from 0 or from 1 is the same order
        return None
    return (
        "The numbers of the masks and those of the slices have their gaps in different places, so which belongs to"
        " which is not clear; call each NAME_mask for its slice NAME."
    )


def _steps(numbers: Sequence[int | None]) -> list[int] | None:
    """From each number to the next; None where one is missing."""
    known = [number for number in numbers if number is not None]
    return [after - before for before, after in pairwise(known)] if len(known) == len(numbers) else None


def _read_masks(
    resources: Resources,
    scan: Scan,
    uploads: Sequence[Received],
    places: Sequence[int] | None,
    regions: Sequence[str],
) -> list[_Mask | UploadRejected]:
    """Each file's masks, or why it was refused."""

    def read(place: int) -> _Mask | UploadRejected:
        index = places[place] if places is not None else 0
        orientation = scan.orientations[index] if scan.orientations else 1
        bits = resources.storage.temporary_file()
        try:
            with translated_errors():
                mask = _decode(resources, scan, uploads[place], bits, orientation, regions, _stack_shape(scan))
                return mask if places is not None else _with_own(resources, scan, uploads[place], bits, mask, regions)
        except UploadRejected as error:
            return error
        finally:
            bits.unlink(missing_ok=True)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="masks") as pool:
        return list(pool.map(read, range(len(uploads))))


def _decode(
    resources: Resources,
    scan: Scan,
    upload: Received,
    bits: Path,
    orientation: int,
    regions: Sequence[str],
    shape: Shape,
) -> _Mask:
    """shape: onto which axial slices of a volume a mask of one is brought."""
    volume = None if scan.geometry is None else (scan.geometry, shape)
    try:
        with sandbox_errors():
            decoded = resources.decoder.decode_mask(
                upload.path, bits, orientation=orientation, volume=volume, regions=regions
            )
    except ScanError as error:
        raise UploadRejected(error.code, error.message) from error
    return _Mask(decoded, np.load(bits, allow_pickle=False))


def _with_own(
    resources: Resources, scan: Scan, upload: Received, bits: Path, mask: _Mask, regions: Sequence[str]
) -> _Mask:
    """The mask, also on the voxels of the scan's file where the stack has fewer of them: experts draw on these."""
    if scan.geometry is None:
        return mask
    own_shape = _own_shape(scan.geometry)
    if all(own <= here for own, here in zip(own_shape, _stack_shape(scan), strict=True)):
        return mask
    own = _decode(resources, scan, upload, bits, 1, regions, own_shape)
    if (own.decoded.slice_count, own.decoded.height, own.decoded.width) != own_shape:  # pages for the stack's slices
        return mask
    return replace(mask, own=own.bits)


def _misfit(scan: Scan, mask: _Mask, page_count: int, origin: Origin | None) -> UploadRejected | None:
    """Why a file's masks are not those of the scan. page_count: how many it should have."""
    decoded = mask.decoded
    if (decoded.width, decoded.height) != (scan.width, scan.height):
        return UploadRejected(
            "unequal_size",
            f"The mask has {decoded.width} x {decoded.height} pixels and its scan {scan.width} x {scan.height}; export"
            " both on one grid.",
        )
    if decoded.slice_count != page_count:
        pages = "1 page" if decoded.slice_count == 1 else f"{decoded.slice_count:,} pages"
        needed = "1 is needed" if page_count == 1 else f"{page_count:,} are needed, one for each slice"
        return UploadRejected("unequal_size", f"The mask has {pages}; {needed}.")
    if origin is not None and any(ON_ANOTHER_GRID in codes for codes in decoded.codes):
        return UploadRejected("unequal_size", OTHER_VOXELS)
    return None


def _store(
    resources: Resources,
    scan: Scan,
    uploads: Sequence[Received],
    masks: Mapping[int, tuple[int, _Mask]],
    origin: Origin | None,
    seen: str | None,
) -> None:
    """Store the masks, by their slices, then name them in the scan's row."""
    bits = np.zeros((scan.slice_count, scan.height, (scan.width + 7) // 8), np.uint8)
    names: list[str | None] = [None] * scan.slice_count
    codes: list[tuple[str, ...]] = [()] * scan.slice_count
    digests: list[str | None] = [None] * scan.slice_count
    for index, (place, mask) in masks.items():
        slices = slice(index, index + mask.decoded.slice_count)
        bits[slices] = mask.bits
        names[slices] = [uploads[place].filename] * mask.decoded.slice_count
        codes[slices] = mask.decoded.codes
        digests[slices] = mask.decoded.digests
    is_one_file = len(masks) == 1 and None not in names
    own = next((mask.own for _place, mask in masks.values()), None)
    truth = Truth(
        id=new_id(),
        filename=names[0] if is_one_file else None,
        slice_names=None if is_one_file else names,
        findings=_findings(resources, scan, bits, names, codes, digests),
        origin=origin,
        is_on_file=own is not None,
    )
    try:
        write_array(resources.storage, truth_key(scan.id, truth.id), bits)
        if own is not None:
            write_array(resources.storage, own_truth_key(scan.id, truth.id), own)
        old = _exchange(resources, scan.id, truth, seen)
    except OutcomeUnknown:  # the row may name it: the sweeper knows
        raise
    except BaseException:
        _delete(resources, scan.id, truth.id)
        raise
    if old is not None:
        _delete(resources, scan.id, old)


def _delete(resources: Resources, scan_id: str, truth_id: str) -> None:
    for key in (truth_key, own_truth_key):
        resources.storage.delete(key(scan_id, truth_id))


def _exchange(resources: Resources, scan_id: str, truth: Truth | None, seen: str | None) -> str | None:
    """Write the row's truth; the id of what it had. Raises NotFound where the scan is gone, Conflict."""
    with resources.database.write() as session:
        scan = session.scalar(select(Scan).where(Scan.id == scan_id).with_for_update(key_share=True))
        if scan is None:
            raise NotFound("There is no such scan.")
        old = Truth.of(scan)
        _check_old(old, truth.origin if truth else None, seen)
        scan.truth = None if truth is None else asdict(truth)
        return old.id if old else None


def _check_old(old: Truth | None, origin: str | None, seen: str | None) -> None:
    """Raises Conflict where a viewer would replace a mask that it did not store, or a page one that it did not show."""
    if seen is not None and seen != (old.id if old else ""):
        raise Conflict(CHANGED_SINCE)
    if origin is not None and old is not None and old.origin != origin:
        raise Conflict(ANOTHERS)


def _findings(
    resources: Resources,
    scan: Scan,
    bits: NDArray[np.uint8],
    names: Sequence[str | None],
    codes: Sequence[Sequence[str]],
    digests: Sequence[str | None],
) -> dict[str, list[int]]:
    """The slices of each finding: what the files show, and what shows beside the slices and the other masks."""
    stack = read_array(resources.storage, stack_key(scan.id))  # (N, H, W, 3)
    traits = [
        None
        if name is None
        else trace_mask(
            np.asarray(stack[index]),
            unpacked(bits[index], scan.width),
            [code for code in codes[index] if code in MASK_FINDINGS],
            digests[index],
        )
        for index, name in enumerate(names)
    ]
    found: dict[str, list[int]] = {}
    for index, of_slice in enumerate(find_doubtful(traits)):
        for code in of_slice:
            if code != REPEATED or scan.geometry is None:  # neighbors in a volume may well share a mask
                found.setdefault(code, []).append(index)
    return found
