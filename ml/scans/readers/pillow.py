"""PNG, JPEG and WebP, read with Pillow; PNG of 16 bits with imagecodecs, since Pillow cuts 16-bit color to 8 bits.

Images and masks are opened and turned by the same lines. These files hold one slice and no spacing: their resolution is
dots per inch of paper, not millimeters of a head.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.scans.cut_slices import CutSlice, codes_of_mask
from ml.scans.labels import LabelMap
from ml.scans.readers import colors
from ml.scans.readers.intensity import WindowFinder
from ml.scans.readers.labels import has_colors, labels_of_alpha, labels_of_palette, largest_channel, settle_lossy
from ml.scans.readers.orientation import TAG, known, orient
from ml.scans.readers.png_chunks import read_bit_depth
from ml.scans.readers.webp_chunks import is_lossless
from ml.scans.scan import Limits, Scan, ScanError

_NAMES = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp"}


def read(path: Path, limits: Limits) -> Scan:
    """Decode the (first) picture. Raises ScanError, and Pillow's and libpng's own errors on damaged data."""
    with _open(path, limits) as image:
        _check(image, limits)
        notes = ["first_frame_only"] if _has_frames(image) else []
        name = _NAMES[image.format or ""]
        page = _read_deep_png(path, notes) if _is_deep(path, name) else _read_page(image, notes)
        orientation = _read_orientation(image)
        cut = CutSlice.of(image.info)
    page = orient(page, orientation)
    if page.ndim == 2:
        page = np.repeat(page[..., None], 3, axis=2)  # (H, W) -> (H, W, 3)
    if page.min() == page.max():
        notes.append("constant")
    if cut.is_skull_stripped:
        notes.append("skull_stripped")
    return Scan(page[None], name, None, tuple(notes), orientation, sequence=cut.sequence)


def read_labels(path: Path, limits: Limits) -> LabelMap:
    """Decode a mask; raises as `read` does, and ScanError `unreadable` for several pictures or gray ones with loss."""
    with _open(path, limits) as image:
        _check(image, limits)
        if _has_frames(image):
            raise ScanError("unreadable", "The mask has several pictures; store one mask in each file.")
        name = _NAMES[image.format or ""]
        with_loss = name == "jpeg" or (name == "webp" and not is_lossless(path))
        values, of_colors = _read_deep_labels(path) if _is_deep(path, name) else _read_label_values(image, with_loss)
        orientation = _read_orientation(image)
        said = codes_of_mask(image.info)
    values = orient(values, orientation)
    if with_loss:
        values = settle_lossy(values)
        return LabelMap(values, is_lossy=bool(values.any()), orientation=orientation, has_colors=of_colors)
    return LabelMap(values, orientation=orientation, has_colors=of_colors, said=said)


def read_label_stack(path: Path, limits: Limits) -> Iterator[LabelMap]:
    """The one mask that these files hold; raises as `read_labels` does."""
    yield read_labels(path, limits)


def _open(path: Path, limits: Limits) -> Image.Image:
    """Open without decoding pixels; text chunks that inflate past Pillow's limit are refused here or on load."""
    with warnings.catch_warnings():
        # Between one and two times Pillow's limit it only warns; our own limit decides.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(path, formats=["PNG", "JPEG", "WEBP"])
        except Image.DecompressionBombError as error:
            raise ScanError(
                "limit",
                f"The header says more pixels than {limits.max_pixels_per_slice:,}, the limit; crop the image or make"
                " it smaller.",
            ) from error


def _check(image: Image.Image, limits: Limits) -> None:
    limits.check_slice(*image.size)
    limits.check_stack(1, *image.size)


def _has_frames(image: Image.Image) -> bool:
    """Whether it is an animation; the pictures of an MPO are one view with previews and depths."""
    return getattr(image, "n_frames", 1) > 1 and image.format != "MPO"


def _is_deep(path: Path, name: str) -> bool:
    return name == "png" and read_bit_depth(path) == 16


def _read_orientation(image: Image.Image) -> int:
    """Of images and masks alike, or one of the two would be turned alone."""
    return known(image.getexif().get(TAG))


def _read_page(image: Image.Image, notes: list[str]) -> NDArray[np.uint8]:
    """8-bit pixels (H, W) or (H, W, 3) of any Pillow mode."""
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.array(image.convert("L"))
    if image.mode == "CMYK":
        notes.append("cmyk_converted")
        # Pillow has already undone Adobe's inversion.
        return colors.convert_cmyk(np.array(image)).astype(np.uint8, copy=False)
    if image.has_transparency_data:
        samples = np.array(image.convert("RGBA"))
        if not colors.has_straight_alpha(samples[..., 3]):
            return np.ascontiguousarray(samples[..., :3])
        notes.append("alpha_removed")
        return colors.blend_with_black(samples[..., :3], samples[..., 3])
    return np.array(image.convert("RGB"))


def _read_deep_png(path: Path, notes: list[str]) -> NDArray[np.uint8]:
    """16-bit pixels, scaled by percentiles: (H, W) or (H, W, 3)."""
    samples = imagecodecs.png_decode(path.read_bytes())
    page = samples if samples.ndim == 2 else samples[..., : samples.shape[2] - (samples.shape[2] % 2 == 0)]
    if samples.ndim == 3 and samples.shape[2] in (2, 4) and colors.has_straight_alpha(samples[..., -1]):
        notes.append("alpha_removed")
        page = colors.blend_with_black(page, samples[..., -1])
    finder = WindowFinder(1)
    finder.add(page)
    notes.append("intensity_scaled")
    scaled = finder.window().apply(page)
    return scaled[..., 0] if scaled.ndim == 3 and scaled.shape[2] == 1 else scaled


def _read_label_values(image: Image.Image, is_lossy: bool) -> tuple[NDArray[np.generic], bool]:
    """Labels (H, W) of any Pillow mode, and whether they are of several colors."""
    if image.mode == "P":
        transparency = image.info.get("transparency")
        given = transparency if isinstance(transparency, bytes | int) else None
        return labels_of_palette(np.array(image), given), False
    if image.mode == "CMYK":
        return _of_colors(colors.convert_cmyk(np.array(image)))
    if image.has_transparency_data:
        samples = np.array(image.convert("RGBA"))
        return _of_alpha(samples)
    is_gray = image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16")
    return (np.array(image), False) if is_gray else _of_colors(np.array(image.convert("RGB")), is_lossy)


def _of_colors(samples: NDArray[np.generic], is_lossy: bool = False) -> tuple[NDArray[np.generic], bool]:
    return largest_channel(samples), has_colors(samples, is_lossy=is_lossy)


def _of_alpha(samples: NDArray[colors.Integer]) -> tuple[NDArray[np.generic], bool]:
    """samples: (H, W, C) with alpha as the last channel."""
    visible = samples[..., :-1] * (samples[..., -1:] > 0)
    return labels_of_alpha(samples[..., :-1], samples[..., -1]), has_colors(visible)


def _read_deep_labels(path: Path) -> tuple[NDArray[np.generic], bool]:
    """Labels (H, W) of 16 bits, of which Pillow would lose the lower byte of colors, and whether they are of several
    colors."""
    samples = imagecodecs.png_decode(path.read_bytes())
    if samples.ndim == 3 and samples.shape[2] in (2, 4):
        return _of_alpha(samples)
    return _of_colors(samples)
