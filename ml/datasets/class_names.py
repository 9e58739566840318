"""Folders that hold slices or patients of several persons by their names: classes, sequences, planes, sites, sides."""

import re
from collections.abc import Collection

from ml.datasets.file_names import name_key

# What people call folders of slices by what is on them, or by where they come from, not by whose they are.
_CLASS = re.compile(
    r"(?:yes|no|positive|negative|normal|healthy|benign|malignant|hgg|lgg|(?:no|non|with|without)?[ _-]?tumou?rs?"
    r"|(?:glioma|glioblastoma|astrocytoma|oligodendroglioma|meningioma|pituitary|metastas[ei]s)(?:[ _-]tumou?rs?)?"
    r"|axial|coronal|sagittal|ax|cor|sag|t1(?:w|c|ce|gd|n|post)?|t2(?:w|f|flair)?|pd|flair"
    r"|(?:batch|part|chunk|fold|split|site|cent(?:er|re)|hospital|scanner|vendor|group|subset)[ _-]?[a-z0-9]{1,3})"
)
# Sides, and what is around everybody.
_WHOLE = re.compile(
    r"train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?|mri?|mrt|irm|data(?:set)?|nifti|dicom|images?|patients?|subjects?"
    r"|cases?|scans?|cohort[ _-]?[a-z0-9]{0,3}"
)

_MOST_CLASSES, _MOST_SLICES = 10, 256


def is_class(name: str) -> bool:
    """Whether a folder is called as a class, a sequence, a plane or a part of a set (`glioma`, `T1`, `site A`)."""
    return _CLASS.fullmatch(name_key(name)) is not None


def are_numbered_classes(names: Collection[str], *, most_images: int) -> bool:
    """Whether folders are numbered as classes are (`0`, `1`, `2`): from 0, as no patient is, or from 1 with more images
    in one of them than a head has slices."""
    is_from_1 = set(names) == {str(number) for number in range(1, len(names) + 1)} and most_images > _MOST_SLICES
    is_from_0 = set(names) == {str(number) for number in range(len(names))}
    return 1 < len(names) <= _MOST_CLASSES and (is_from_0 or is_from_1)


def is_of_many(name: str) -> bool:
    """Whether a folder is hardly one person's by its name: a class, a side, or what is around everybody (`MR`)."""
    return is_class(name) or _WHOLE.fullmatch(name_key(name)) is not None
