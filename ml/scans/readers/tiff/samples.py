"""The samples of a TIFF page as gray or RGB, or as labels, by its photometric interpretation (TIFF 6.0, tag 262)."""

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffPage

from ml.scans.readers import colors
from ml.scans.readers.labels import check_dropped, has_colors, labels_of_alpha, largest_channel

# With these codecs tifffile hands out RGB whatever the file stores.
_JPEG = (COMPRESSION.JPEG, COMPRESSION.OJPEG)
_PERHAPS_LOSSY = (
    COMPRESSION.JPEG_LOSSY,
    COMPRESSION.JPEG2000,
    COMPRESSION.JPEG_2000_LOSSY,
    COMPRESSION.JPEGXL,
    COMPRESSION.JPEGXL_DNG,
    COMPRESSION.JPEGXR,
    COMPRESSION.WEBP,
)
_SAMPLE_COUNTS: dict[int, tuple[int, ...]] = {
    PHOTOMETRIC.MINISWHITE: (1, 2),
    PHOTOMETRIC.MINISBLACK: (1, 2, 3, 4),
    PHOTOMETRIC.RGB: (3, 4),
    PHOTOMETRIC.PALETTE: (1,),
    PHOTOMETRIC.SEPARATED: (4,),
    PHOTOMETRIC.YCBCR: (3,),
}

# Of a mask with several colors, a note of `convert_labels`.
COLORS = "colors"


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


def is_white_zero(first: TiffPage) -> bool:
    """Whether 0 means white in all pages of the file whose first page this is.

    tifffile calls boolean arrays white-is-zero and stores their values as they are.
    """
    is_by_tifffile = first.software.startswith("tifffile") or first.description.startswith('{"shape":')
    return first.photometric == PHOTOMETRIC.MINISWHITE and not (first.bitspersample == 1 and is_by_tifffile)


def is_lossy(page: TiffPage, values: NDArray[np.generic]) -> bool:
    """Whether values (H, W) have a codec's loss: JPEG's always; others have two modes and do not say which."""
    return page.compression in _JPEG or (page.compression in _PERHAPS_LOSSY and np.unique(values).size > 2)


def convert_samples(page: TiffPage, notes: set[str], *, white_zero: bool) -> NDArray[np.generic]:
    """Decode a page that `is_read` to (H, W) or (H, W, 3): uint8 up to 8 bits, else the file's own type.

    Adds the codes of lossy conversions to `notes`. white_zero: of `is_white_zero`.
    """
    samples = _decode(page)
    if page.photometric == PHOTOMETRIC.PALETTE:
        return colors.apply_palette(samples[..., 0], page.colormap)
    if page.photometric == PHOTOMETRIC.SEPARATED:
        notes.add("cmyk_converted")
        return colors.convert_cmyk(samples)
    page_colors, rest = _split(_turn_white(_spread(samples, page), 2 ** max(page.bitspersample, 8), white_zero))
    if rest is not None:
        page_colors = _remove_rest(page_colors, rest, page, notes)
    return page_colors[..., 0] if page_colors.shape[2] == 1 else page_colors


def convert_labels(page: TiffPage, notes: set[str], *, white_zero: bool) -> NDArray[np.generic]:
    """Decode a page of a mask that `is_read` to its labels (H, W), of the file's own type, as they are stored.

    Adds the code of a channel that is dropped to `notes`, and `COLORS`. Raises as `check_dropped`.
    """
    samples = _decode(page)
    if page.photometric == PHOTOMETRIC.PALETTE:
        return samples[..., 0]
    if page.photometric == PHOTOMETRIC.SEPARATED:
        return largest_channel(colors.convert_cmyk(samples))
    page_colors, rest = _split(_turn_white(samples, 2**page.bitspersample, white_zero))
    if has_colors(page_colors, is_lossy=page.compression in _JPEG):
        notes.add(COLORS)
    if rest is None:
        return largest_channel(page_colors)
    is_alpha = _extra_of(page) != EXTRASAMPLE.UNSPECIFIED
    if is_alpha and colors.are_8_or_16_bit(rest) and colors.are_8_or_16_bit(page_colors):
        return labels_of_alpha(page_colors, rest)
    notes.add(_dropped_after(page_colors))
    check_dropped(page_colors, rest)
    return largest_channel(page_colors)


def _decode(page: TiffPage) -> NDArray[np.generic]:
    """Samples (H, W, C) in their own type."""
    # (planes, 1, H, W, C): separate planes come first, interleaved samples last.
    samples = page.asarray(maxworkers=1).reshape(page.shaped)
    return np.moveaxis(samples[:, 0, :, :, 0], 0, -1) if samples.shape[0] > 1 else samples[0, 0]


def _spread(samples: NDArray[np.generic], page: TiffPage) -> NDArray[np.generic]:
    """Fewer than 8 bits over 0 to 255."""
    if page.bitspersample >= 8:
        return samples
    spread: NDArray[np.uint8] = (samples.astype(np.uint16) * 255 // (2**page.bitspersample - 1)).astype(np.uint8)
    return spread


def _turn_white(samples: NDArray[np.generic], levels: int, white_zero: bool) -> NDArray[np.generic]:
    """Values of so many levels, turned round where 0 means white."""
    if not white_zero:
        return samples
    turned: NDArray[np.generic]
    if samples.dtype == np.bool:
        turned = samples.astype(np.uint8) == 0
    else:
        turned = np.subtract(samples.dtype.type(levels - 1), samples)
    return turned


def _split(samples: NDArray[np.generic]) -> tuple[NDArray[np.generic], NDArray[np.generic] | None]:
    """The colors, (H, W, 1) or (H, W, 3), and the sample after them, (H, W), if there is one."""
    count = 1 if samples.shape[2] < 3 else 3
    return samples[..., :count], samples[..., count] if samples.shape[2] > count else None


def _extra_of(page: TiffPage) -> int:
    return page.extrasamples[0] if page.extrasamples else EXTRASAMPLE.UNSPECIFIED


def _dropped_after(page_colors: NDArray[np.generic]) -> str:
    return "second_channel_dropped" if page_colors.shape[2] == 1 else "fourth_channel_dropped"


def _remove_rest(
    page_colors: NDArray[np.generic], rest: NDArray[np.generic], page: TiffPage, notes: set[str]
) -> NDArray[np.generic]:
    """Blend alpha with black; drop what is no alpha, with a note."""
    extra = _extra_of(page)
    is_alpha = extra != EXTRASAMPLE.UNSPECIFIED
    if not (is_alpha and colors.are_8_or_16_bit(rest) and colors.are_8_or_16_bit(page_colors)):
        notes.add(_dropped_after(page_colors))
        return page_colors
    if not colors.has_straight_alpha(rest):
        return page_colors
    notes.add("alpha_removed")
    return page_colors if extra == EXTRASAMPLE.ASSOCALPHA else colors.blend_with_black(page_colors, rest)
