"""Slices for training and validation: decoded once, on the model's grid, drawn and augmented by the seed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from ml.datasets import Case
from ml.datasets.stacks import find_stacks
from ml.engines.context import places_around
from ml.preprocessing import normalize_together, place_labels_on_grid, place_on_grid
from ml.training.augmentation import Augmenter
from ml.training.configuration import Configuration, Stage

# float32 (C, h, w), uint8 (h, w); for validation also the patient's number.
TrainingSample = tuple[torch.Tensor, torch.Tensor]
ValidationSample = tuple[torch.Tensor, torch.Tensor, int]
T = TypeVar("T")

_READERS = 4


@dataclass(frozen=True)
class Sample:
    """A slice on the grid. image: uint8 (h, w, C); labels: uint8 (h, w), the class of each pixel."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class SliceCache:
    """All slices of some cases on one grid, in memory where they fit in `sampling.cache_gb`, else read each time."""

    def __init__(self, cases: Sequence[Case], configuration: Configuration, size: int) -> None:
        """Read every case once. Raises DatasetError."""
        self.cases = tuple(cases)
        self._values = configuration.sampling.class_values
        self.convention = configuration.convention_at(size)
        needed = len(cases) * size * size * (configuration.network.channels + 1)
        self._is_cached = needed <= configuration.sampling.cache_gb * 1e9
        with ThreadPoolExecutor(_READERS) as readers:
            found = readers.map(self._read_first, self.cases)
            pairs = list(found)
        self._samples = [sample for sample, _ in pairs]
        self.has_tumor = np.array([has_tumor for _, has_tumor in pairs], dtype=bool)  # (slices,)
        self.patients = tuple(sorted({case.patient for case in self.cases}))
        number = {patient: index for index, patient in enumerate(self.patients)}
        self.owners = np.array([number[case.patient] for case in self.cases], dtype=int)  # (slices,)

        neighbors = self.convention.neighbors
        self._around = places_around(find_stacks(self.cases), neighbors) if neighbors else {}

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index] or self._read(self.cases[index])

    def with_neighbors(self, index: int) -> NDArray[np.uint8]:
        """The slice between those of its stack that the network takes as well, uint8 (S, h, w, C)."""
        return np.stack([self[one].image for one in self._around.get(index, [index])])

    def _read_first(self, case: Case) -> tuple[Sample | None, bool]:
        sample = self._read(case)
        return (sample if self._is_cached else None), bool(sample.labels.any())

    def _read(self, case: Case) -> Sample:
        size = self.convention.size
        labels = case.labels(self._values)
        return Sample(place_on_grid(case.pixels()[None], self.convention)[0], place_labels_on_grid(labels, size))


# The patient of a slice that is there a second time: it is not counted.
REPEATED = -1


class TrainingDataset(Dataset[TrainingSample]):
    """One epoch: which slices, in which order, augmented how, follows from the seed and the epoch's number alone."""

    def __init__(self, slices: SliceCache, configuration: Configuration, stage: Stage, epoch: int) -> None:
        self._slices = slices
        self._augment = Augmenter(configuration.augmentation, stage.crop)
        self._seeds = np.random.SeedSequence((configuration.loop.seed, epoch))
        sampling = configuration.sampling
        random = np.random.default_rng(self._seeds)
        if sampling.is_patient_balanced:
            owners = slices.owners
            self._order = draw_balanced(slices.has_tumor, owners, sampling.tumor_share, sampling.slices, random)
        else:
            self._order = draw_epoch(slices.has_tumor, sampling.tumor_share, sampling.slices, random)
        self._draws = random.integers(0, 2**31, size=len(self._order))

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> TrainingSample:
        """float32 (C, h, w) and uint8 (h, w)."""
        index = int(self._order[position])
        image, labels = self._augment(
            self._slices.with_neighbors(index), self._slices[index].labels, int(self._draws[position])
        )
        inputs = normalize_together(list(image), self._slices.convention)
        return torch.from_numpy(inputs), torch.from_numpy(np.ascontiguousarray(labels))


class ValidationDataset(Dataset[ValidationSample]):
    """Every slice as it is, with its patient's number; then REPEATED ones until each of `processes` gets as many.

    A sampler of several processes would fill up with plain repeats, which would count twice.
    """

    def __init__(self, slices: SliceCache, processes: int = 1) -> None:
        self._slices = slices
        self._length = -(-len(slices) // processes) * processes
        self.patients = slices.patients

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> ValidationSample:
        """float32 (C, h, w), uint8 (h, w), and the patient."""
        place = index % len(self._slices)
        sample = self._slices[place]
        inputs = normalize_together(list(self._slices.with_neighbors(place)), self._slices.convention)
        owner = int(self._slices.owners[place]) if place == index else REPEATED
        return torch.from_numpy(inputs), torch.from_numpy(sample.labels), owner


def draw_epoch(
    has_tumor: NDArray[np.bool], tumor_share: float | None, slices: int | None, random: np.random.Generator
) -> NDArray[np.int_]:
    """Numbers of an epoch's slices, shuffled. has_tumor: bool (slices,).

    Without a share: all of them, or the first `slices` of their shuffle. With one: that share of slices with tumor, as
    many slices as hold every one of these once unless `slices` says how many. A slice comes again only when every one
    of its kind has come as often.
    """
    if tumor_share is None:
        return _deal(np.arange(len(has_tumor)), slices or len(has_tumor), random)
    with_tumor, without = np.flatnonzero(has_tumor), np.flatnonzero(~has_tumor)
    if not len(with_tumor) or not len(without):
        return _deal(np.arange(len(has_tumor)), slices or len(has_tumor), random)
    count = slices or round(len(with_tumor) / max(tumor_share, 1 / len(has_tumor)))
    wanted = round(count * tumor_share)
    drawn = [_deal(with_tumor, wanted, random), _deal(without, count - wanted, random)]
    return random.permutation(np.concatenate(drawn))


def draw_balanced(
    has_tumor: NDArray[np.bool],
    owners: NDArray[np.int_],
    tumor_share: float | None,
    slices: int | None,
    random: np.random.Generator,
) -> NDArray[np.int_]:
    """As `draw_epoch`, but patients come evenly, and of each patient the slices in turn. owners: int (slices,).

    Patients without tumor are left out of that share's draw. Without a share: all slices of a patient alike.
    """
    numbers = np.arange(len(has_tumor))
    if tumor_share is None or not has_tumor.any() or has_tumor.all():
        return _deal_by_owner(numbers, owners, slices or len(numbers), random)
    with_tumor, without = np.flatnonzero(has_tumor), np.flatnonzero(~has_tumor)
    count = slices or round(len(with_tumor) / max(tumor_share, 1 / len(has_tumor)))
    wanted = round(count * tumor_share)
    drawn = [
        _deal_by_owner(with_tumor, owners, wanted, random),
        _deal_by_owner(without, owners, count - wanted, random),
    ]
    return random.permutation(np.concatenate(drawn))


def _deal_by_owner(
    numbers: NDArray[np.int_], owners: NDArray[np.int_], count: int, random: np.random.Generator
) -> NDArray[np.int_]:
    """`count` of the numbers: owners through one shuffle after the other, each owner's numbers likewise."""
    turns = _deal(np.unique(owners[numbers]), count, random)
    dealt = {}
    for owner in np.unique(turns):
        dealt[owner] = iter(_deal(numbers[owners[numbers] == owner], int((turns == owner).sum()), random))
    return np.array([next(dealt[owner]) for owner in turns], dtype=int)


def make_loader(samples: Dataset[T], batch_size: int, workers: int, is_training: bool) -> DataLoader[T]:
    """Batches in the samples' own order.

    Training leaves out a last batch that is not full: the order is another one next epoch, statistics of one slice are
    none, and a compiled network would be compiled again for it.
    """
    return DataLoader(
        samples,
        batch_size=batch_size,
        num_workers=workers,
        # torch's Dataset declares no __len__, which ours have.
        drop_last=is_training and len(samples) >= batch_size,  # type: ignore[arg-type]
        pin_memory=torch.cuda.is_available(),
    )


def _deal(numbers: NDArray[np.int_], count: int, random: np.random.Generator) -> NDArray[np.int_]:
    """`count` of the numbers, through one shuffle after the other."""
    rounds = -(-count // len(numbers))
    return np.concatenate([random.permutation(numbers) for _ in range(rounds)] or [numbers[:0]])[:count]
