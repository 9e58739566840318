"""Which files of a folder are a data set's: by the ends of their names; and how names are compared and shown."""

import re
import unicodedata
from collections.abc import Sequence

from ml.scans.unread_formats import UNREAD_FORMATS

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
# nnU-Net's description of a set of volumes.
DATASET_JSON = "dataset.json"
# NIfTI, in data sets of volumes (ml.datasets.layouts.volumes).
VOLUME_SUFFIXES = (".nii", ".nii.gz")
# Of volumes that are read as experts' masks alone: ITK's and 3D Slicer's `.nrrd` and `.seg.nrrd`.
MASK_VOLUME_SUFFIXES = (".nrrd",)
# DICOM, in data sets of series whose masks are DICOM SEG or RTSTRUCT (ml.datasets.layouts.dicom_sets).
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
# Files that hold images and are not read here: where they lie in a data set, they are named as left out.
OTHER_SUFFIXES = (
    *(*DICOM_SUFFIXES, *VOLUME_SUFFIXES),
    *(suffix for entry in UNREAD_FORMATS if entry.is_data for suffix in entry.suffixes),
)
# Of these, the kinds of volumes: their remedy is NIfTI.
OTHER_VOLUMES = (
    *DICOM_SUFFIXES,
    *(suffix for entry in UNREAD_FORMATS if entry.is_volume for suffix in entry.suffixes),
)
# Of the kinds above those with two dots: none of them is an archive.
_DOUBLE_SUFFIXES = tuple(suffix for suffix in OTHER_SUFFIXES if suffix.count(".") > 1)
# What may hold a data set's files and is not looked into: named as left out, too.
ARCHIVE_SUFFIXES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
# Roboflow's name of COCO annotations, and what CVAT, COCO itself and others call theirs.
ANNOTATIONS_FILE = "_annotations.coco.json"
ANNOTATIONS_FOLDER = "annotations"
_INSTANCES = re.compile(r"instances_.+\.json")
# Outlines and boxes. Those of programs that are not read (VOC, VGG Image Annotator), or beside masks, are named as left
# out where their files are called as an image, or as annotations are.
ANNOTATION_SUFFIXES = (".json", ".jsonl", ".ndjson", ".geojson", ".xml", ".txt", ".csv", ".tsv")
# Tables, which may name an image and its mask in each row.
TABLE_SUFFIXES = (".csv", ".tsv")
# What people put beside their data, and never gave an ending.
_PAPERS = frozenset(
    {"authors", "changelog", "checksums", "copying", "licence", "license", "makefile", "notice", "readme", "version"}
)
_LIKE_ANNOTATIONS = re.compile(
    r"(?:labels_|project-\d+-at-|.*(?:annotation|coco|instances|via_(?:region|project|export))).*\.(?:json|xml|csv)"
)


# What Label Studio and others call theirs, and MMDetection a side's; read where its content is COCO's and images have
# no masks.
_MAYBE_COCO = frozenset(
    {"result.json", "annotations.json", "coco.json", "labels.json"}
    | {"train.json", "val.json", "valid.json", "validation.json", "test.json"}
)
# Of YOLO: the names of its classes, and the folders of its labels.
_CLASS_NAMES = frozenset({"data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt"})
_LABEL_FOLDERS = frozenset({"labels", "label"})
# What says which label each color or value of masks is: CVAT's; Roboflow's; LabelMe's, of `labelme2voc` and
# `labelme_export_json`; Supervisely's, in the folder around the data set's.
LABEL_MAP = "labelmap.txt"
MASK_CLASSES = "_classes.csv"
VOC_NAMES, EXPORT_NAMES = "class_names.txt", "label_names.txt"
MACHINE_COLORS = "obj_class_to_machine_color.json"
LABEL_FILES = frozenset({LABEL_MAP, MASK_CLASSES, VOC_NAMES, EXPORT_NAMES, MACHINE_COLORS})
# The same of volumes: BIDS' `_dseg.tsv`, 3D Slicer's color tables, ITK-SNAP's label descriptions; the content says.
_LABEL_TABLE = re.compile(r".*\.(?:tsv|csv|ctbl|label)|.*(?:label|colou?r).*\.txt")


# iCloud Drive's, Nextcloud's and ownCloud's; downloads of Chrome, Firefox, Safari and FileZilla.
_PLACEHOLDER = re.compile(
    r"\.(.+)\.icloud|(.+)\.(?:nextcloud|owncloud|crdownload|part|partial|download|filepart)", re.IGNORECASE | re.DOTALL
)


_DRIVE = re.compile(r"^[a-z]:/+(?:fakepath/+)?", re.IGNORECASE)


# That of a folder, by macOS.
FOLDER_ICON = "icon\r"
# What systems leave in folders of people, and hold pictures that are no part of a data set: thumbnails of Synology and
# QNAP, recycle bins, and what lies at the root of a disk.
OF_SYSTEMS = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", FOLDER_ICON, "__macosx", "@eadir", "@tmp", "lost+found"}
    | {"$recycle.bin", "recycler", "#recycle", "@recycle", "system volume information"}
)


def is_of_system(name: str) -> bool:
    """Whether a file or a folder is hidden and stands for none, or of those that systems make for themselves."""
    return (name.startswith(".") and not placeholder_of(name)) or name.lower() in OF_SYSTEMS


def placeholder_of(name: str) -> str:
    """Of what clouds and browsers keep in place of a file that is not there yet, the file's name; else empty."""
    found = _PLACEHOLDER.fullmatch(name)
    inner = (found[1] or found[2]) if found else ""
    kinds = (*IMAGE_SUFFIXES, *OTHER_SUFFIXES, *MASK_VOLUME_SUFFIXES)
    return inner if suffix_of(inner) in kinds else ""


def may_be_annotations(name: str) -> bool:
    """Whether a file of this name may hold COCO annotations: its content says."""
    return is_usually_coco(name) or (is_like_annotations(name) and name.lower().endswith(".json"))


def is_usually_coco(name: str) -> bool:
    """Whether programs call a file of COCO annotations so."""
    return name.lower() in _MAYBE_COCO


def is_description(name: str) -> bool:
    """Whether a file that is no picture and no volume is read with a data set."""
    return name.lower() in {DATASET_JSON, *LABEL_FILES} or is_annotations(name) or may_be_annotations(name)


def is_annotations(name: str) -> bool:
    """Whether a file of this name holds COCO annotations of objects, in any case."""
    return name.lower() == ANNOTATIONS_FILE or _INSTANCES.fullmatch(name.lower()) is not None


def may_be_outlines(path: Sequence[str]) -> bool:
    """Whether a file, by the parts of its path, may hold outlines of LabelMe, CVAT or YOLO, the names of their classes,
    a table of masks, or the names of their labels: its content says."""
    *folders, name = (part.lower() for part in path)
    if name in _CLASS_NAMES or name.endswith((".json", ".xml", *TABLE_SUFFIXES)):
        return True
    return is_label_table(name) or (name.endswith(".txt") and any(folder in _LABEL_FOLDERS for folder in folders))


def is_label_table(name: str) -> bool:
    """Whether a file of this name may say what the labels of volumes' masks are."""
    return _LABEL_TABLE.fullmatch(name.lower()) is not None


def is_like_annotations(name: str) -> bool:
    """Whether a file's name says that it holds annotations, in a form that is read or another."""
    return _LIKE_ANNOTATIONS.fullmatch(name.lower()) is not None


def lacks_ending(name: str) -> bool:
    """Whether a file's name has no ending and may be a slice's all the same: it is named as left out."""
    return not suffix_of(name) and name.lower() not in _PAPERS


def may_be_data(name: str) -> bool:
    """Whether a file's name says that it may be a part of a data set, of a kind that is read or that is named as left
    out: a slice, a mask, a volume, annotations or an archive; not so are descriptions and tables (`README.txt`)."""
    kinds = (*IMAGE_SUFFIXES, *OTHER_SUFFIXES, *VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES, *ARCHIVE_SUFFIXES)
    is_outlines = is_annotations(name) or is_like_annotations(name) or may_be_annotations(name)
    return suffix_of(name) in kinds or is_outlines or lacks_ending(name)


def name_key(name: str) -> str:
    """What names are compared by: without case, and composed as Windows and Linux write accents (NFC), not as macOS."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """What names are put in order by where a person reads them: 2 before 10, and case does not count."""
    parts = re.split(r"([0-9]{1,9})", name_key(name))
    return [(0, int(part), "") if place % 2 else (1, 0, part) for place, part in enumerate(parts) if part]


def slashed(path: str) -> str:
    """A path with `/`, as Windows may have written it: without its drive, and without what browsers put in the place
    of a folder (`C:\\fakepath\\a.png`)."""
    return _DRIVE.sub("", path.replace("\\", "/"))


def suffix_of(name: str) -> str:
    """The name's ending in lower case, `.nii.gz` and `.brik.gz` as one."""
    lower = name.lower()
    double = next((suffix for suffix in _DOUBLE_SUFFIXES if lower.endswith(suffix)), "")
    return double or (f".{lower.rpartition('.')[2]}" if "." in lower else "")


def is_text(name: str) -> bool:
    """Whether a file's name can be stored and shown: one that is not UTF-8 cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """A name that can be stored; bytes that are no UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
