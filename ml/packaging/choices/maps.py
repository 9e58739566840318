"""Probability maps beside the experts' masks, with what rules are chosen from: histograms and components, counted once.

Levels are those of the maps as they are kept. A scaled map is a lookup table of 256 entries away, and a threshold on it
is another level of the kept one: so whatever is tried, no network runs and nothing is labeled twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.datasets import Case, DatasetError
from ml.datasets.stacks import find_stacks, parts_of_one_size
from ml.masks import label_regions, min_pixels_on_grid, tumor_mask, window_of
from ml.metrics.calibration import probability_histogram


@dataclass(frozen=True)
class Regions:
    """The 8-connected components of all slices at one level; K of them.

    slices: (K,), the slice of each; pixels, overlap: (K,), its pixels, and those of them in the truth; places: (K, 2),
    row and column of one of its pixels.
    """

    slices: NDArray[np.int64]
    pixels: NDArray[np.int64]
    overlap: NDArray[np.int64]
    places: NDArray[np.int64]


class ChoiceMaps:
    """N slices. maps: round(255 p), uint8 (H, W) each; truths: bool (H, W) each; grid: the model's, height and width.

    owners: (N,), the patient of each, by place in `patients`. histograms: (N, 2, 256), pixels of each slice by level,
    all and those of the truth. has_tumor: (N,). Raises DatasetError where a mask has another size than its map.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        maps: Sequence[NDArray[np.uint8]],
        truths: Sequence[NDArray[np.bool]],
        grid: tuple[int, int],
    ) -> None:
        for case, probability_u8, truth in zip(cases, maps, truths, strict=True):
            if probability_u8.shape != truth.shape:
                raise DatasetError(
                    f"{case.patient}/{case.name} has a mask of another size than its map; mend the mask."
                )
        self.cases, self.maps, self.truths, self.grid = tuple(cases), tuple(maps), tuple(truths), grid
        self.patients = tuple(sorted({case.patient for case in cases}))
        row = {patient: index for index, patient in enumerate(self.patients)}
        self.owners = np.array([row[case.patient] for case in cases])
        self.histograms = np.stack([probability_histogram(*pair) for pair in zip(maps, truths, strict=True)])
        self.has_tumor: NDArray[np.bool] = self.histograms[:, 1].sum(axis=1) > 0
        self._shapes = [(probability_u8.shape[0], probability_u8.shape[1]) for probability_u8 in maps]
        self.stacks = tuple(part for places in find_stacks(cases) for part in parts_of_one_size(places, self._shapes))
        self._regions: dict[int, Regions] = {}
        self._bodies: dict[tuple[int, int], NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.cases)

    def min_pixels(self, area: int) -> NDArray[np.int64]:
        """An area of the model's grid in pixels of each slice's own. (N,)"""
        of_size = {shape: min_pixels_on_grid(area, self.grid, *shape) for shape in set(self._shapes)}
        return np.array([of_size[shape] for shape in self._shapes], dtype=np.int64)

    def regions(self, level: int) -> Regions:
        """The components of the pixels with q >= level."""
        if level not in self._regions:
            found = [self._label(index, level) for index in range(len(self)) if self.maps[index].max() >= level]
            empty = np.zeros((0, 5), dtype=np.int64)
            table = np.concatenate([empty, *found])  # (K, 5)
            self._regions[level] = Regions(table[:, 0], table[:, 1], table[:, 2], table[:, 3:])
        return self._regions[level]

    def bodies(self, level: int, area: int) -> NDArray[np.int64]:
        """The 26-connected component of the stack that each of `regions(level)` belongs to, (K,); -1 for one too small.

        area: the smallest region that counts, in pixels of the model's grid. A body has regions of one stack alone.
        """
        if (level, area) not in self._bodies:
            self._bodies[level, area] = self._find_bodies(level, area)
        return self._bodies[level, area]

    def _find_bodies(self, level: int, area: int) -> NDArray[np.int64]:
        regions = self.regions(level)
        smallest = self.min_pixels(area)
        is_kept = regions.pixels >= smallest[regions.slices]
        bodies = np.full(len(regions.pixels), -1, dtype=np.int64)
        of_slice = [np.empty(0, dtype=np.int64)] * len(self)
        for group in np.split(np.arange(len(bodies)), np.flatnonzero(np.diff(regions.slices)) + 1):
            if len(group):
                of_slice[int(regions.slices[group[0]])] = group[is_kept[group]]
        found = 0
        for stack in self.stacks:
            rows = np.concatenate([of_slice[place] for place in stack])
            if not len(rows):
                continue
            depth = {place: index for index, place in enumerate(stack)}
            values = np.stack([self.maps[place] for place in stack])
            mask = tumor_mask(values, level / 255, int(smallest[stack[0]]))
            window = window_of(mask)
            labels, count = label_regions(mask[window])
            layers = [depth[place] for place in regions.slices[rows].tolist()]
            corner = [axis.start for axis in window]
            voxels = np.column_stack([layers, regions.places[rows]]) - corner  # (rows, 3)
            bodies[rows] = found + labels[tuple(voxels.T)]
            found += count + 1
        return bodies

    def _label(self, index: int, level: int) -> NDArray[np.int64]:
        """Rows of a table: slice, pixels, overlap, row and column. (regions of this slice, 5)

        The slice has a pixel of that level.
        """
        mask = self.maps[index] >= level
        window = window_of(mask)  # few levels fill more than a corner of the slice
        labels, count = label_regions(mask[window])
        pixels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        overlap = np.bincount(labels[self.truths[index][window]], minlength=count + 1)[1:]
        rows, columns = np.nonzero(labels)
        places = np.empty((count + 1, 2), dtype=np.int64)
        places[labels[rows, columns]] = np.stack([rows + window[0].start, columns + window[1].start], axis=1)
        return np.column_stack([np.full(count, index), pixels, overlap, places[1:]])
