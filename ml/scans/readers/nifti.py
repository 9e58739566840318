"""NIfTI-1 and NIfTI-2 in one file, gzipped or not, read with nibabel: https://nifti.nimh.nih.gov.

The header is read first and bounds what follows: of a gzip stream no byte is unpacked beyond the last voxel, so that a
bomb costs what its header admits to.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel
import numpy as np
from numpy.typing import NDArray

from ml.scans.labels import LabelMap
from ml.scans.readers.exact_reads import check_end, read_exactly
from ml.scans.readers.label_voxels import find_tumor
from ml.scans.readers.volumes import check_grid, make_scan
from ml.scans.scan import Limits, Scan, ScanError
from ml.scans.sequence import Acquisition, kind_of
from ml.scans.unread_formats import unread_by_bytes
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import LabelVolume

_GZIP_MAGIC = b"\x1f\x8b"
# sizeof_hdr of the two versions, in both byte orders, and where their magic stands.
_HEADERS = {348: (nibabel.Nifti1Header, 344), 540: (nibabel.Nifti2Header, 4)}
_LONGEST_HEADER = 540
# Extensions of a header; DICOM converters write some kilobytes.
_MOST_EXTENSION_BYTES = 16 * 2**20
_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
_MM_PER_UNIT = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}
# What dcm2niix and SPM write of a scanner's numbers, in ms: "TE=1.1e+02;Time=...", "3T 3D GR\\IR TR=2300ms/TE=2.98ms".
_NUMBERS = re.compile(r"\b(TE|TR|TI)=([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)(?=ms|[;/\s]|$)")
_SCANNING = re.compile(r"\b(?:SE|GR|IR|EP|RM)(?:\\(?:SE|GR|IR|EP|RM))*\b")
# sform and qform of converters differ by rounding: half a hundredth of a voxel is nothing.
_SAME_MM = 0.1


def read(path: Path, limits: Limits) -> Scan:
    """Decode a volume to axial slices. Raises ScanError."""
    return read_volume(path, limits, None)


def read_volume(path: Path, limits: Limits, volume: int | None) -> Scan:
    """Decode one of a file's volumes, by its number from 1; None: the only one. Raises ScanError."""
    with _open(path) as stream:
        header, head_bytes = _read_header(stream)
        shape, count = _volume_shape(header)
        place = _place_of(volume, count, header)
        notes: list[str] = []
        limits.check_stack(1, 1, shape[0] * shape[1] * shape[2])
        grid = _read_grid(header, shape, notes)
        voxels = _read_voxels(stream, header, head_bytes, shape, place)  # (i, j, k)
    notes += ["volume_chosen"] if count > 1 else []
    scan = make_scan(grid, voxels, limits, "nifti", notes, _scaling(header))
    return replace(scan, sequence=kind_of(_acquisition_of(header)))


def read_grid(path: Path, limits: Limits, volumes: int = 1) -> VolumeGrid:
    """Where the voxels lie, by the header alone, of a file with so many volumes. Raises ScanError."""
    with _open(path) as stream:
        header, _ = _read_header(stream)
    shape, count = _volume_shape(header)
    if count != volumes == 1:
        raise ScanError(
            "unreadable",
            f"The file holds {count} volumes (4-D), and one is read: of a scan store FLAIR alone; of a mask whose"
            " volumes are a label each add them to one 3-D volume.",
        )
    if count != volumes:
        raise ScanError(
            "unreadable",
            f"The file holds {count} volume{'' if count == 1 else 's'}, and its set names {volumes} channels: store all"
            " in this order in one file (4-D), or each in its own (`NAME_0000.nii.gz`, `NAME_0001.nii.gz`, ...).",
        )
    limits.check_stack(1, 1, shape[0] * shape[1] * shape[2])
    return _read_grid(header, shape, [])


def read_labels(path: Path, limits: Limits) -> LabelMap:
    """A slice's mask is a picture. Raises ScanError `unreadable`."""
    raise _no_picture()


def read_label_stack(path: Path, limits: Limits) -> Iterator[LabelMap]:
    """The masks of pictures are pictures; a volume's is read by `read_label_volume`. Raises ScanError `unreadable`."""
    raise _no_picture()


def read_label_volume(path: Path, limits: Limits) -> LabelVolume:
    """An expert's mask of a volume: labels above 0 are tumor. Raises ScanError."""
    with _open(path) as stream:
        header, head_bytes = _read_header(stream)
        shape, volumes = _volume_shape(header)
        if volumes != 1:
            raise ScanError(
                "unreadable",
                f"The mask's file holds {volumes} volumes (4-D), and a mask is one: if each is a label, add them to one"
                " 3-D volume; if they are time points, store the one that belongs to this scan.",
            )
        limits.check_stack(1, 1, shape[0] * shape[1] * shape[2])
        grid = _read_grid(header, shape, [])
        voxels = _read_voxels(stream, header, head_bytes, shape)  # (i, j, k)
    slope, intercept = _scaling(header)

    def plane(k: int) -> NDArray[Any]:
        values: NDArray[Any] = voxels[:, :, k]
        return values if (slope, intercept) == (1.0, 0.0) else values * slope + intercept

    return LabelVolume(grid, *find_tumor(map(plane, range(shape[2])), shape, slope), has_own_end=True)


def _no_picture() -> ScanError:
    return ScanError(
        "unreadable",
        "The mask is a NIfTI volume and its scan has no place in the patient; store the mask as PNG, or as a TIFF with"
        " a page for each slice.",
    )


def _version_of(head: bytes) -> Any:
    for size, (header_class, place) in _HEADERS.items():
        magic = head[place : place + 3]
        if head[:4] in (size.to_bytes(4, "little"), size.to_bytes(4, "big")) and magic[:1] == b"n":
            return header_class if magic[1:2] in b"+i" else None
    return None


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """The unpacked bytes. Raises ScanError `unreadable` where the gzip stream in the block is cut or damaged."""
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=file) if is_packed else file)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ScanError(
                "unreadable", "The gzip file is cut or damaged; copy it again from where it came from."
            ) from error


def _read_header(stream: BinaryIO) -> tuple[Any, int]:
    """The header, and how many bytes were read. Raises ScanError `unreadable` or `unsupported`."""
    head = stream.read(_LONGEST_HEADER)
    header_class = _version_of(head)
    if header_class is None:
        if (unread := unread_by_bytes(head)) is not None:
            raise ScanError("unsupported", unread.sentence)
        if head.startswith(_GZIP_MAGIC):
            raise ScanError("unsupported", "The file is packed with gzip twice: unpack it once (`gunzip`).")
        raise ScanError(
            "unsupported", "The gzip file holds no NIfTI volume: export the volume as NIfTI (.nii.gz), or as images."
        )
    if len(head) < header_class.sizeof_hdr:
        raise ScanError("unreadable", "The NIfTI header is cut; copy the file again from where it came from.")
    try:
        header = header_class.from_fileobj(BytesIO(head[: header_class.sizeof_hdr]), check=False)
    except Exception as error:
        raise ScanError("unreadable", "The NIfTI header is damaged; write the volume again.") from error
    if bytes(header["magic"])[:2] != b"n+":
        raise ScanError(
            "unreadable", "This is half of a pair (.hdr and .img); convert it to a single .nii or .nii.gz file."
        )
    return header, len(head)


def _volume_shape(header: Any) -> tuple[tuple[int, int, int], int]:
    """Sizes (i, j, k), and how many volumes of them there are. Raises ScanError `unreadable` for nonsense."""
    count, *sizes = (int(size) for size in header["dim"])
    if not 1 <= count <= 7 or any(size < 1 for size in sizes[:count]):
        raise ScanError("unreadable", "The header's dimensions are no volume's; write the volume again.")
    i, j, k = (sizes[axis] if axis < count else 1 for axis in range(3))
    return (i, j, k), prod(sizes[3:count])


def _place_of(volume: int | None, count: int, header: Any) -> int:
    """Which of the file's volumes is read, from 0. volume: its number from 1. Raises ScanError `unreadable`."""
    if volume is None and count == 1:
        return 0
    if volume is None:
        dimensions = int(header["dim"][0])
        kind = " x ".join(str(int(size)) for size in header["dim"][1 : dimensions + 1])
        raise ScanError(
            "unreadable",
            f"The file holds a series of volumes ({kind}), and one volume is read; choose it by its number, from 1 to"
            f" {count}, as “Volume” beside model and threshold (`volume` in the API), or store it alone.",
        )
    if not 1 <= volume <= count:
        raise ScanError(
            "unreadable",
            f"Volume {volume} was chosen, and the file has {count}; choose one from 1 to {count}.",
        )
    return volume - 1


def _read_grid(header: Any, shape: tuple[int, int, int], notes: list[str]) -> VolumeGrid:
    """Where the voxels lie: by the sform, else the qform, else by the distances alone. Raises ScanError."""
    try:
        sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
        unit_mm = _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
        affine = header.get_best_affine()
    except Exception as error:
        raise ScanError("unreadable", "The header's orientation is damaged; write the volume again.") from error
    if sform is None and qform is None:
        notes.append("orientation_assumed")
    elif sform is not None and qform is not None and _differ(sform, qform, shape):
        notes.append("forms_differ")
    scale = np.diag([unit_mm, unit_mm, unit_mm, 1.0])
    return check_grid(scale @ affine, shape)


def _differ(one: NDArray[np.floating], other: NDArray[np.floating], shape: tuple[int, int, int]) -> bool:
    """Whether two affines put a corner of the volume at places that differ."""
    corners = np.array(
        [[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)]
    ).T
    return bool(np.abs((one - other) @ corners).max() > _SAME_MM)


def _read_voxels(
    stream: BinaryIO, header: Any, head_bytes: int, shape: tuple[int, int, int], place: int = 0
) -> NDArray[np.generic]:
    """The stored values (i, j, k) of the volume at this place, of the file's own type and byte order.

    Raises ScanError `unreadable`.
    """
    try:
        stored = np.dtype(header.get_data_dtype())
    except Exception as error:
        raise ScanError("unreadable", "The header's data type is unknown; write the volume again.") from error
    if stored.str[1:] not in _TYPES:
        raise ScanError(
            "unreadable",
            "The voxels are colors or complex numbers, and one number a voxel is read; store the magnitude as numbers.",
        )
    offset = float(header["vox_offset"])
    if not header.sizeof_hdr <= offset <= header.sizeof_hdr + _MOST_EXTENSION_BYTES or offset % 1:
        raise ScanError("unreadable", "The header says that voxels begin where none can be; write the volume again.")
    skipped = int(offset) - head_bytes
    if skipped < 0:  # a NIfTI-1 whose voxels begin within the longest header
        stream.seek(int(offset))
    else:
        read_exactly(stream, bytearray(skipped))
    size = shape[0] * shape[1] * shape[2] * stored.itemsize
    for _ in range(place):  # of a gzip stream, volumes before it have to be unpacked, one at a time
        read_exactly(stream, bytearray(size))
    data = bytearray(size)
    read_exactly(stream, data)
    check_end(stream)
    return np.frombuffer(data, stored).reshape(shape, order="F")


def _acquisition_of(header: Any) -> Acquisition:
    """What the free text of a header says of how the volume was made."""
    text = bytes(header["descrip"].tobytes()).split(b"\0")[0].decode("latin-1")
    numbers = {name: float(value) for name, value in _NUMBERS.findall(text)}
    codes = _SCANNING.search(text)
    return Acquisition(
        words=_NUMBERS.sub(" ", text),
        scanning=frozenset(codes.group().split("\\") if codes else ()),
        echo_ms=numbers.get("TE"),
        repetition_ms=numbers.get("TR"),
        inversion_ms=numbers.get("TI"),
    )


def _scaling(header: Any) -> tuple[float, float]:
    """Slope and intercept of stored values; 1 and 0 where the header has none (a slope of 0 means that)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    return slope, intercept if np.isfinite(intercept) else 0.0
