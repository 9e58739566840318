"""Folders that hold slices or patients of several persons by their names: classes, sequences, planes, sites, sides."""

import re

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


def is_class(name: str) -> bool:
    """Whether a folder is called as a class, a sequence, a plane or a part of a set (`glioma`, `T1`, `site A`)."""
    return _CLASS.fullmatch(name_key(name)) is not None


def is_of_many(name: str) -> bool:
    """Whether a folder is hardly one person's by its name: a class, a side, or what is around everybody (`MR`)."""
    return is_class(name) or _WHOLE.fullmatch(name_key(name)) is not None
