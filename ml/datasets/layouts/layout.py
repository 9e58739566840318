"""A data set's slices as they lie in its folder, in one of the layouts of docs/datasets.md."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ml.datasets.case import Case
from ml.datasets.checking.problems import FIGURE_NOTES, LEFT_OUT, LeftOut, Problem, left_out_of
from ml.datasets.file_names import shown
from ml.datasets.layouts.coco import Category
from ml.datasets.layouts.left_out import relative

LayoutName = (
    Literal["patient folders", "images and masks", "COCO", "LabelMe", "CVAT", "YOLO", "table"]
    | Literal["BraTS", "volumes and masks", "nnU-Net", "DICOM", "images only"]
)


@dataclass(frozen=True)
class Layout:
    """A folder's slices, also those without a mask, and what the file names alone show to be wrong.

    folder: the data set's own, which may lie in `given`, what problems' files are relative to. sides: patients of each
    side where the data set comes divided by patient, else empty. categories, annotations: of outlines, and the files
    that were read. volumes: the files of a set of volumes, also those that no figure needs.
    """

    name: LayoutName
    folder: Path
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    sides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()
    annotations: tuple[Path, ...] = ()
    volumes: tuple[Path, ...] = ()
    given: Path | None = None

    @property
    def base(self) -> Path:
        """The folder that a person gave, which knows no other."""
        return self.given or self.folder

    @property
    def has_truth(self) -> bool:
        """Whether one slice at least has a mask."""
        return any(case.has_truth for case in self.cases)

    def named_from(self, folder: Path) -> "Layout":
        """The layout with the files of its problems as a person sees them who gave `folder`."""

        def renamed(problem: Problem) -> Problem:
            files = tuple(relative(self.folder / name, folder) for name in problem.files)
            return replace(problem, files=files)

        cases = tuple(case if case.fault is None else replace(case, fault=renamed(case.fault)) for case in self.cases)
        return replace(self, given=folder, cases=cases, problems=tuple(map(renamed, self.problems)))

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The files that are no part of an evaluation, with the reason."""
        return left_out_of(self.problems)

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known before any figure of it, in sentences."""
        said = [shown(problem.message) for problem in self.problems if problem.code in FIGURE_NOTES]
        return (*said, *self._unsaid())

    def _unsaid(self) -> Iterator[str]:
        """What neither a failed slice nor a sentence of its own says: how many findings there are, and the first."""
        faults = {case.fault for case in self.cases}
        found = [
            problem
            for problem in dict.fromkeys(self.problems)
            if problem.code not in FIGURE_NOTES | LEFT_OUT and problem not in faults
        ]
        if found:
            counts = ", ".join(f"{code}: {count:,}" for code, count in Counter(one.code for one in found).items())
            findings = "1 finding" if len(found) == 1 else f"{len(found):,} findings"
            yield (
                f"The check of the data has {findings} that these figures rest on ({counts}), the first:"
                f" {shown(found[0].message)}"
            )
