"""The data of a run: the patients on each side, and a loader an epoch and stage."""

from collections.abc import Iterator

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from ml.datasets import Case
from ml.preprocessing import normalize_together
from ml.training.configuration import Configuration
from ml.training.samples import (
    SliceCache,
    TrainingDataset,
    TrainingSample,
    ValidationDataset,
    ValidationSample,
    draw_balanced,
    make_loader,
)
from ml.training.statistics import SEED_OFFSET


class SliceDataModule(L.LightningDataModule):
    """Training and validation slices at the resolution of the epoch's stage."""

    def __init__(self, training: tuple[Case, ...], validation: tuple[Case, ...], configuration: Configuration) -> None:
        super().__init__()
        self._sides = {"train": training, "validation": validation}
        self._configuration = configuration
        self._slices: dict[str, SliceCache] = {}
        self._size: int | None = None

    def train_dataloader(self) -> DataLoader[TrainingSample]:
        epoch = self._epoch
        stage = self._configuration.stage_at(epoch)
        samples = TrainingDataset(self._on_grid("train", stage.size), self._configuration, stage, epoch)
        return make_loader(samples, stage.batch_size, self._configuration.loop.workers, is_training=True)

    def val_dataloader(self) -> DataLoader[ValidationSample]:
        stage = self._configuration.stage_at(self._epoch)
        processes = 1 if self.trainer is None else self.trainer.world_size
        samples = ValidationDataset(self._on_grid("validation", stage.size), processes)
        return make_loader(samples, stage.batch_size, self._configuration.loop.workers, is_training=False)

    @property
    def _epoch(self) -> int:
        return 0 if self.trainer is None else self.trainer.current_epoch

    def plain_batches(self, count: int) -> Iterator[torch.Tensor]:
        """About `count` training slices without augmentation, patients evenly, on the last stage's grid.

        float32 (N, C, h, w), in full batches.
        """
        stage = self._configuration.stages[-1]
        slices = self._on_grid("train", stage.size)
        random = np.random.default_rng(np.random.SeedSequence((self._configuration.loop.seed, SEED_OFFSET)))
        order = draw_balanced(slices.has_tumor, slices.owners, None, count, random)
        size = min(stage.batch_size, len(order))
        for start in range(0, len(order) - size + 1, size):
            stacks = [slices.with_neighbors(int(index)) for index in order[start : start + size]]
            inputs = [normalize_together(list(stack), slices.convention) for stack in stacks]
            yield torch.from_numpy(np.stack(inputs))

    def _on_grid(self, side: str, size: int) -> SliceCache:
        """The side's slices on the grid of `size`; those of an earlier stage are freed first."""
        if size != self._size:
            self._slices, self._size = {}, size
        if side not in self._slices:
            self._slices[side] = SliceCache(self._sides[side], self._configuration, size)
        return self._slices[side]
