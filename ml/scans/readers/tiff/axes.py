"""Which pages of a TIFF are the channels of one slice, as ImageJ, OME and tifffile write it into the description.

Two to four channels are channels; of more, every page is a slice, since stacks are found with their slices called so.
OME: https://docs.openmicroscopy.org/ome-model/6.3.1/ome-tiff/specification.html (DimensionOrder names the fastest axis
first). tifffile: a line of JSON with `shape` and `axes`, the slowest axis first.
"""

import json
import re
from math import prod

import numpy as np
from numpy.typing import NDArray

from ml.scans.readers.tiff.imagej import parse_description

MOST_CHANNELS = 4
# Of a page's channels so many are used: gray, or the three that the model reads. Of four the last is dropped.
_USED = {2: 1, 3: 3, 4: 3}
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b([^>]*)>")
_ATTRIBUTE = re.compile(r"""\b(DimensionOrder|Size[ZCT])\s*=\s*["']([A-Z]{5}|\d{1,9})["']""")

# The axes of the pages, the slowest first: name and length.
_Axes = list[tuple[str, int]]


def arrange_pages(description: str, page_count: int, samples: int, notes: set[str]) -> NDArray[np.intp]:
    """Places of the pages that are used, (slices, channels) with 1 or 3 channels. samples: of a page.

    Adds the codes of channels that are dropped to `notes`.
    """
    single = np.arange(page_count)[:, None]  # (pages, 1)
    axes = _read_axes(description, page_count)
    channels = dict(axes).get("C", 1)
    sizes = [size for _, size in axes]
    if samples > 1 or not 1 < channels <= MOST_CHANNELS or prod(sizes) != page_count:
        return single
    places = np.arange(page_count).reshape(sizes)
    places = np.moveaxis(places, [name for name, _ in axes].index("C"), -1).reshape(-1, channels)  # (slices, channels)
    if channels == 2:
        notes.add("second_channel_dropped")
    if channels == 4:
        notes.add("fourth_channel_dropped")
    return places[:, : _USED[channels]]


def count_stated(description: str, page_values: int) -> int:
    """How many pages ImageJ or tifffile say that they stored; 0 where neither does. page_values: samples of a page."""
    if (imagej := parse_description(description)) is not None:
        return imagej.images
    if not description.startswith("{"):
        return 0
    try:
        return prod(map(int, json.loads(description)["shape"])) // page_values
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0


def _read_axes(description: str, page_count: int) -> _Axes:
    """The axes that the description states, [] where it states none."""
    if (imagej := parse_description(description)) is not None:
        return [("I", page_count // max(imagej.channels, 1)), ("C", imagej.channels)]
    if description.startswith("{"):
        return _read_shape(description)
    return _read_ome(description)


def _read_shape(description: str) -> _Axes:
    try:
        stated = json.loads(description)
        shape, axes = stated["shape"], stated["axes"]
        sizes = dict(zip(axes, map(int, shape), strict=True))
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    # What stands in a page itself: rows, columns and samples.
    return [(name, size) for name, size in sizes.items() if name not in ("Y", "X", "S")]


def _read_ome(description: str) -> _Axes:
    found = _PIXELS.search(description)
    fields = dict(_ATTRIBUTE.findall(found[1])) if found else {}
    order = fields.get("DimensionOrder", "")[:1:-1]  # XYCZT, the fastest first, to TZC
    if sorted(order) != ["C", "T", "Z"] or not all(fields.get(f"Size{name}", "").isdecimal() for name in order):
        return []
    return [(name, int(fields[f"Size{name}"])) for name in order]
