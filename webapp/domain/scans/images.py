"""Pictures of a scan and its result, rendered from the stored arrays when asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.masks import MaskRule, Masks, slice_masks, stored_rule
from ml.ood.sequences import FLAIR_CHANNEL
from ml.rendering import panels
from ml.rendering.error_overlay import Palette, error_overlay_image
from ml.rendering.jpeg import encode_jpeg
from webapp.domain.errors import NoGeometry, NotFound
from webapp.domain.resources import Resources
from webapp.domain.scans import figures, lookup
from webapp.domain.scans.doubts import doubt_of, is_assessed, short_doubt
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.truth import Truth, read_slice, unpacked
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import stack_key, truth_key

if TYPE_CHECKING:
    from ml.volumes.grid import VolumeGrid

# In the order of the download.
OF_RESULT = ("panels", "mask", "overlay", "heatmap", "probability", "thumbnail")
KINDS = ("scan", *OF_RESULT)
# Of a scan with an expert's mask; the errors are those of a result.
ERRORS = "errors"
OF_TRUTH = ("truth", ERRORS)
# Whole volumes, on the voxels of their file.
VOLUMES = ("mask", "probability", "scan")
# Longer sides of the thumbnails of lists, in pixels: a row of the history shows 48 on a screen of twice the density.
THUMBNAIL_SIDES = (96, 192)


@dataclass(frozen=True)
class Source:
    """Where one picture's arrays are, and what identifies it: read in a session, rendered outside of it."""

    scan_id: str
    slice_index: int
    map_key: str | None
    rule: MaskRule
    dropped: list[list[int]]
    etag: str
    caption: str = ""
    truth_key: str | None = None
    width: int = 0
    channel: int | None = None
    palette: Palette = Palette.STANDARD


def source(
    session: Any,
    scan: Scan,
    *,
    kind: str,
    slice_index: int | None,
    segmentation_id: str | None,
    channel: int | None = None,
    palette: Palette = Palette.STANDARD,
) -> Source:
    """Find a picture's arrays.

    channel: of a scan, overlay or errors that are to be seen in gray, 0 to 2. palette: of the errors.
    Raises NotFound (no such slice, run or expert's mask), NotReady (no result yet).
    """
    expert = Truth.of(scan) if kind in OF_TRUTH else None
    if kind in OF_TRUTH and expert is None:
        raise NotFound("This scan has no expert's mask.")
    row: Segmentation | None = None
    if kind in (*OF_RESULT, ERRORS) and not (kind == "thumbnail" and segmentation_id is None and not _has_result(scan)):
        row = lookup.finished_run(session, scan, segmentation_id)
    index = slice_index if slice_index is not None else default_slice(scan, row)
    if not 0 <= index < scan.slice_count:
        raise NotFound(f"There is no such slice; this scan's slices are 0 to {scan.slice_count - 1}.")
    if expert is not None:
        expert.check_slice(index)
    run = f"{row.id}.{row.attempt}" if row is not None else "none"
    return Source(
        scan_id=scan.id,
        slice_index=index,
        map_key=row.map_key if row else None,
        rule=mask_rule(row) if row else MaskRule(1.0),
        dropped=dropped_regions(row, index) if row else [],
        etag=".".join(str(part) for part in (scan.id, run, index, kind, expert.id if expert else "", channel, palette)),
        channel=channel,
        palette=palette,
        caption=_caption(scan, row, index) if row else "",
        truth_key=truth_key(scan.id, expert.id) if expert else None,
        width=scan.width,
    )


def default_slice(scan: Scan, row: Segmentation | None) -> int:
    """The slice with most tumor, else with the region in doubt, else of the highest probability; without a result the
    middle one."""
    if row is None or not row.slices:
        return scan.slice_count // 2
    if not row.tumor_pixels and row.doubt:
        return int(row.doubt["slice"])
    best = max(row.slices, key=lambda item: (item["tumor_pixels"], item["max_probability"], -item["index"]))
    return int(best["index"])


def render(resources: Resources, wanted: Source, kind: str) -> bytes:
    """One picture as PNG, from the cache where it is there. Raises StorageUnavailable."""
    return resources.images.get(wanted.etag, lambda: _render(resources, wanted, kind))


def render_thumbnail(resources: Resources, wanted: Source, side: int) -> bytes:
    """The thumbnail as JPEG, from the cache where it is there. Raises StorageUnavailable.

    wanted: of the kind `thumbnail`. side: one of THUMBNAIL_SIDES.
    """

    def draw() -> bytes:
        pixels = _pixels(resources, wanted)
        masks = slice_masks(_map(resources, wanted, pixels)[None], wanted.rule, wanted.dropped)
        image = panels.thumbnail_image(pixels, masks.tumor[0], masks.doubtful[0], masks.uncounted[0], side)
        return encode_jpeg(image)

    return resources.images.get(f"{wanted.etag}.{side}.jpg", draw)


def _render(resources: Resources, wanted: Source, kind: str) -> bytes:
    if kind == "truth":
        return panels.encode_png(panels.mask_image(_truth(resources, wanted)))
    pixels = _pixels(resources, wanted)
    if wanted.channel is not None:
        pixels = np.repeat(pixels[..., wanted.channel, None], 3, axis=-1)
    if kind == "scan":
        return panels.encode_png(panels.scan_image(pixels))
    q = _map(resources, wanted, pixels)
    masks = slice_masks(q[None], wanted.rule, wanted.dropped)
    if kind == ERRORS:
        truth = _truth(resources, wanted)
        return panels.encode_png(error_overlay_image(pixels, truth, masks.tumor[0], palette=wanted.palette))
    return _draw(pixels, q, masks, wanted.caption, kind)


def _pixels(resources: Resources, wanted: Source) -> NDArray[np.uint8]:
    """The slice, (H, W, 3)."""
    return np.asarray(read_array(resources.storage, stack_key(wanted.scan_id))[wanted.slice_index])


def _map(resources: Resources, wanted: Source, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The slice's probability map, (H, W); zeros before there is one."""
    if wanted.map_key is None:
        return np.zeros(pixels.shape[:2], dtype=np.uint8)
    return np.asarray(read_array(resources.storage, wanted.map_key)[wanted.slice_index])


def _truth(resources: Resources, wanted: Source) -> NDArray[np.bool]:
    bits = read_array(resources.storage, wanted.truth_key or "")[wanted.slice_index]
    return unpacked(np.asarray(bits), wanted.width)


def _draw(pixels: NDArray[np.uint8], q: NDArray[np.uint8], masks: Masks, caption: str, kind: str) -> bytes:
    """pixels: (H, W, 3). q: the probability map, (H, W). masks: of this slice alone."""
    mask, doubtful, uncounted = masks.tumor[0], masks.doubtful[0], masks.uncounted[0]
    images = {
        "scan": lambda: panels.scan_image(pixels),
        "panels": lambda: panels.panels_image(pixels, q, mask, caption, doubtful, uncounted),
        "mask": lambda: panels.mask_image(mask),
        "overlay": lambda: panels.overlay_image(pixels, mask, doubtful, uncounted),
        "heatmap": lambda: panels.heatmap_image(q),
        "probability": lambda: panels.probability_image(q),
        "thumbnail": lambda: panels.thumbnail_image(pixels, mask, doubtful, uncounted),
    }
    return panels.encode_png(images[kind]())


def slice_pictures(resources: Resources, scan: Scan, row: Segmentation, index: int) -> Iterator[tuple[str, bytes]]:
    """The pictures of one slice of a succeeded run, without its thumbnail: kind and PNG. Raises StorageUnavailable.

    Of a slice that has an expert's mask that too, and where the two differ.
    """
    pixels = np.array(read_array(resources.storage, stack_key(scan.id))[index])  # (H, W, 3)
    q = np.array(read_array(resources.storage, row.map_key or "")[index])  # (H, W)
    masks = masks_of_slice(row, q, index)
    for kind in KINDS:
        if kind != "thumbnail":
            yield kind, _draw(pixels, q, masks, _caption(scan, row, index), kind)
    expert = Truth.of(scan)
    if expert is not None and expert.has_slice(index):
        truth = read_slice(resources, scan, expert, index)
        yield "truth", panels.encode_png(panels.mask_image(truth))
        channel = resources.catalog.flair_channel(row.model)
        yield ERRORS, panels.encode_png(error_overlay_image(pixels, truth, masks.tumor[0], channel=channel))


def check_geometry(scan: Scan) -> None:
    """Raises NoGeometry for a scan without voxels in a patient."""
    if scan.geometry is None:
        raise NoGeometry("The scan's file does not say where its pixels lie in the patient; download mask.tif instead.")


def write_volume(resources: Resources, scan: Scan, row: Segmentation, kind: str, target: Path) -> None:
    """Masks (0 or 1), maps (0 to 1) or slices (as the model saw them) on the voxels of the scan's file, as NIfTI.

    Raises NoGeometry, StorageUnavailable, StorageFull.
    """
    grid, voxels = _on_file(resources, scan, row, kind)
    from ml.volumes.nifti_file import write_nifti

    with translated_errors():
        note = "" if kind == "scan" else short_doubt(scan, row)
        write_nifti(target, voxels, grid, slope=1 / 255 if kind == "probability" else 1.0, note=note)


def write_mask_nrrd(resources: Resources, scan: Scan, row: Segmentation, target: Path, *, is_packed: bool) -> None:
    """Masks as `write_volume` has them, as NRRD. Raises as it does."""
    grid, voxels = _on_file(resources, scan, row, "mask")
    from ml.volumes.nrrd_file import write_nrrd

    with translated_errors():
        write_nrrd(target, voxels, grid, is_packed=is_packed)


def _on_file(resources: Resources, scan: Scan, row: Segmentation, kind: str) -> "tuple[VolumeGrid, NDArray[np.uint8]]":
    """The grid of the scan's file and what lies on its voxels, uint8 (i, j, k); of masks 0 and 1. Raises NoGeometry."""
    check_geometry(scan)
    from ml.volumes.axial import back_to_source, mask_on_source  # a web process without volumes does not pay for it
    from ml.volumes.grid import VolumeGrid

    grid = VolumeGrid.from_json(scan.geometry)
    slices = VolumeSlices(resources, scan, row, kind)
    put_back = mask_on_source if kind == "mask" else back_to_source
    return grid, put_back(grid, slices, (scan.slice_count, scan.height, scan.width))


class VolumeSlices(Sequence[NDArray[np.uint8]]):
    """The slices of a run that go back to the file's own voxels, uint8 (H, W); of masks 0 and 255."""

    def __init__(self, resources: Resources, scan: Scan, row: Segmentation, kind: str) -> None:
        self._row = row
        self._is_mask = kind == "mask"
        self._stack = read_array(resources.storage, stack_key(scan.id) if kind == "scan" else row.map_key or "")

    def __len__(self) -> int:
        return len(self._stack)

    def __getitem__(self, index: Any) -> Any:
        plane: NDArray[np.uint8] = np.array(self._stack[index])
        if self._is_mask:
            return masks_of_slice(self._row, plane, index).tumor[0] * np.uint8(255)
        return plane[..., FLAIR_CHANNEL] if plane.ndim == 3 else plane


def write_masks(resources: Resources, scan: Scan, row: Segmentation, target: Path) -> None:
    """The masks of all slices of a succeeded run as one TIFF. Raises StorageUnavailable, StorageFull."""
    from ml.rendering.mask_tiff import write_mask_tiff  # tifffile costs a web process 60 ms and is seldom needed

    maps = read_array(resources.storage, row.map_key or "")  # (N, H, W)
    masks = (masks_of_slice(row, np.array(maps[index]), index).tumor[0] for index in range(scan.slice_count))
    with translated_errors():
        write_mask_tiff(target, masks, (scan.slice_count, scan.height, scan.width), doubt_of(scan, row))


def mask_rule(row: Segmentation) -> MaskRule:
    """Of a succeeded run, on its scan's own grid."""
    return stored_rule(row.threshold, row.min_tumor_pixels, row.doubt_rule)


def masks_of_slice(row: Segmentation, probability_u8: NDArray[np.uint8], index: int) -> Masks:
    """Of a succeeded run. probability_u8: the slice's map, (H, W); the masks are (1, H, W)."""
    return slice_masks(probability_u8[None], mask_rule(row), dropped_regions(row, index))


def dropped_regions(row: Segmentation, index: int) -> list[list[int]]:
    """What the rule for stacks took out of a slice; of a run of an earlier version none is known."""
    return row.slices[index].get("dropped", []) if row.slices else []


def _has_result(scan: Scan) -> bool:
    return scan.displayed is not None and scan.displayed.map_key is not None


def _caption(scan: Scan, row: Segmentation, index: int) -> str:
    """What the panels show, in one line; no file name, since a picture travels further than its page."""
    measured = row.slices[index] if row.slices else {}
    pixels, doubtful = measured.get("tumor_pixels", 0), measured.get("doubtful_pixels", 0)
    kind = "tumor pixels" if is_assessed(row) else "pixels marked"
    # Without a verdict nothing is called free of tumor, whatever else is said of the slice.
    said = [] if is_assessed(row) else ["No verdict"]
    if pixels:
        said.append(f"{pixels} {kind} ({figures.percent(100 * pixels / (scan.width * scan.height))})")
    elif is_assessed(row):
        said.append("No tumor")
    if doubtful:
        said.append(f"{doubtful} pixels in doubt")
    finding = ", ".join(said)
    if uncounted := measured.get("uncounted_pixels"):
        finding += f", {uncounted} pixels not counted"
    place = f"Slice {index + 1} of {scan.slice_count}: " if scan.slice_count > 1 else ""
    return f"{place}{finding}, threshold {row.threshold}, {row.model} {row.model_version or ''}".rstrip()
