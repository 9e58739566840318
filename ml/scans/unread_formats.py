"""Formats that are not read here, told by their bytes or else by their name, and how to convert them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ml.scans.scan import ScanError

_ITK = (
    "open it in 3D Slicer or ITK-SNAP and save it so, or in Python:"
    ' SimpleITK.WriteImage(SimpleITK.ReadImage("{0}"), "scan.nii.gz")'
)
_ARRAYS = "Save its slices as TIFF or PNG, for example in Python with tifffile.imwrite"
_PICTURE = "Save it as PNG, of which nothing is lost"


@dataclass(frozen=True)
class UnreadFormat:
    """name: what a file is; suffixes: in lower case; is_match: of a file's first bytes; remedy: what to do instead.

    is_volume: its remedy is NIfTI. is_data: whether a data set may consist of such files, which are then counted.
    is_mask: it holds what somebody drew on a scan, whatever its name.
    """

    name: str
    suffixes: tuple[str, ...]
    remedy: str
    is_match: Callable[[bytes], bool] = lambda head: False
    is_volume: bool = False
    is_data: bool = True
    is_mask: bool = False
    # Of bytes that a reader here takes for another format: told by its name alone, before it is read.
    is_disguised: bool = False

    @property
    def sentence(self) -> str:
        """Of one file."""
        return f"The file is {self.name}, which is not read here. {self.remedy}."


def _begins(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _brand(*brands: bytes) -> Callable[[bytes], bool]:
    """Of the ISO base media file format (ISO/IEC 14496-12): pictures and films."""
    return lambda head: head[4:8] == b"ftyp" and head[8:12].startswith(brands)


def _is_analyze(head: bytes) -> bool:
    """Its header is as long as NIfTI's, without the magic number."""
    return head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and head[344:346] not in (b"n+", b"ni")


def _is_mgh(head: bytes) -> bool:
    """Version 1, then width, height, depth, frames and a type below 11, big-endian."""
    numbers = [int.from_bytes(head[place : place + 4], "big") for place in range(4, 24, 4)]
    return head[:4] == b"\0\0\0\1" and all(0 < number < 65536 for number in numbers[:4]) and numbers[4] < 11


OFFICE_DOCUMENT = UnreadFormat(
    "an Office document",
    (".doc", ".docx", ".ppt", ".pptx", ".xls", ".xlsx", ".odt", ".odp"),
    "Save its pictures as PNG, better from the viewer that they came from",
    _begins(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    is_data=False,
)

UNREAD_FORMATS: tuple[UnreadFormat, ...] = (
    UnreadFormat(
        "a HEIC or AVIF picture",
        (".heic", ".heif", ".avif"),
        "Save it as PNG or JPEG: export it from the program that shows it (Preview, Photos, GIMP), or with"
        " heif-convert scan.heic scan.png",
        _brand(b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1", b"avif", b"avis"),
    ),
    UnreadFormat("a BMP picture", (".bmp",), _PICTURE, lambda head: head[:2] == b"BM" and head[6:10] == bytes(4)),
    UnreadFormat(
        "a GIF picture",
        (".gif",),
        "Save each of its pictures as PNG, of which nothing is lost",
        _begins(b"GIF87a", b"GIF89a"),
    ),
    UnreadFormat(
        "a JPEG 2000 picture",
        (".jp2", ".j2k", ".jpx"),
        _PICTURE,
        _begins(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    ),
    UnreadFormat("a JPEG XL picture", (".jxl",), _PICTURE, _begins(b"\0\0\0\x0cJXL \r\n\x87\n")),
    UnreadFormat(
        "a Netpbm picture",
        (".pbm", ".pgm", ".pnm", ".ppm"),
        _PICTURE,
        lambda head: re.match(rb"P[1-6]\s+(?:#.*\s+)*\d+\s", head) is not None,
    ),
    UnreadFormat("a Targa picture", (".tga",), _PICTURE),
    UnreadFormat("a Photoshop picture", (".psd",), _PICTURE, _begins(b"8BPS")),
    UnreadFormat(
        "a MetaImage volume",
        (".mha", ".mhd"),
        "Convert it to NIfTI (.nii.gz), its .raw file, if it has one, beside it: " + _ITK.format("scan.mha"),
        lambda head: re.match(rb"\s*(?:ObjectType|NDims|Comment)\s*=", head) is not None,
        is_volume=True,
    ),
    UnreadFormat(
        "an NRRD volume",
        (".nrrd", ".nhdr"),
        "Convert it to NIfTI (.nii.gz): " + _ITK.format("scan.nrrd"),
        lambda head: re.match(rb"NRRD\d{4}", head) is not None,
        is_volume=True,
    ),
    UnreadFormat(
        "a FreeSurfer volume",
        (".mgz", ".mgh", ".mgh.gz"),
        "Convert it to NIfTI with FreeSurfer: mri_convert scan.mgz scan.nii.gz",
        _is_mgh,
        is_volume=True,
    ),
    UnreadFormat(
        "half of a Philips PAR/REC pair",
        (".par", ".rec"),
        "Convert both to NIfTI: dcm2niix -z y FOLDER, with the folder that they lie in",
        _begins(b"# === DATA DESCRIPTION FILE"),
        is_volume=True,
    ),
    UnreadFormat(
        "half of an Analyze or NIfTI pair (.hdr and .img)",
        (".hdr", ".img", ".hdr.gz", ".img.gz"),
        "Convert both to one NIfTI file (.nii.gz): fslchfiletype NIFTI_GZ scan, or open the .hdr in 3D Slicer and save"
        " it so",
        _is_analyze,
        is_volume=True,
    ),
    UnreadFormat(
        "half of an AFNI data set (.HEAD and .BRIK)",
        (".head", ".brik", ".brik.gz", ".brik.bz2"),
        "Convert both to NIfTI with AFNI: 3dAFNItoNIFTI scan+orig",
        is_volume=True,
    ),
    UnreadFormat(
        "a MINC volume", (".mnc", ".mnc.gz"), "Convert it to NIfTI: mnc2nii scan.mnc scan.nii", is_volume=True
    ),
    UnreadFormat(
        "an MRtrix volume", (".mif", ".mif.gz"), "Convert it to NIfTI: mrconvert scan.mif scan.nii.gz", is_volume=True
    ),
    UnreadFormat(
        "a VTK volume",
        (".vtk", ".vti"),
        "Convert it to NIfTI (.nii.gz): " + _ITK.format("scan.vtk"),
        _begins(b"# vtk DataFile"),
        is_volume=True,
    ),
    UnreadFormat(
        "a region that MRIcron drew",
        (".voi",),
        "It is a mask as NIfTI under another name: call it scan_seg.nii.gz beside scan_flair.nii.gz",
        is_volume=True,
        is_mask=True,
    ),
    UnreadFormat(
        "a region that ImageJ drew",
        (".roi",),
        "Save it as a mask in ImageJ: open the scan and the region, Edit > Selection > Create Mask, and save that as"
        " scan_mask.png beside scan.png",
        _begins(b"Iout"),
        is_mask=True,
    ),
    UnreadFormat("a MATLAB file", (".mat",), _ARRAYS, _begins(b"MATLAB ")),
    UnreadFormat("an HDF5 file", (".h5", ".hdf5"), _ARRAYS, _begins(b"\x89HDF\r\n\x1a\n")),
    UnreadFormat("a NumPy array", (".npy", ".npz"), _ARRAYS, _begins(b"\x93NUMPY")),
    UnreadFormat("a Python pickle or a tensor of PyTorch", (".pkl", ".pickle", ".pt"), _ARRAYS),
    UnreadFormat(
        "an SVG drawing",
        (".svg",),
        "Export it as PNG of the scan's own width and height, for example with Inkscape: inkscape --export-width=256"
        " --export-height=256 mask.svg -o mask.png",
        _begins(b"<svg"),
    ),
    UnreadFormat(
        "a table of Hugging Face (Parquet or Arrow)",
        (".parquet", ".arrow"),
        'Save its pictures as PNG, for example in Python: for i, row in enumerate(datasets.load_dataset("FOLDER")'
        '["train"]): row["image"].save(f"images/{i}.png"), and the masks so',
        _begins(b"PAR1", b"ARROW1"),
    ),
    UnreadFormat(
        "a slide of histology",
        (".svs", ".ndpi", ".mrxs", ".scn", ".czi"),
        "The models read MRI, and nothing makes one of a slide",
        is_disguised=True,
    ),
    UnreadFormat(
        "a film",
        (".mp4", ".mov", ".avi", ".mkv", ".webm", ".wmv"),
        "Export its slices as PNG, better from the viewer that made it",
        lambda head: (
            _brand(b"isom", b"iso", b"mp4", b"M4V", b"qt", b"avc1")(head)
            or (head[:4] == b"RIFF" and head[8:11] == b"AVI")
            or head.startswith(b"\x1aE\xdf\xa3")
        ),
        is_data=False,
    ),
    UnreadFormat(
        "a PDF document",
        (".pdf",),
        "Export the slices as PNG or DICOM from the viewer that shows them",
        _begins(b"%PDF"),
        is_data=False,
    ),
    OFFICE_DOCUMENT,
    UnreadFormat(
        "an archive that is no zip",
        (".rar", ".7z", ".tar", ".tgz", ".bz2", ".xz"),
        "Unpack it, and give its files or a zip of them",
        lambda head: (
            head.startswith((b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"BZh", b"\xfd7zXZ\0"))
            or head[257:262] == b"ustar"
        ),
        is_data=False,
    ),
)

_BY_SUFFIX = {suffix: entry for entry in UNREAD_FORMATS for suffix in entry.suffixes}


def unread_by_bytes(head: bytes) -> UnreadFormat | None:
    """What a file is by its first 348 bytes; None where it is of none of these formats."""
    return next((entry for entry in UNREAD_FORMATS if entry.is_match(head)), None)


def is_office_document(members: Iterable[str]) -> bool:
    """Whether a zip with members of these names is a document: Office Open XML, or OpenDocument (its parts, 2.2.1)."""
    names = set(members)
    return "[Content_Types].xml" in names or {"mimetype", "META-INF/manifest.xml"} <= names


def unread_by_suffix(suffix: str) -> UnreadFormat | None:
    """What a file is by the ending of its name, in lower case."""
    return _BY_SUFFIX.get(suffix)


def is_drawn(suffix: str) -> bool:
    """Whether a file of this ending is what somebody drew on a scan, whatever its name."""
    found = unread_by_suffix(suffix)
    return found is not None and found.is_mask


def unread_kinds(suffixes: Iterable[str]) -> Mapping[UnreadFormat, tuple[str, ...]]:
    """The formats that these endings are of, each once, with its endings among them: both halves of a pair are one."""
    found: dict[UnreadFormat, tuple[str, ...]] = {}
    for suffix in sorted(set(suffixes)):
        if (entry := unread_by_suffix(suffix)) is not None:
            found[entry] = (*found.get(entry, ()), suffix)
    return found


def check_name(name: str) -> None:
    """Raises ScanError for a file whose bytes may be read, and say another thing than it is."""
    found = unread_by_suffix(_suffix(name))
    if found is not None and found.is_disguised:
        raise ScanError("unsupported", found.sentence)


def _suffix(name: str) -> str:
    """The ending of one of these formats, the longest; of any other name none."""
    return max((suffix for suffix in _BY_SUFFIX if name.lower().endswith(suffix)), key=len, default="")


def explained(error: ScanError, name: str) -> ScanError:
    """The error of a file that could not be read, by its name where its bytes told nothing."""
    found = unread_by_suffix(_suffix(name))
    told_by_bytes = error.code in ("empty", "too_small")
    if found is None or told_by_bytes or any(entry.sentence == error.message for entry in UNREAD_FORMATS):
        return error
    return ScanError("unsupported", found.sentence)
