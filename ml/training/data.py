"""The data of a run: the patients on each side, and a loader an epoch and stage."""

import lightning as L
from torch.utils.data import DataLoader

from ml.datasets import Case
from ml.training.configuration import Configuration
from ml.training.samples import Slices, TrainingSamples, ValidationSamples, make_loader


class SliceData(L.LightningDataModule):
    """Training and validation slices at the resolution of the epoch's stage."""

    def __init__(self, training: tuple[Case, ...], validation: tuple[Case, ...], configuration: Configuration) -> None:
        super().__init__()
        self._sides = {"train": training, "validation": validation}
        self._configuration = configuration
        self._slices: dict[str, Slices] = {}
        self._size: int | None = None

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch
        stage = self._configuration.stage_at(epoch)
        samples = TrainingSamples(self._on_grid("train", stage.size), self._configuration, stage, epoch)
        return make_loader(samples, stage.batch_size, self._configuration.loop.workers, is_training=True)

    def val_dataloader(self) -> DataLoader:
        stage = self._configuration.stage_at(self.trainer.current_epoch)
        samples = ValidationSamples(self._on_grid("validation", stage.size))
        return make_loader(samples, stage.batch_size, self._configuration.loop.workers, is_training=False)

    def _on_grid(self, side: str, size: int) -> Slices:
        """The side's slices on the grid of `size`; those of an earlier stage are let go first."""
        if size != self._size:
            self._slices, self._size = {}, size
        if side not in self._slices:
            self._slices[side] = Slices(self._sides[side], self._configuration, size)
        return self._slices[side]
