"""Data sets on disk: folders of slices with expert masks, their integrity, analysis and splits. Never imports torch.

`list_cases` finds the slices of any layout (docs/datasets.md), `check` reads every file of them in
sandboxed processes and reports, `make_split` divides the patients.
"""

from ml.datasets.analysis import Analysis, size_of
from ml.datasets.case import Case, DatasetError
from ml.datasets.checking.check import Report, check
from ml.datasets.checking.problems import Problem
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.search import find_layout, list_cases
from ml.datasets.split_files import read_patients, read_split, write_split
from ml.datasets.splits import Split, make_folds, make_split

__all__ = [
    "Analysis",
    "Case",
    "DatasetError",
    "Layout",
    "Problem",
    "Report",
    "Split",
    "check",
    "find_layout",
    "list_cases",
    "make_folds",
    "make_split",
    "read_patients",
    "read_split",
    "size_of",
    "write_split",
]
