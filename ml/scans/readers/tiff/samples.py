"""The samples of a TIFF page as gray or RGB, by its photometric interpretation (TIFF 6.0, tag 262)."""

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffPage

from ml.scans.readers import colors

# With these codecs tifffile hands out RGB whatever the file stores.
_JPEG = (COMPRESSION.JPEG, COMPRESSION.OJPEG)
_SAMPLE_COUNTS: dict[int, tuple[int, ...]] = {
    PHOTOMETRIC.MINISWHITE: (1, 2),
    PHOTOMETRIC.MINISBLACK: (1, 2, 3, 4),
    PHOTOMETRIC.RGB: (3, 4),
    PHOTOMETRIC.PALETTE: (1,),
    PHOTOMETRIC.SEPARATED: (4,),
    PHOTOMETRIC.YCBCR: (3,),
}


def is_read(page: TiffPage) -> bool:
    """Whether `convert_samples` knows this kind of page; looks at the header alone."""
    if page.dtype is None or page.dtype.kind not in "buif" or not isinstance(page.bitspersample, int):
        return False
    if page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _JPEG:
        return False
    if page.photometric == PHOTOMETRIC.MINISWHITE and page.dtype.kind not in "bu":
        return False
    if page.photometric == PHOTOMETRIC.PALETTE and page.dtype.kind != "u":
        return False
    return page.samplesperpixel in _SAMPLE_COUNTS.get(page.photometric, ())


def convert_samples(page: TiffPage, notes: set[str]) -> NDArray[np.generic]:
    """Decode a page that `is_read` to (H, W) or (H, W, 3): uint8 up to 8 bits, else the file's own type.

    Adds the codes of lossy conversions to `notes`.
    """
    samples = _decode(page)
    if page.photometric == PHOTOMETRIC.PALETTE:
        return colors.apply_palette(samples[..., 0], page.colormap)
    if page.photometric == PHOTOMETRIC.SEPARATED:
        notes.add("cmyk_converted")
        return colors.convert_cmyk(samples)
    samples = _spread(samples, page)
    color_count = 1 if samples.shape[2] < 3 else 3
    page_colors = samples[..., :color_count]
    if samples.shape[2] > color_count:
        page_colors = _remove_alpha(page_colors, samples[..., color_count], page, notes)
    return page_colors[..., 0] if color_count == 1 else page_colors


def _decode(page: TiffPage) -> NDArray[np.generic]:
    """Samples (H, W, C) in their own type."""
    # (planes, 1, H, W, C): separate planes come first, interleaved samples last.
    samples = page.asarray(maxworkers=1).reshape(page.shaped)
    return np.moveaxis(samples[:, 0, :, :, 0], 0, -1) if samples.shape[0] > 1 else samples[0, 0]


def _spread(samples: NDArray[np.generic], page: TiffPage) -> NDArray[np.generic]:
    """Fewer than 8 bits over 0 to 255; white-is-zero turned round."""
    bits = page.bitspersample
    if bits < 8:
        samples = (samples.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)
        bits = 8
    if page.photometric != PHOTOMETRIC.MINISWHITE:
        return samples
    inverted: NDArray[np.generic] = np.subtract(samples.dtype.type(2**bits - 1), samples)
    return inverted


def _remove_alpha(
    page_colors: NDArray[np.generic], alpha: NDArray[np.generic], page: TiffPage, notes: set[str]
) -> NDArray[np.generic]:
    is_alpha = bool(page.extrasamples) and page.extrasamples[0] != EXTRASAMPLE.UNSPECIFIED
    if not (is_alpha and colors.are_8_or_16_bit(alpha) and colors.are_8_or_16_bit(page_colors)):
        return page_colors
    if not colors.has_straight_alpha(alpha):
        return page_colors
    notes.add("alpha_removed")
    if page.extrasamples[0] == EXTRASAMPLE.ASSOCALPHA:
        return page_colors
    return colors.blend_with_black(page_colors, alpha)
