"""What a run leaves behind while it goes on: checkpoints, a line an epoch; and when it stops early."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from torch import nn

from ml.atomic_files import fresh_file
from ml.networks.checkpoints import CheckpointError, write_checkpoint
from ml.networks.folding import fold, folded_architecture
from ml.training.configuration import Configuration
from ml.training.errors import TrainingError
from ml.training.module import MONITOR, SegmentationModule

BEST_FILE = "best.pth"
FINAL_FILE = "final.pth"
INTERRUPTED_FILE = "interrupted.pth"
LAST_FILE = "last.ckpt"
# EMA warm-up: decay = min(decay, (1 + n) / (10 + n)) after n updates. Without it the average would be
# mostly random weights for as long as it is long.
_AVERAGING_DELAY = 10
_DIVERGED = (
    "The training has diverged: start again with lower learning rates, loop.gradient_clip=1 or loop.precision=32-true."
)

logger = logging.getLogger(__name__)


def averaging(decay: float) -> WeightAveraging:
    """An exponential moving average of the weights and batch statistics (Polyak and Juditsky, 1992), which warms up."""

    def average(mean: torch.Tensor, current: torch.Tensor, updates: torch.Tensor | int) -> torch.Tensor:
        kept = min(decay, (1 + int(updates)) / (_AVERAGING_DELAY + int(updates)))
        return kept * mean + (1 - kept) * current

    return WeightAveraging(use_buffers=True, avg_fn=average)


class CheckpointCallback(Callback):
    """Keeps `last.ckpt` to go on from, `best.pth` in the published form, and after an interruption `interrupted.pth`.

    It must stand before the averaging of weights among the callbacks: in validation it sees the averaged ones.
    """

    def __init__(self, folder: Path, configuration: Configuration, data: Mapping[str, Any]) -> None:
        self._folder = folder
        self._configuration = configuration
        self._data = data
        self.best: float | None = None
        self.best_epoch: int | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write `best.pth` where the patient Dice is the highest of the last stage so far."""
        if trainer.sanity_checking or self._configuration.loop.checkpoint == "last":
            return
        if not _is_last_stage(self._configuration, trainer.current_epoch):
            return
        found = cast(SegmentationModule, pl_module).agreement.agreement()
        value = found.patient_dice or 0.0
        if self.best is None or value > self.best:
            self.best, self.best_epoch = value, trainer.current_epoch + 1
            figures = {"val_iou": found.patient_iou, "val_dice": found.patient_dice}
            try:
                self._write(trainer, pl_module, BEST_FILE, figures)
            except CheckpointError as error:
                raise diverged(self.best_epoch, error) from error

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Replace `last.ckpt` as a whole, or leave the one before it. Raises OSError."""
        path = self._folder / LAST_FILE
        if not trainer.is_global_zero:
            trainer.save_checkpoint(path)  # every process takes part; this one writes nothing
            return
        with fresh_file(path) as partial:
            trainer.save_checkpoint(partial)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep the weights of a run that was ended early, for packaging; not after a full disk or diverged weights."""
        if trainer.global_step and not isinstance(exception, OSError):
            with suppress(CheckpointError):
                self._write(trainer, pl_module, INTERRUPTED_FILE, {"val_iou": None, "val_dice": None})

    def _write(
        self, trainer: L.Trainer, pl_module: L.LightningModule, name: str, figures: Mapping[str, float | None]
    ) -> None:
        if trainer.is_global_zero:
            figures = {"epoch": trainer.current_epoch + 1, **figures}
            network = cast(SegmentationModule, pl_module).network
            write_published(self._folder / name, network, self._configuration, self._data, figures)


def write_published(
    path: Path,
    network: nn.Module,
    configuration: Configuration,
    data: Mapping[str, Any],
    figures: Mapping[str, float | None],
) -> None:
    """The published form of a network under training. figures: epoch, val_iou, val_dice. Raises as write_checkpoint."""
    values = configuration.model_dump(mode="json")
    started_from = values["network"]["encoder_weights"]
    if started_from is not None:
        values["network"]["encoder_weights"] = Path(started_from).name  # no paths of this machine in a model
    facts = {
        "architecture": asdict(folded_architecture(configuration.architecture)),
        "configuration": values,
        "data": data,
    }
    write_checkpoint(path, fold(network, configuration.architecture), figures, facts)


def diverged(epoch: int, error: Exception) -> TrainingError:
    """What to raise where weights could not be written."""
    return TrainingError(f"After epoch {epoch} {error} {_DIVERGED}")


class DiceEarlyStopping(EarlyStopping):
    """Stops when the validation Dice has not risen for some validations of the last stage."""

    def __init__(self, configuration: Configuration, patience: int) -> None:
        super().__init__(
            monitor=MONITOR,
            mode="max",
            patience=patience,
            min_delta=0.0,
            # Else Lightning decides after `last.ckpt` is written, and before the last stage, too.
            check_on_train_epoch_end=False,
        )
        self._configuration = configuration

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A run that was resumed after it had stopped does not go on."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if _is_last_stage(self._configuration, trainer.current_epoch):
            super().on_validation_end(trainer, pl_module)


class StepLimit(Callback):
    """Ends the run after so many steps, with a validation.

    Not by Lightning's own limit: with it, a resumed run counts an epoch twice.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_at_limit(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, *arguments: object) -> None:
        self._stop_at_limit(trainer)

    def _stop_at_limit(self, trainer: L.Trainer) -> None:
        if trainer.global_step >= self._steps:
            trainer.should_stop = True


class EpochReport(Callback):
    """A line an epoch: losses, agreement, seconds, and how long the rest will take at the pace of the stages so far.

    Raises TrainingError where the loss is NaN or infinite; must stand before CheckpointCallback, which would store it.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._started = 0.0
        self.seconds: list[float] = []

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = list(state_dict["seconds"])

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loss = trainer.callback_metrics.get("train_loss")
        if loss is not None and not torch.isfinite(loss):
            raise TrainingError(f"After epoch {trainer.current_epoch + 1} the loss is {float(loss)}. {_DIVERGED}")
        self.seconds.append(time.monotonic() - self._started)
        parts = [f"epoch {trainer.current_epoch + 1}/{self._configuration.epochs}"]
        if loss is not None:
            parts.append(f"train loss {float(loss):.4f}")
        module = cast(SegmentationModule, pl_module)
        found = module.last_agreement
        if found is not None and found.patient_dice is not None:
            parts.append(f"validation patient Dice {found.patient_dice:.4f}, slice Dice {found.slice_dice:.4f}")
            if found.false_alarms is not None:
                parts.append(f"false alarms {found.false_alarms:.1%}")
        module.last_agreement = None
        remaining = self._remaining(trainer.current_epoch)
        parts.append(f"{self.seconds[-1]:.0f} s, {timedelta(seconds=round(remaining))} to go")
        if trainer.is_global_zero:
            logger.info("%s", "; ".join(parts))

    def _remaining(self, epoch: int) -> float:
        """Seconds, if each pixel of the training slices to come takes as long as one of this epoch."""
        pixels = [(stage.crop or stage.size) ** 2 for stage in self._configuration.stages for _ in range(stage.epochs)]
        return self.seconds[-1] * sum(pixels[epoch + 1 :]) / pixels[epoch]


def _is_last_stage(configuration: Configuration, epoch: int) -> bool:
    return epoch >= configuration.epochs - configuration.stages[-1].epochs
