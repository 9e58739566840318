"""Pictures of a slice: scan, mask, overlay, heatmap, and all four side by side. Pillow and NumPy only, never torch.

Colors are the tokens of the pages (dark theme); red is tumor in every picture. A picture that leaves the portal
carries its words with it: the panels say what they show and that they are no diagnosis.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ml.masks import outline
from ml.rendering.colormap import INFERNO
from ml.rendering.png import encode_png

__all__ = [
    "DEFAULT_OPACITY",
    "NOTICE",
    "cutout_image",
    "encode_png",
    "heatmap_image",
    "mask_image",
    "overlay_image",
    "panels_image",
    "probability_image",
    "scan_image",
    "thumbnail_image",
]

TUMOR = (0xFF, 0x4D, 0x6A)
DOUBT = (0xFF, 0xC4, 0x57)
UNCOUNTED = (0x5C, 0xC8, 0xFF)
NOTICE = "Research use only. Not for diagnosis."
DEFAULT_OPACITY = 0.45

_BACKGROUND, _LINE, _TEXT, _MUTED = (0x0B, 0x0D, 0x10), (0x28, 0x30, 0x3A), (0xE8, 0xEC, 0xF1), (0x9A, 0xA6, 0xB2)
_RED = np.array([(0, 0, 0), TUMOR], dtype=np.uint8)
_TITLES = ("MRI scan", "Tumor mask", "Overlay", "Probability")
# A panel's longer side, in pixels: small scans are enlarged to be seen, large ones shrunk to fit a screen.
_MIN_PANEL, _MAX_PANEL = 256, 512
# Pixels of a dash, and of the gap after it.
_DASH = 3
_MARGIN, _TITLE_HEIGHT, _CAPTION_HEIGHT, _BAR_WIDTH, _BAR_ROOM = 12, 26, 28, 12, 52


def scan_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """One slice as it is. pixels: uint8 (H, W, 3)."""
    return Image.fromarray(np.ascontiguousarray(pixels))


def mask_image(mask: NDArray[np.bool]) -> Image.Image:
    """8-bit gray, 0 and 255. mask: bool (H, W)."""
    return Image.fromarray(mask.astype(np.uint8) * np.uint8(255))


def overlay_image(
    pixels: NDArray[np.uint8],
    mask: NDArray[np.bool],
    doubtful: NDArray[np.bool] | None = None,
    uncounted: NDArray[np.bool] | None = None,
    opacity: float = DEFAULT_OPACITY,
) -> Image.Image:
    """The scan with the mask in red and its outline in full red, so that the border stays visible at any opacity.

    pixels: uint8 (H, W, 3); mask: bool (H, W); doubtful, uncounted: bool (H, W), of `ml.masks.Masks`, which get dashes
    around them; opacity: 0 (outline only) to 1.
    """
    blended = pixels.copy()
    _draw_dashes(blended, uncounted, UNCOUNTED)
    _draw_dashes(blended, doubtful, DOUBT)
    if mask.any():
        inside = pixels[mask]  # (tumor pixels, 3)
        blended[mask] = np.rint(inside + opacity * (np.array(TUMOR) - inside)).astype(np.uint8)
        blended[outline(mask)] = TUMOR
    return Image.fromarray(blended)


def cutout_image(pixels: NDArray[np.uint8], mask: NDArray[np.bool]) -> Image.Image:
    """What the mask holds and nothing else: RGBA in the scan's grid, transparent outside the mask.

    pixels: uint8 (H, W, 3); mask: bool (H, W). Pixels outside are black as well, for programs that ignore alpha.
    """
    return Image.fromarray(np.dstack([pixels, np.full(mask.shape, 255, dtype=np.uint8)]) * mask[..., None])


def heatmap_image(probability_u8: NDArray[np.uint8]) -> Image.Image:
    """The probability map in inferno's colors, 0 black to 1 pale yellow. probability_u8: uint8 (H, W)."""
    return _colored(probability_u8, INFERNO)


def probability_image(probability_u8: NDArray[np.uint8]) -> Image.Image:
    """The probability map itself, 8-bit gray: round(255 p). probability_u8: uint8 (H, W)."""
    return Image.fromarray(np.ascontiguousarray(probability_u8))


def thumbnail_image(
    pixels: NDArray[np.uint8],
    mask: NDArray[np.bool],
    doubtful: NDArray[np.bool] | None = None,
    uncounted: NDArray[np.bool] | None = None,
    side: int = 192,
) -> Image.Image:
    """The scan with the mask's outline and dashes around what is in doubt or not counted, `side` pixels long.

    pixels: uint8 (H, W, 3); mask, doubtful, uncounted: bool (H, W).
    """
    height, width = mask.shape
    size = _fit(height, width, side, side)
    small = np.array(scan_image(pixels).resize(size, Image.Resampling.BOX))
    for region, color in ((uncounted, UNCOUNTED), (doubtful, DOUBT)):
        if region is not None and region.any():
            _draw_dashes(small, np.asarray(mask_image(region).resize(size, Image.Resampling.BOX)) > 0, color)
    if mask.any():
        # A quarter of a pixel's area is enough to be drawn: a small finding must not vanish from the history.
        small_mask = np.asarray(mask_image(mask).resize(size, Image.Resampling.BOX)) >= 64
        small[outline(small_mask)] = TUMOR
    return Image.fromarray(small)


def panels_image(
    pixels: NDArray[np.uint8],
    probability_u8: NDArray[np.uint8],
    mask: NDArray[np.bool],
    caption: str = "",
    doubtful: NDArray[np.bool] | None = None,
    uncounted: NDArray[np.bool] | None = None,
) -> Image.Image:
    """Scan, mask, overlay and heatmap with its color bar, side by side on a dark ground, and a caption below.

    pixels: uint8 (H, W, 3); probability_u8: uint8 (H, W); mask, doubtful, uncounted: bool (H, W). All panels
    have one size.
    """
    width, height = _fit(mask.shape[0], mask.shape[1], _MIN_PANEL, _MAX_PANEL)
    canvas = _empty_panels(width, height).copy()
    # Red is tumor in every picture that people look at; `mask_image`, for programs, is 0 and 255.
    red_mask = _colored(mask.view(np.uint8), _RED)
    overlay = overlay_image(pixels, mask, doubtful, uncounted)
    panels = (scan_image(pixels), red_mask, overlay, heatmap_image(probability_u8))
    for index, panel in enumerate(panels):
        # A mask has no values between its two, on the screen either.
        smooth = Image.Resampling.NEAREST if panel is red_mask else Image.Resampling.BILINEAR
        canvas.paste(
            panel if panel.size == (width, height) else panel.resize((width, height), smooth),
            (_panel_left(index, width), _TITLE_HEIGHT),
        )
    _draw_caption(canvas, caption, middle=_caption_middle(height))
    return canvas


def _draw_dashes(pixels: NDArray[np.uint8], region: NDArray[np.bool] | None, color: tuple[int, int, int]) -> None:
    """Draw, in place, a dashed line around a region, outside of it, so that what is inside stays to be seen.

    pixels: uint8 (H, W, 3); region: bool (H, W).
    """
    if region is None or not region.any():
        return
    height, width = region.shape
    padded = np.pad(region, 1)
    near = np.zeros_like(region)  # pixels of the region and their eight neighbors
    for down in range(3):
        for right in range(3):
            near |= padded[down : down + height, right : right + width]
    rows, columns = np.indices(region.shape)
    is_dash = (rows + columns) // _DASH % 2 == 0
    pixels[near & ~region & is_dash] = color


# Two sizes: a history mostly has scans of one. A frame of the largest panels takes 4 MB.
@lru_cache(maxsize=2)
def _empty_panels(width: int, height: int) -> Image.Image:
    """What all panels of one size share: ground, titles, frames, color bar, notice. Drawing it takes 4 ms."""
    canvas = Image.new(
        "RGB",
        (5 * _MARGIN + 4 * width + _BAR_ROOM, _TITLE_HEIGHT + height + _CAPTION_HEIGHT + _MARGIN // 2),
        _BACKGROUND,
    )
    draw = ImageDraw.Draw(canvas)
    for index, title in enumerate(_TITLES):
        left = _panel_left(index, width)
        draw.rectangle((left - 1, _TITLE_HEIGHT - 1, left + width, _TITLE_HEIGHT + height), outline=_LINE)
        draw.text((left, _TITLE_HEIGHT // 2), title, fill=_TEXT, font=_font(14), anchor="lm")
    _draw_color_bar(canvas, draw, left=5 * _MARGIN + 4 * width - 2, height=height)
    draw.text((canvas.width - _MARGIN, _caption_middle(height)), NOTICE, fill=_MUTED, font=_font(12), anchor="rm")
    return canvas


def _panel_left(index: int, width: int) -> int:
    return _MARGIN + index * (width + _MARGIN)


def _caption_middle(height: int) -> int:
    return _TITLE_HEIGHT + height + _CAPTION_HEIGHT // 2 + 2


def _colored(values: NDArray[np.uint8], table: NDArray[np.uint8]) -> Image.Image:
    """table[values] as RGB, by a palette. values: uint8 (H, W); table: uint8 (n, 3), n above every value."""
    image = Image.fromarray(np.ascontiguousarray(values))
    image.putpalette(table.tobytes())
    return image.convert("RGB")


def _fit(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """(width, height) with the same aspect and the longer side within `shortest`..`longest`; no side below 1."""
    scale = min(max(max(height, width), shortest), longest) / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _draw_color_bar(canvas: Image.Image, draw: ImageDraw.ImageDraw, left: int, height: int) -> None:
    """The heatmap's scale, 1 at the top, with ticks at quarters."""
    levels = np.linspace(255, 0, height).round().astype(np.uint8)
    bar = np.repeat(INFERNO[levels][:, None], _BAR_WIDTH, axis=1)  # (height, bar width, 3)
    canvas.paste(Image.fromarray(bar), (left, _TITLE_HEIGHT))
    draw.rectangle((left - 1, _TITLE_HEIGHT - 1, left + _BAR_WIDTH, _TITLE_HEIGHT + height), outline=_LINE)
    ticks = (0, 0.25, 0.5, 0.75, 1) if height >= 80 else (0, 1)
    for tick in ticks:
        y = _TITLE_HEIGHT + round((1 - tick) * (height - 1))
        draw.line((left + _BAR_WIDTH, y, left + _BAR_WIDTH + 4, y), fill=_MUTED)
        draw.text((left + _BAR_WIDTH + 7, y), f"{tick:g}", fill=_MUTED, font=_font(11), anchor="lm")


def _draw_caption(canvas: Image.Image, caption: str, middle: int) -> None:
    """The caption on the left, shortened where it would meet the notice on the right; the notice is never shortened."""
    draw = ImageDraw.Draw(canvas)
    room = canvas.width - 3 * _MARGIN - _notice_width()
    shown = caption[:400]
    while shown and draw.textlength(shown, font=_font(13)) > room:
        shown = shown[:-5].rstrip(" .") + "..." if len(shown) > 5 else ""
    draw.text((_MARGIN, middle), shown, fill=_TEXT, font=_font(13), anchor="lm")


@lru_cache(maxsize=1)
def _notice_width() -> float:
    return _font(12).getlength(NOTICE)


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: nothing to install, the same picture on every machine."""
    return ImageFont.load_default(size)
