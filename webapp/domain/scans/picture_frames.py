"""How large two scans' pictures are drawn beside each other: at one scale, so that what looks larger is larger."""

from dataclasses import dataclass

from webapp.domain.scans.models import Scan


@dataclass(frozen=True)
class PictureFrame:
    """A frame and the picture in its middle, all in mm, or in pixels of the picture where `in_mm` is false."""

    in_mm: bool
    width: float
    height: float
    picture_width: float
    picture_height: float

    @property
    def x(self) -> float:
        """Where the picture begins."""
        return (self.width - self.picture_width) / 2

    @property
    def y(self) -> float:
        """Where the picture begins."""
        return (self.height - self.picture_height) / 2


def of_pair(first: Scan, second: Scan) -> tuple[PictureFrame, PictureFrame]:
    """Two frames of one size in mm; where a scan has no spacing, each picture fills a frame of its own."""
    one, other = _size_mm(first), _size_mm(second)
    if one is None or other is None:
        return _in_pixels(first), _in_pixels(second)
    width, height = max(one[0], other[0]), max(one[1], other[1])
    return PictureFrame(True, width, height, *one), PictureFrame(True, width, height, *other)


def _size_mm(scan: Scan) -> tuple[float, float] | None:
    """Width and height of a slice."""
    if not scan.spacing_mm:
        return None
    _, row, column = scan.spacing_mm
    return scan.width * column, scan.height * row


def _in_pixels(scan: Scan) -> PictureFrame:
    return PictureFrame(False, scan.width, scan.height, scan.width, scan.height)
