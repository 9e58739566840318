"""What ImageJ writes into a TIFF's description: the only TIFF whose spacing is believed.

Resolution tags of other writers are dots per inch of a screen or a printer (72 dpi would make a head of 9 cm), and TIFF
has no millimeter. ImageJ names the unit; its resolution tags are then pixels per that unit.
https://imagej.net/ij/source/ij/io/FileInfo.java, TiffEncoder.java (getDescription in FileSaver.java).
"""

from dataclasses import dataclass

from ml.scans.scan import Geometry

_MM_PER_UNIT = {
    "mm": 1.0,
    "millimeter": 1.0,
    "millimeters": 1.0,
    "cm": 10.0,
    "um": 1e-3,
    "µm": 1e-3,
    "\u03bcm": 1e-3,
    "\\u00b5m": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
}
# Outside of this range no MRI of a head was sampled: the tags mean something else.
_PLAUSIBLE_MM = (0.05, 20.0)


@dataclass(frozen=True)
class ImageJInfo:
    """Pictures and channels of a hyperstack (the fastest index of its pages), its unit and the distance of slices in
    that unit."""

    images: int
    channels: int
    mm_per_unit: float | None
    slice_distance: float | None


def parse_description(text: str) -> ImageJInfo | None:
    """Read `key=value` lines; None where ImageJ did not write the file."""
    if not text.startswith("ImageJ="):
        return None
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    unit = fields.get("unit", "").strip().strip("\0").lower()
    images, channels = (fields.get(name, "1").strip() for name in ("images", "channels"))
    distance = _parse_number(fields.get("spacing"))
    return ImageJInfo(
        images=int(images) if images.isdecimal() else 1,
        channels=int(channels) if channels.isdecimal() else 1,
        mm_per_unit=_MM_PER_UNIT.get(unit),
        slice_distance=abs(distance) if distance is not None else None,  # negative in files of flipped stacks
    )


def find_geometry(info: ImageJInfo | None, pixels_per_unit: tuple[float, float], slice_count: int) -> Geometry | None:
    """What ImageJ states, or None where a number is missing or implausible.

    pixels_per_unit: (rows, columns). A stack needs the distance of its slices as well, a single slice does not.
    """
    if info is None or info.mm_per_unit is None or min(pixels_per_unit) <= 0:
        return None
    row_mm, column_mm = (round(info.mm_per_unit / density, 6) for density in pixels_per_unit)
    if not (_is_plausible(row_mm) and _is_plausible(column_mm)):
        return None
    slice_mm = round(info.mm_per_unit * info.slice_distance, 6) if info.slice_distance else None
    if slice_mm is not None and _is_plausible(slice_mm):
        return Geometry(row_mm, column_mm, slice_mm)
    return Geometry(row_mm, column_mm, None) if slice_count == 1 else None


def _is_plausible(distance_mm: float) -> bool:
    return _PLAUSIBLE_MM[0] <= distance_mm <= _PLAUSIBLE_MM[1]


def _parse_number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
