"""TIFF and BigTIFF, read with tifffile and imagecodecs: one page is one slice.

Pages are decoded one at a time, and twice where intensities must be scaled, so that memory is the 8-bit stack and one
page. 8 bits are taken as they are; fewer are spread over 0 to 255; more, signed and floating point are scaled by
percentiles (`ml.scans.readers.intensity`). Hyperstacks of ImageJ with three channels become color slices.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPage

from ml.scans.readers.intensity import Window, WindowFinder
from ml.scans.readers.orientation import orient, swaps_sides
from ml.scans.readers.tiff.directories import count_pages
from ml.scans.readers.tiff.imagej import ImageJInfo, find_geometry, parse_description
from ml.scans.readers.tiff.samples import convert_samples, is_read
from ml.scans.scan import Geometry, Limits, Scan, ScanError

_ORIENTATION = 274
_X_RESOLUTION = 282
_Y_RESOLUTION = 283


def read(path: Path, limits: Limits) -> Scan:
    """Decode all pages. Raises ScanError, and tifffile's and the codecs' own errors on damaged data."""
    page_count = count_pages(path, limits)
    with TiffFile(path) as file:
        pages = _read_headers(file, page_count, limits)
        first = pages[0]
        info = parse_description(first.description)
        group = 3 if _is_color_hyperstack(info, first, page_count) else 1
        slice_count = page_count // group
        limits.check_stack(slice_count, first.imagewidth, first.imagelength)
        notes: set[str] = set()
        window = _find_window(pages, notes)
        orientation = _read_orientation(first)
        height, width = first.imagelength, first.imagewidth
        if swaps_sides(orientation):
            height, width = width, height
        stack = np.empty((slice_count, height, width, 3), np.uint8)
        for index, page in enumerate(_iterate_pages(pages, window, notes)):
            page = orient(page, orientation)
            if group == 3:
                stack[index // 3, ..., index % 3] = page
            else:
                stack[index] = page[..., None] if page.ndim == 2 else page  # (H, W, 1) spreads over the channels
        geometry = _read_geometry(first, info, slice_count, orientation)
    if stack.min() == stack.max():
        notes.add("constant")
    return Scan(stack, "tiff", geometry, tuple(sorted(notes)))


def _read_headers(file: TiffFile, page_count: int, limits: Limits) -> list[TiffPage]:
    """All pages without their pixels. Raises ScanError where a header is absurd or pages differ."""
    pages: list[TiffPage] = []
    for index in range(page_count):
        page = file.pages[index]
        if not isinstance(page, TiffPage):
            raise ScanError("unreadable", "The TIFF file is damaged: a page has no header; export it again.")
        _check_page(page, file.filehandle.size, limits)
        if _kind(page) != _kind(pages[0] if pages else page):
            raise ScanError(
                "unreadable",
                "The pages differ in size or kind; a stack needs pages of one size: store the others separately.",
            )
        pages.append(page)
    return pages


def _kind(page: TiffPage) -> tuple[object, ...]:
    return (page.imagewidth, page.imagelength, page.samplesperpixel, page.dtype, page.photometric, page.bitspersample)


def _check_page(page: TiffPage, file_bytes: int, limits: Limits) -> None:
    """Check a header before its pixels are decoded. Raises ScanError `unreadable`, `limit` or `too_small`."""
    limits.check_slice(page.imagewidth, page.imagelength)
    if page.is_tiled:
        limits.check_slice(max(page.tilewidth, limits.min_side), max(page.tilelength, limits.min_side))
    if page.imagedepth != 1 or not is_read(page):
        raise ScanError(
            "unreadable",
            "This kind of TIFF is not read (1 to 4 samples a pixel; gray, RGB, palette, CMYK); "
            "export as gray or RGB with 8 or 16 bits.",
        )
    offsets, counts = page.dataoffsets, page.databytecounts
    is_whole = len(offsets) == len(counts) >= prod(page.chunked) and all(
        offset > 0 and count > 0 and offset + count <= file_bytes for offset, count in zip(offsets, counts, strict=True)
    )
    # tifffile reads uncompressed rows as one block and does not look at their lengths.
    if (
        page.compression == 1
        and sum(counts) * 8 < page.bitspersample * page.samplesperpixel * page.imagewidth * page.imagelength
    ):
        is_whole = False
    if not is_whole:
        raise ScanError("unreadable", "The TIFF file is cut or damaged: pixels are missing; export it again.")


def _find_window(pages: list[TiffPage], notes: set[str]) -> Window | None:
    """The window of a scan of more than 8 bits; None for 8 bits and fewer."""
    if pages[0].dtype in (np.dtype(bool), np.dtype(np.uint8)):
        return None
    finder = WindowFinder(len(pages))
    for page in pages:
        finder.add(convert_samples(page, notes))
    notes.add("intensity_scaled")
    return finder.window()


def _iterate_pages(pages: list[TiffPage], window: Window | None, notes: set[str]) -> Iterator[NDArray[np.uint8]]:
    for page in pages:
        samples = convert_samples(page, notes)
        yield samples.astype(np.uint8, copy=False) if window is None else window.apply(samples)


def _is_color_hyperstack(info: ImageJInfo | None, first: TiffPage, page_count: int) -> bool:
    return info is not None and info.channels == 3 and first.samplesperpixel == 1 and page_count % 3 == 0


def _read_orientation(page: TiffPage) -> int:
    value = page.tags.valueof(_ORIENTATION, 1)
    return int(value) if isinstance(value, int) else 1


def _read_geometry(page: TiffPage, info: ImageJInfo | None, slice_count: int, orientation: int) -> Geometry | None:
    """Of the scan as it is shown: an orientation that turns it exchanges rows and columns."""
    densities = (_read_ratio(page, _Y_RESOLUTION), _read_ratio(page, _X_RESOLUTION))
    geometry = find_geometry(info, densities, slice_count)
    if geometry is None or not swaps_sides(orientation):
        return geometry
    return replace(geometry, row_mm=geometry.column_mm, column_mm=geometry.row_mm)


def _read_ratio(page: TiffPage, tag: int) -> float:
    """A rational tag, 0 where it is missing or no number."""
    value = page.tags.valueof(tag)
    if not (isinstance(value, tuple) and len(value) == 2 and value[1]):
        return 0.0
    return float(value[0]) / float(value[1])
