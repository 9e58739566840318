"""Synthetic brains to try the portal with: drawn by seeded code, no patient in them, and labeled so.

256 x 256 slices with the channels of the LGG data: pre-contrast, FLAIR, post-contrast. They show what the portal does;
they are no anatomy, and no model is trained or tested on them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ml.synthetic.phantom_anatomy import SIZE, Lesion, draw_slice

_STACK_SLICES = 12
_LABEL = "SYNTHETIC PHANTOM"
# A head 15 cm wide; stated as ImageJ does (`ml.scans.readers.tiff.imagej`), so that the sample stack has a volume.
_PIXEL_MM = 0.9
_SLICE_MM = 5.0


@dataclass(frozen=True)
class Phantom:
    """A sample scan, as the portal offers it."""

    name: str
    title: str
    description: str


PHANTOMS: tuple[Phantom, ...] = (
    Phantom("lesion", "Synthetic: a clear lesion", "One drawn slice with a lesion that is bright on FLAIR."),
    Phantom("clear", "Synthetic: no lesion", "One drawn slice without a lesion."),
    Phantom("stack", "Synthetic: a stack", "Twelve drawn slices; a lesion runs through some of them."),
)
_SEEDS = {"lesion": 11, "clear": 12, "stack": 13}
_LESIONS = {"lesion": Lesion(0.27, -0.08, 0.18, 0.22), "stack": Lesion(-0.29, 0.14, 0.2, 0.22, 6.5, 3.4)}


def render(name: str) -> bytes:
    """The file of a phantom: PNG for one slice, TIFF of several pages for a stack. Raises KeyError for another name."""
    slices, _ = _draw(name)
    file = io.BytesIO()
    if len(slices) == 1:
        Image.fromarray(slices[0]).save(file, "png")
    else:
        import tifffile  # a quarter of a second, for who asks for the one sample that is a stack

        tifffile.imwrite(
            file,
            slices,
            photometric="rgb",
            compression="zlib",
            resolution=(1 / _PIXEL_MM, 1 / _PIXEL_MM),
            description=f"ImageJ=1.54f\nimages={len(slices)}\nslices={len(slices)}\nunit=mm\nspacing={_SLICE_MM}\n",
            metadata=None,
            software=_LABEL,
        )
    return file.getvalue()


def lesion_mask(name: str) -> NDArray[np.bool_]:
    """Where the lesion was drawn: bool (N, 256, 256). Raises KeyError for another name."""
    return _draw(name)[1]


@lru_cache(maxsize=len(PHANTOMS))
def _draw(name: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Slices uint8 (N, 256, 256, 3) and their lesions bool (N, 256, 256)."""
    levels = np.linspace(-0.5, 0.6, _STACK_SLICES) if name == "stack" else [0.05]
    drawn = [draw_slice(_SEEDS[name], index, float(level), _LESIONS.get(name)) for index, level in enumerate(levels)]
    slices = np.stack([_add_label(pixels) for pixels, _ in drawn])
    return slices, np.stack([mask for _, mask in drawn])


def _add_label(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The words in the lower margin, where no head is."""
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).text((4, SIZE - 13), _LABEL, fill=(120, 120, 120))
    return np.asarray(image)
