"""What splitting a stack and making one have in common: scans that take the place of others, with their masks."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from PIL import Image

from webapp.domain.errors import NotFound, UploadRejected, WrongState
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup, truth
from webapp.domain.scans.models import Scan
from webapp.domain.scans.truth import Truth
from webapp.domain.storage.interface import translated_errors
from webapp.domain.uploads import receiving
from webapp.domain.uploads.receiving import Received

MEANWHILE = "It was split, put into a stack or deleted meanwhile, elsewhere; nothing was changed. Load the page again."
GONE = "The original files are missing; restore them, or delete the scan."


def take_place(resources: Resources, old: Sequence[str], new: Sequence[str]) -> None:
    """Delete the old scans, all at once; where somebody was quicker with one of them, the new ones go, and they stay.

    Raises WrongState then.
    """
    try:
        lookup.delete_all(resources, old)
    except NotFound as error:
        lookup.delete_left(resources, new)
        raise WrongState(MEANWHILE) from error


def hand_truth_on(resources: Resources, slices: Sequence[tuple[Scan, int]], scan_id: str) -> None:
    """Give a scan the experts' masks of what it is made of: of a scan's slice each, in order; those that have one.

    Raises UploadRejected, StorageFull, StorageUnavailable, DecoderUnavailable.
    """
    masks: dict[int, Received] = {}
    codes: list[tuple[str, ...]] = []
    with ExitStack() as stack:
        for place, (scan, index) in enumerate(slices):
            known = Truth.of(scan)
            if known is None or not known.has_slice(index):
                continue
            path = resources.storage.temporary_file()
            stack.callback(path.unlink, missing_ok=True)
            with translated_errors():
                Image.fromarray(truth.read_slice(resources, scan, known, index)).save(path, "png")
            masks[place] = receiving.adopt(path, _mask_name(scan, known, index))
            codes.append(known.shown_by_file(index))
        refused = truth.attach(resources, scan_id, list(masks.values()), list(masks), codes=codes) if masks else []
    if refused:
        raise UploadRejected("mask", refused[0][1].message)


def _mask_name(scan: Scan, known: Truth, index: int) -> str:
    """The file that the mask came in, where that was its own; else one after the slice's."""
    own = known.slice_names[index] if known.slice_names else known.filename if scan.slice_count == 1 else None
    return own or f"{Path((scan.slice_names or [scan.filename])[index]).stem}_mask.png"
