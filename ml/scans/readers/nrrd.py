"""NRRD as an expert's mask: label volumes of ITK and 3D Slicer (`.nrrd`), and 3D Slicer's segmentations (`.seg.nrrd`).

https://teem.sourceforge.net/nrrd/format.html; segments as 3D Slicer writes them (vtkMRMLSegmentationStorageNode), and
MITK its labels (MultiLabelSegmentation). Scans are not read from it. The header bounds what follows, as with NIfTI: no
byte is unpacked beyond the last voxel.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ml.scans.labels import LabelMap
from ml.scans.readers.dicom.regions import choose_regions
from ml.scans.readers.exact_reads import check_end, read_exactly
from ml.scans.readers.label_voxels import find_tumor
from ml.scans.readers.volumes import check_grid
from ml.scans.scan import Limits, Scan, ScanError
from ml.scans.unread_formats import unread_by_suffix
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import LabelVolume

Segments = TypeVar("Segments", bound=Sized)

# With the terminology of some hundred segments, as 3D Slicer writes it.
_LONGEST_HEADER = 2**20
# 3D Slicer's table has a few; each is looked for in every plane.
_MOST_SEGMENTS = 256
_TYPES = {
    name: code
    for code, names in {
        "i1": "signed char|int8|int8_t",
        "u1": "uchar|unsigned char|uint8|uint8_t",
        "i2": "short|short int|signed short|signed short int|int16|int16_t",
        "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
        "i4": "int|signed int|int32|int32_t",
        "u4": "uint|unsigned int|uint32|uint32_t",
        "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
        "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split("|")
}
# From the directions of a space to the patient's right, front and head.
_SPACES = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
}
_ENCODINGS = {"raw": False, "gzip": True, "gz": True}
_VECTOR = re.compile(r"\(([^()]*)\)|\bnone\b")
_SEGMENT = re.compile(r"Segment(\d{1,4})_(Name|LabelValue|Layer)", re.IGNORECASE)
# MITK's labels, as JSON: a list of groups, each a layer, with the names and values of its labels.
_OF_MITK = "org.mitk.multilabel.segmentation.labelgroups"
_AGAIN = "write it again, in 3D Slicer or with SimpleITK, or export the mask as NIfTI (.nii.gz)."


@dataclass(frozen=True)
class _Segment:
    """One of a segmentation's: the voxels of its layer that have its value."""

    name: str
    value: int
    layer: int


@dataclass(frozen=True)
class _Header:
    """sizes: of all axes as they are stored, the first runs fastest. layers_axis: the axis that is none of space, whose
    places are volumes; None of a single one."""

    grid: VolumeGrid
    sizes: tuple[int, ...]
    layers_axis: int | None
    stored: np.dtype[Any]
    is_packed: bool
    segments: tuple[_Segment, ...]
    bytes: int

    @property
    def layers(self) -> int:
        """How many volumes there are."""
        return 1 if self.layers_axis is None else self.sizes[self.layers_axis]


def read(path: Path, limits: Limits) -> Scan:
    """No scan is read from NRRD. Raises ScanError `unsupported`."""
    unread = unread_by_suffix(".nrrd")
    raise ScanError("unsupported", "" if unread is None else unread.sentence)


def read_labels(path: Path, limits: Limits) -> LabelMap:
    """A slice's mask is a picture. Raises ScanError `unreadable`."""
    raise _no_picture()


def read_label_stack(path: Path, limits: Limits) -> Iterator[LabelMap]:
    """The masks of pictures are pictures; a volume's is read by `read_labels_on`. Raises ScanError `unreadable`."""
    raise _no_picture()


def read_grid(path: Path, limits: Limits) -> VolumeGrid:
    """Where the voxels lie, by the header alone. Raises ScanError."""
    with path.open("rb") as file:
        return _read_header(file, limits).grid


def read_label_volume(path: Path, limits: Limits) -> LabelVolume:
    """An expert's mask of a volume, as `read_labels_on`. Raises ScanError."""
    return _read(path, limits, ())


def read_labels_on(path: Path, limits: Limits, grid: VolumeGrid, regions: Sequence[str] = ()) -> LabelVolume:
    """An expert's mask of a volume: of a segmentation the tumor's segments, else every label above 0. Raises ScanError.

    regions: the names of the segments that are the tumor; () where the file's own names tell.
    """
    return _read(path, limits, regions)


def _read(path: Path, limits: Limits, regions: Sequence[str]) -> LabelVolume:
    with path.open("rb") as file:
        header = _read_header(file, limits)
        chosen = _chosen(header, regions)
        file.seek(header.bytes)
        voxels = _read_voxels(file, header)  # (i, j, k, layer)
    i, j, k = header.grid.shape
    if chosen is None:
        is_tumor, has_labels = find_tumor((voxels[:, :, place, 0] for place in range(k)), (i, j, k))
        return LabelVolume(header.grid, is_tumor, has_labels, has_own_end=True)
    marked = np.zeros((i, j, k), np.bool, order="F")
    for segment in chosen:
        marked |= voxels[..., segment.layer] == segment.value
    return LabelVolume(header.grid, marked)


def _chosen(header: _Header, regions: Sequence[str]) -> tuple[_Segment, ...] | None:
    """The tumor's segments; None of a volume of labels without segments. Raises ScanError `unreadable`."""
    if not header.segments:
        if header.layers > 1:
            raise ScanError(
                "unreadable",
                f"The mask's file holds {header.layers} volumes and does not say which segments they are, and a mask is"
                " one: export the tumor's alone.",
            )
        if regions:
            raise ScanError("unreadable", "The NRRD file names no segments: send it without the name of a region.")
        return None
    if outside := [one.name for one in header.segments if one.layer >= header.layers]:
        raise ScanError("unreadable", f"The header's segment {outside[0][:32]} lies in a layer that is not there.")
    places = choose_regions([one.name for one in header.segments], regions, "NRRD segmentation")
    return tuple(header.segments[place] for place in places)


def _no_picture() -> ScanError:
    return ScanError(
        "unreadable",
        "The mask is an NRRD volume and its scan has no place in the patient; store the mask as PNG, or as a TIFF with"
        " a page for each slice.",
    )


def _read_header(file: BinaryIO, limits: Limits) -> _Header:
    """Raises ScanError `unreadable` or `limit`."""
    fields, keys, length = _fields_of(file)
    if any(name in fields for name in ("data file", "datafile")):
        raise ScanError("unreadable", "The NRRD header's voxels are in another file (.nhdr); store both as one .nrrd.")
    if any(fields.get(name, "0") != "0" for name in ("line skip", "lineskip", "byte skip", "byteskip")):
        raise ScanError("unreadable", f"The NRRD file skips bytes before its voxels, which is not read; {_AGAIN}")
    encoding = fields.get("encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise ScanError(
            "unreadable", f"The NRRD file's encoding is {encoding[:16] or 'not stated'}, and raw and gzip are read."
        )
    stored = _stored_type(fields)
    sizes = tuple(_whole_numbers(fields, "sizes"))
    if _whole_numbers(fields, "dimension") != [len(sizes)] or not 3 <= len(sizes) <= 4 or min(sizes) < 1:
        raise ScanError("unreadable", "The NRRD header's sizes are no volume's; a mask has three axes of space.")
    limits.check_stack(1, 1, prod(sizes))
    directions = _directions(fields, len(sizes))
    others = [axis for axis, direction in enumerate(directions) if direction is None]
    if len(sizes) - len(others) != 3:
        raise ScanError("unreadable", f"The NRRD header does not have three axes in space; {_AGAIN}")
    shape = cast(tuple[int, int, int], tuple(size for axis, size in enumerate(sizes) if axis not in others))
    affine = _affine(fields, [direction for direction in directions if direction is not None])
    layers_axis = others[0] if others else None
    try:
        grid = check_grid(affine, shape)
    except ValueError as error:
        raise ScanError("unreadable", "The NRRD header's sizes are no volume's.") from error
    return _Header(grid, sizes, layers_axis, stored, _ENCODINGS[encoding], _segments_of(keys), length)


def _fields_of(file: BinaryIO) -> tuple[dict[str, str], dict[str, str], int]:
    """Fields, keys with their values, and the header's length. Raises ScanError `unreadable`."""
    head = file.read(_LONGEST_HEADER)
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None:
        raise ScanError("unreadable", "The NRRD header has no end: the file is cut; copy it again from where it came.")
    lines = head[: end.start()].decode("utf-8", "replace").splitlines()
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in lines[1:]:
        name, mark, value = line.partition(":")
        if line.startswith("#") or not mark:
            continue
        if value.startswith("="):
            keys[name] = value[1:]
        else:
            fields[name.strip().lower()] = value.strip()
    return fields, keys, end.end()


def _stored_type(fields: Mapping[str, str]) -> np.dtype[Any]:
    code = _TYPES.get(" ".join(fields.get("type", "").lower().split()))
    if code is None:
        raise ScanError("unreadable", f"The NRRD header's type is none of a mask's voxels; {_AGAIN}")
    endian = fields.get("endian", "").lower()
    if code[1] != "1" and endian not in ("little", "big"):
        raise ScanError("unreadable", f"The NRRD header does not say its order of bytes (endian); {_AGAIN}")
    return np.dtype(f"{'>' if endian == 'big' else '<'}{code}")


def _whole_numbers(fields: Mapping[str, str], name: str) -> list[int]:
    words = fields.get(name, "").split()
    if not words or len(words) > 16 or not all(re.fullmatch(r"[0-9]{1,9}", word) for word in words):
        raise ScanError("unreadable", f"The NRRD header's {name} is no number, or is missing; {_AGAIN}")
    return [int(word) for word in words]


def _directions(fields: Mapping[str, str], count: int) -> list[NDArray[np.float64] | None]:
    """Of each axis; None of one that is none of space. Raises ScanError `unreadable`."""
    if "space directions" not in fields or "space origin" not in fields:
        raise ScanError(
            "unreadable",
            "The NRRD file does not say how its voxels lie in the patient (space directions and space origin);"
            f" {_AGAIN}",
        )
    found = [
        None if part.group(1) is None else _vector(part.group(1))
        for part in _VECTOR.finditer(fields["space directions"])
    ]
    if len(found) != count:
        raise ScanError("unreadable", f"The NRRD header's space directions are not one for each axis; {_AGAIN}")
    return found


def _vector(text: str) -> NDArray[np.float64]:
    """Raises ScanError `unreadable`."""
    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError as error:
        raise ScanError("unreadable", f"The NRRD header's directions or origin are no numbers; {_AGAIN}") from error
    if values.shape != (3,):
        raise ScanError("unreadable", f"The NRRD header's directions or origin have not three numbers; {_AGAIN}")
    return values


def _affine(fields: Mapping[str, str], directions: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """From (i, j, k) to mm (RAS). Raises ScanError `unreadable`."""
    space = fields.get("space", "").lower()
    if space not in _SPACES:
        raise ScanError(
            "unreadable",
            f"The NRRD file's space is {space[:32] or 'not stated'}, and left-posterior-superior or another of the"
            f" patient's is needed; {_AGAIN}",
        )
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", ""))) - {""}
    if units - {"mm", "millimeter", "millimeters", "millimetre"}:
        raise ScanError("unreadable", f"The NRRD file counts its space in other units than mm; {_AGAIN}")
    origin = re.fullmatch(r"\((.*)\)", fields["space origin"])
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(directions)
    affine[:3, 3] = _vector(origin.group(1) if origin else "")
    affine[:3] *= np.array(_SPACES[space])[:, None]
    return affine


def _segments_of(keys: Mapping[str, str]) -> tuple[_Segment, ...]:
    """Those that the header describes, in their order. Raises ScanError `unreadable`."""
    if _OF_MITK in keys:
        return _check_count(_segments_of_mitk(keys[_OF_MITK]))
    parts: dict[int, dict[str, str]] = {}
    for key, value in keys.items():
        if match := _SEGMENT.fullmatch(key):
            parts.setdefault(int(match.group(1)), {})[match.group(2).lower()] = value.strip()
    _check_count(parts)
    segments = []
    for number, part in sorted(parts.items()):
        # Before 3D Slicer 4.11 each segment was a layer of its own, whose voxels are 1.
        value, layer = part.get("labelvalue", "1"), part.get("layer", str(number) if "labelvalue" not in part else "0")
        if not re.fullmatch(r"[0-9]{1,9}", value) or not re.fullmatch(r"[0-9]{1,9}", layer) or not int(value):
            raise ScanError("unreadable", f"The NRRD header's segments have no value or layer; {_AGAIN}")
        segments.append(_Segment(part.get("name", f"Segment {number}"), int(value), int(layer)))
    return tuple(segments)


def _segments_of_mitk(text: str) -> tuple[_Segment, ...]:
    """Raises ScanError `unreadable`."""
    try:
        return tuple(
            _Segment(str(label["name"]), int(label["value"]), layer)
            for layer, group in enumerate(json.loads(text))
            for label in group["labels"]
            if int(label["value"])
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ScanError("unreadable", f"The NRRD header's labels of MITK cannot be read; {_AGAIN}") from error


def _check_count(segments: Segments) -> Segments:
    """Raises ScanError `limit`."""
    if len(segments) > _MOST_SEGMENTS:
        text = f"The file has {len(segments)} segments and the limit is {_MOST_SEGMENTS}; export fewer."
        raise ScanError("limit", text)
    return segments


def _read_voxels(file: BinaryIO, header: _Header) -> NDArray[np.generic]:
    """The stored values (i, j, k, layer). Raises ScanError `unreadable`."""
    data = bytearray(prod(header.sizes) * header.stored.itemsize)
    try:
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if header.is_packed else file
        read_exactly(stream, data)
        check_end(stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ScanError(
            "unreadable", "The NRRD file is cut or damaged; copy it again from where it came from."
        ) from error
    voxels = np.frombuffer(data, header.stored).reshape(header.sizes, order="F")
    return voxels[..., None] if header.layers_axis is None else np.moveaxis(voxels, header.layers_axis, -1)
