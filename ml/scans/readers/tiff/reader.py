"""TIFF and BigTIFF, read with tifffile and imagecodecs: one page is one slice.

Pages are decoded one at a time, and twice where intensities must be scaled, so that memory is the 8-bit stack and one
page. 8 bits are taken as they are; fewer are spread over 0 to 255; more, signed and floating point are scaled by
percentiles (`ml.scans.readers.intensity`). Pages that are channels of one slice become one color slice
(`ml.scans.readers.tiff.axes`); pages of reduced size, which are previews, are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPage

from ml.scans.labels import LabelMap
from ml.scans.readers.intensity import Window, WindowFinder
from ml.scans.readers.labels import check_dropped, has_colors, settle_lossy
from ml.scans.readers.orientation import TAG, known, orient, swaps_sides
from ml.scans.readers.tiff.axes import arrange_pages, count_stated
from ml.scans.readers.tiff.directories import count_pages
from ml.scans.readers.tiff.imagej import find_geometry, parse_description
from ml.scans.readers.tiff.samples import COLORS, convert_labels, convert_samples, is_lossy, is_read, is_white_zero
from ml.scans.scan import Geometry, Limits, Scan, ScanError

_X_RESOLUTION = 282
_Y_RESOLUTION = 283


@dataclass(frozen=True)
class _Stack:
    """The headers of a file. places: of the pages, (slices, channels) with 1 or 3 channels; notes: codes so far."""

    pages: list[TiffPage]
    places: NDArray[np.intp]
    white_zero: bool
    orientation: int
    notes: set[str]

    @property
    def first(self) -> TiffPage:
        return self.pages[0]


def read(path: Path, limits: Limits) -> Scan:
    """Decode all pages. Raises ScanError, and tifffile's and the codecs' own errors on damaged data."""
    page_count = count_pages(path, limits)
    with TiffFile(path) as file:
        found = _read_stack(file, page_count, limits)
        height, width = found.first.imagelength, found.first.imagewidth
        window = _find_window(found)
        if swaps_sides(found.orientation):
            height, width = width, height
        stack = np.empty((len(found.places), height, width, 3), np.uint8)
        is_color = found.places.shape[1] == 3
        for (index, channel), place in np.ndenumerate(found.places):
            samples = _convert(found, found.pages[place])
            page = samples.astype(np.uint8, copy=False) if window is None else window.apply(samples)
            page = orient(page, found.orientation)
            if is_color:
                stack[index, ..., channel] = page
            else:
                stack[index] = page[..., None] if page.ndim == 2 else page  # (H, W, 1) spreads over the channels
        geometry = _read_geometry(found.first, len(found.places), found.orientation)
    if stack.min() == stack.max():
        found.notes.add("constant")
    return Scan(stack, "tiff", geometry, tuple(sorted(found.notes)), found.orientation)


def read_labels(path: Path, limits: Limits) -> LabelMap:
    """Decode a mask of one slice; raises as `read` does, and ScanError `unreadable` for NaN and several slices."""
    page_count = count_pages(path, limits)
    with TiffFile(path) as file:
        found = _read_stack(file, page_count, limits)
        if len(found.places) != 1:
            raise ScanError(
                "unreadable", f"The mask has several pages ({len(found.places)} slices); store one mask in each file."
            )
        labels = _read_slice_labels(found, found.places[0])
        for place in sorted(set(range(len(found.pages))) - set(found.places[0].tolist())):
            check_dropped(labels.values, convert_labels(found.pages[place], set(), white_zero=found.white_zero))
        return labels


def read_label_stack(path: Path, limits: Limits) -> Iterator[LabelMap]:
    """Decode the masks of all slices, one at a time; raises as `read_labels` does, but for several slices."""
    page_count = count_pages(path, limits)
    with TiffFile(path) as file:
        found = _read_stack(file, page_count, limits)
        for places in found.places:
            yield _read_slice_labels(found, places)


def _read_slice_labels(found: _Stack, places: NDArray[np.intp]) -> LabelMap:
    """The mask of the slice whose pages are at these places. Raises ScanError."""
    # ImageJ's binary images have 255 in what was marked, and an inverting table that shows it black on white.
    white_zero = found.white_zero and parse_description(found.first.description) is None
    notes: set[str] = set()
    planes = [convert_labels(found.pages[place], notes, white_zero=white_zero) for place in places]
    found.notes.update(notes - {COLORS})  # a channel that one slice has is one of all; colors are of each
    values = orient(planes[0] if len(planes) == 1 else np.maximum.reduce(planes), found.orientation)
    if values.dtype.kind == "f" and not np.isfinite(values.astype(float, copy=False)).all():
        raise ScanError("unreadable", "The mask has NaN or infinite pixels; replace them by numbers and try again.")
    if is_with_loss := is_lossy(found.first, values):
        values = settle_lossy(values)
    of_colors = COLORS in notes or (len(planes) > 1 and has_colors(np.stack(planes, axis=2)))
    return LabelMap(
        values,
        is_lossy=is_with_loss and bool(values.any()),
        orientation=found.orientation,
        is_whole=not found.notes,
        has_colors=of_colors,
    )


def _read_stack(file: TiffFile, page_count: int, limits: Limits) -> _Stack:
    """Which pages are slices and how they are to be read. Raises ScanError where headers are absurd or pages differ."""
    pages = _read_headers(file, page_count, limits)
    _check_pages(pages, file.filehandle.size)
    first, notes = pages[0], set[str]()
    places = arrange_pages(first.description, len(pages), first.samplesperpixel, notes)
    limits.check_stack(len(places), first.imagewidth, first.imagelength)
    return _Stack(pages, places, is_white_zero(first), _read_orientation(first), notes)


def _read_headers(file: TiffFile, page_count: int, limits: Limits) -> list[TiffPage]:
    """All pages without their pixels, previews left out. Raises ScanError where a header is absurd or pages differ."""
    headers: list[TiffPage] = []
    for index in range(page_count):
        header = file.pages[index]
        if not isinstance(header, TiffPage):
            raise ScanError("unreadable", "The TIFF file is damaged: a page has no header; export it again.")
        headers.append(header)
    pages: list[TiffPage] = []
    # NewSubfileType 1 (TIFF 6.0, tag 254): another image of the file at reduced size. Of a file of these alone, slices.
    for page in [header for header in headers if not header.is_reduced] or headers:
        _check_page(page, file.filehandle.size, limits)
        if _kind(page) != _kind(pages[0] if pages else page):
            raise ScanError(
                "unreadable",
                "The pages differ in size or kind; a stack needs pages of one size: store the others separately.",
            )
        pages.append(page)
    return pages


def _check_pages(pages: list[TiffPage], file_bytes: int) -> None:
    """Raises ScanError where pictures lie behind the first one that have no page: ImageJ and tifffile can store so."""
    first = pages[0]
    stated = count_stated(first.description, first.imagelength * first.imagewidth * first.samplesperpixel)
    end = first.dataoffsets[0] + stated * sum(first.databytecounts)
    if first.compression == 1 and stated > len(pages) and end <= file_bytes:
        raise ScanError(
            "unreadable",
            f"The file holds {stated:,} pictures and has pages for {len(pages):,} of them; save it again with a page"
            " for each slice.",
        )


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


def _find_window(found: _Stack) -> Window | None:
    """The window of a scan of more than 8 bits; None for 8 bits and fewer."""
    if found.first.dtype in (np.dtype(bool), np.dtype(np.uint8)):
        return None
    finder = WindowFinder(found.places.size)
    for place in found.places.flat:
        finder.add(_convert(found, found.pages[place]))
    found.notes.add("intensity_scaled")
    return finder.window()


def _convert(found: _Stack, page: TiffPage) -> NDArray[np.generic]:
    return convert_samples(page, found.notes, white_zero=found.white_zero)


def _read_orientation(page: TiffPage) -> int:
    return known(page.tags.valueof(TAG))


def _read_geometry(page: TiffPage, slice_count: int, orientation: int) -> Geometry | None:
    """Of the scan as it is shown: an orientation that turns it exchanges rows and columns."""
    densities = (_read_ratio(page, _Y_RESOLUTION), _read_ratio(page, _X_RESOLUTION))
    geometry = find_geometry(parse_description(page.description), densities, slice_count)
    if geometry is None or not swaps_sides(orientation):
        return geometry
    return replace(geometry, row_mm=geometry.column_mm, column_mm=geometry.row_mm)


def _read_ratio(page: TiffPage, tag: int) -> float:
    """A rational tag, 0 where it is missing or no number."""
    value = page.tags.valueof(tag)
    if not (isinstance(value, tuple) and len(value) == 2 and value[1]):
        return 0.0
    return float(value[0]) / float(value[1])
