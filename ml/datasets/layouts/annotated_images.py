"""Images with what annotations draw on them, and what all of one set show together: boxes, corners, nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml.datasets.case import Case, Outline
from ml.datasets.checking.problems import Problem
from ml.datasets.layouts.annotations import Grid
from ml.datasets.run_lengths import Runs

# Outlines of so many images that all end within this share of both sides were drawn on a smaller picture, or are in
# percent: of the 88 patients of the LGG data the tumor of none does, of single slices with tumor 1 % do.
_FEWEST_IN_CORNER, _CORNER_SHARE = 3, 0.45


@dataclass
class AnnotatedImage:
    """An image that annotations name, and what is drawn on it. grid: None where the entry does not state it."""

    path: Path
    group: str
    grid: Grid | None
    keys: list[str]
    outlines: list[Outline] = field(default_factory=list)
    runs: list[Runs] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def case(self, folder: Path) -> Case:
        """The case; its fault where one of the annotations is missing from it."""
        fault = None
        if self.faults:
            more = f" and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
            text = f"{self.path.name} has no mask that can be used: {self.faults[0]}{more}; correct or remove it."
            fault = Problem("bad_annotation", (self.path.relative_to(folder).as_posix(),), text)
        return Case(self.group, self.path, None, tuple(self.outlines), self.grid, runs=tuple(self.runs), fault=fault)


def find_notes(
    name: str, files: tuple[str, ...], images: Sequence[AnnotatedImage], drawn: int, boxes: int
) -> Iterator[Problem]:
    """name: what the files of the set are called. drawn: annotations of tumor; boxes: those that are boxes."""
    if boxes:  # outlines that nobody drew: exporters of boxes write their corners as polygons
        are = "is a box" if boxes == 1 else "are boxes"
        text = (
            f"{boxes:,} of {drawn:,} annotations of tumor of {name} {are},"
            " rectangles and no outlines: Dice beside a box says little of a mask; export outlines, or draw them."
        )
        yield Problem("box_outlines", files, text)
    reaches = [
        max(max(outline[place::2]) / image.grid[1 - place] for outline in image.outlines for place in (0, 1))
        for image in images
        if image.outlines and image.grid is not None
    ]
    # Outlines in percent, or of a smaller picture than the file, lie in the upper left of their images.
    if len(reaches) >= _FEWEST_IN_CORNER and max(reaches) < _CORNER_SHARE:
        text = (
            f"All outlines of {name} lie in the upper left of their images, within"
            f" {max(reaches):.0%} of both sides, on {len(reaches):,} images: they may be in percent, or drawn on"
            " smaller pictures than these files. Look at them, and export them in pixels of these files."
        )
        yield Problem("outlines_in_corner", files, text)
    # A set that draws nothing at all may be of patients without tumor, or have lost its annotations.
    if images and not any(image.outlines or image.runs or image.faults for image in images):
        count = f"{len(images):,} image{'' if len(images) == 1 else 's'}"
        text = (
            f"{name} has no annotation of tumor for its {count}, which count as free of tumor:"
            " export it again with its annotations if they are not."
        )
        yield Problem("no_annotations", files, text)
