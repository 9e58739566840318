"""Pictures of a case: its map and truth from storage, its slice read again from the data set, in the sandbox."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy.orm import Session

from ml.datasets.volume_slices import VolumeSlice, file_of, is_volume_slice, number_of, sha256_of_image
from ml.masks import MaskRule, slice_masks, stored_rule
from ml.rendering import panels
from ml.rendering.error_overlay import Palette, error_overlay_image
from ml.scans import ScanError
from webapp.domain.errors import FolderRefused, NotFound, NotReady
from webapp.domain.evaluations import cases, lookup, sources
from webapp.domain.evaluations.maps import read_maps
from webapp.domain.evaluations.volumes import listed_volume
from webapp.domain.resources import Resources
from webapp.domain.storage.interface import translated_errors
from webapp.domain.uploads.sandbox_errors import sandbox_errors

# Kinds that need the expert's mask, and those that need the slice itself.
OF_TRUTH = ("truth", "errors")
OF_SLICE = ("scan", "overlay", "errors")
KINDS = ("scan", "truth", "mask", "overlay", "errors", "heatmap", "probability")

GONE = "The image is not there any more, or is another one than was evaluated; its map and mask are still kept."


@dataclass(frozen=True)
class Source:
    """Where one case's arrays are: read in a session, rendered outside of it."""

    position: int
    map_key: str
    image: Path | None
    image_sha256: str | None
    boundaries: tuple[Path, ...]
    size: tuple[int, int]
    rule: MaskRule
    dropped: list[list[int]]
    etag: str
    palette: Palette = Palette.STANDARD
    channel: int | None = None
    volume: VolumeSlice | None = None


def source(
    resources: Resources,
    session: Session,
    evaluation_id: str,
    position: int,
    kind: str,
    palette: Palette = Palette.STANDARD,
    channel: int | None = None,
) -> Source:
    """Find a picture's arrays.

    palette: of the errors. channel: of the slice, shown in gray, 0 to 2. Raises NotFound, NotReady (a case that failed
    has none).
    """
    evaluation = lookup.get(session, evaluation_id)
    row = cases.case(session, evaluation_id, position)
    if row.map_key is None or row.height is None or row.width is None:
        raise NotReady("This case has no result, so there are no pictures of it.")
    if kind in OF_TRUTH and not row.has_truth:
        raise NotFound("This case has no expert mask.")
    image = volume = None
    # Under errors the slice is gray: its channels as colors would hide theirs.
    if kind == "errors" and channel is None:
        channel = resources.catalog.flair_channel(evaluation.model)
    if kind in OF_SLICE and evaluation.data_folder is not None:
        with contextlib.suppress(FolderRefused):  # gone, or not allowed any more: the picture says so
            folder = sources.source_folder(resources, evaluation) / evaluation.data_folder
            image = folder / row.image
            volume = listed_volume(session, evaluation_id, position, folder) if is_volume_slice(image) else None
    return Source(
        position=position,
        map_key=row.map_key,
        image=image,
        image_sha256=row.image_sha256,
        boundaries=sources.boundaries(resources, evaluation),
        size=(row.height, row.width),
        rule=stored_rule(evaluation.threshold, row.min_tumor_pixels, row.doubt_rule),
        dropped=row.dropped or [],
        etag=f"{evaluation_id}.{position}.{row.map_key.rsplit('/', 1)[1]}.{kind}.{palette}.{channel}",
        palette=palette,
        channel=channel,
        volume=volume,
    )


def render(resources: Resources, wanted: Source, kind: str) -> bytes:
    """One picture as PNG, from the cache where it is there. Raises NotFound, StorageUnavailable, DecoderUnavailable."""
    return resources.images.get(wanted.etag, lambda: panels.encode_png(_draw(resources, wanted, kind)))


def _draw(resources: Resources, wanted: Source, kind: str) -> Image.Image:
    if kind == "scan":
        return panels.scan_image(_seen(resources, wanted))
    found = read_maps(resources, wanted.map_key, wanted.position)
    if found is None:
        raise NotFound("The map of this case is not there any more.")
    probability_u8, truth = found
    if kind == "heatmap":
        return panels.heatmap_image(probability_u8)
    if kind == "probability":
        return panels.probability_image(probability_u8)
    masks = slice_masks(probability_u8[None], wanted.rule, wanted.dropped)
    mask = masks.tumor[0]
    if kind == "mask":
        return panels.mask_image(mask)
    if kind == "overlay":
        return panels.overlay_image(_seen(resources, wanted), mask, masks.doubtful[0], masks.uncounted[0])
    if truth is None:
        raise NotFound("This case has no expert mask.")
    if kind == "truth":
        return panels.mask_image(truth)
    return error_overlay_image(_pixels(resources, wanted), truth, mask, palette=wanted.palette, channel=wanted.channel)


def _seen(resources: Resources, wanted: Source) -> np.ndarray:
    """The slice as it is asked for, uint8 (H, W, 3): in color, or one channel in gray."""
    pixels = _pixels(resources, wanted)
    return pixels if wanted.channel is None else np.repeat(pixels[..., wanted.channel, None], 3, axis=-1)


def _pixels(resources: Resources, wanted: Source) -> np.ndarray:
    """The slice, uint8 (H, W, 3), if it is still the one that was evaluated. Raises NotFound."""
    if wanted.image is None:
        raise NotFound(GONE)
    channels = None if wanted.volume is None else wanted.volume.channels
    series = () if wanted.volume is None else wanted.volume.series
    numbers = () if wanted.volume is None else wanted.volume.numbers
    files = series or (file_of(wanted.image), *(channels or ()))
    if not all(sources.is_inside(file, wanted.boundaries) and file.is_file() for file in files):
        raise NotFound(GONE)
    index = int(wanted.image.name) if is_volume_slice(wanted.image) else 0
    try:
        if sha256_of_image(wanted.image, wanted.volume) != wanted.image_sha256:
            raise NotFound(GONE)
        if series:
            pixels = _decode_series(resources, series, index)
        else:
            pixels = _decode(resources, files[0], index, number_of(numbers, 1))
        for plane, file in zip((0, 2), channels or (), strict=False):
            pixels[..., plane] = _decode(resources, file, index, number_of(numbers, plane))[..., 0]
    except (ScanError, FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, IndexError) as error:
        raise NotFound(GONE) from error
    if pixels.shape[:2] != wanted.size:
        raise NotFound(GONE)
    return pixels


def _decode(resources: Resources, file: Path, index: int, number: int | None = None) -> np.ndarray:
    """One slice of a file, or of one of its volumes, uint8 (H, W, 3). Raises ScanError, IndexError, and what sandbox
    and storage raise."""
    with _temporary(resources) as stack:
        resources.decoder.decode(file, stack, volume=number)
        return _slice_of(stack, index)


def _decode_series(resources: Resources, files: Sequence[Path], index: int) -> np.ndarray:
    """One slice of a DICOM series, as `_decode`."""
    with _temporary(resources) as stack, _temporary(resources) as original:
        resources.decoder.decode_series(files, stack, original)
        return _slice_of(stack, index)


@contextlib.contextmanager
def _temporary(resources: Resources) -> Iterator[Path]:
    """A file to decode into, gone after the block."""
    path = resources.storage.temporary_file()
    try:
        with translated_errors(), sandbox_errors():
            yield path
    finally:
        path.unlink(missing_ok=True)


def _slice_of(stack: Path, index: int) -> np.ndarray:
    pixels: np.ndarray = np.load(stack, mmap_mode="r", allow_pickle=False)[index].copy()
    return pixels
