"""One step of training and of validation, and the learning rates."""

from collections.abc import Callable

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.nn import functional

from ml.networks import build_network
from ml.networks.logits import tumor_logit
from ml.training.agreement import Agreement, PatientAgreement
from ml.training.configuration import Configuration
from ml.training.losses import SegmentationLoss
from ml.training.samples import REPEATED
from ml.training.schedules import stage_rate_share

# What callbacks watch: mean patient Dice on the validation patients.
MONITOR = "val_dice"


class SegmentationModule(L.LightningModule):
    """A network under training. Batches: float32 (N, C, h, w), uint8 (N, h, w), for validation int (N,) patients."""

    def __init__(self, configuration: Configuration, patients: int, is_resumed: bool = False) -> None:
        """`patients`: number of validation patients. is_resumed: weights are loaded from a checkpoint afterwards.

        Raises CheckpointError where the encoder's weights cannot be had.
        """
        super().__init__()
        self.configuration = configuration
        chosen = configuration.network
        network = build_network(configuration.architecture, None if is_resumed else chosen.encoder_weights)
        self.network = network.to(memory_format=torch.channels_last)
        _add_dropout(network, chosen.decoder_dropout, chosen.head_dropout)
        if chosen.is_encoder_frozen:
            network.get_submodule("encoder").requires_grad_(False)
        self.loss = SegmentationLoss(configuration.loss)
        self.agreement = PatientAgreement(patients)
        self.last_agreement: Agreement | None = None
        self.train()

    def on_fit_start(self) -> None:
        if self.configuration.loop.is_compiled:
            self.network.compile()

    def on_train_epoch_start(self) -> None:
        self.network.train()
        chosen = self.configuration.network
        is_frozen = chosen.is_encoder_frozen or self.current_epoch < chosen.freeze_epochs
        encoder = self.network.get_submodule("encoder")
        encoder.requires_grad_(not is_frozen)
        if is_frozen:
            encoder.eval()  # its batch statistics are frozen with its weights

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        if batch_idx == 0:
            # Dropout follows from the seed and the epoch alone, as the samples do: a resumed run is the same run. Not
            # at the epoch's start: loaders draw after that, and after a resume one time less.
            seeds = np.random.SeedSequence((self.configuration.loop.seed, self.current_epoch, self.global_rank))
            torch.manual_seed(int(seeds.generate_state(1)[0]))
        schedule, batches = self.configuration.schedule, self.trainer.num_training_batches
        share = stage_rate_share(self.configuration, self.current_epoch + batch_idx / batches)
        was_warming = self.current_epoch + (batch_idx - 1) / batches < schedule.warmup_epochs
        if share is None and was_warming:
            share = self.configuration.stage_at(self.current_epoch).rate_share
        if share is not None:
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = group["full_lr"] * share

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        inputs, labels = batch
        loss: torch.Tensor = self.loss(self.network(inputs.to(memory_format=torch.channels_last)), labels)
        self.log("train_loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(inputs))
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], batch_idx: int) -> None:
        inputs, labels, patients = batch
        # Not through __call__: the compiled network would be compiled again for each size of a batch.
        logits = self.network.forward(inputs.to(memory_format=torch.channels_last)).float()
        is_counted = patients != REPEATED
        if not is_counted.any():  # the last batch of one of several processes
            return
        logits, labels, patients = logits[is_counted], labels[is_counted], patients[is_counted]
        self.log("val_loss", self.loss(logits, labels), on_epoch=True, batch_size=len(labels), sync_dist=True)
        self.agreement.update(tumor_logit(logits)[:, 0], labels, patients)

    def on_validation_epoch_end(self) -> None:
        found = self.agreement.agreement()
        self.agreement.reset()
        self.last_agreement = found
        named = {
            MONITOR: found.patient_dice,
            "val_iou": found.patient_iou,
            "val_slice_dice": found.slice_dice,
            "val_false_alarms": found.false_alarms,
        }
        # Without tumor in any validation patient there is no Dice; 0 then lets the first checkpoint stand.
        self.log_dict({name: value or 0.0 for name, value in named.items()}, prog_bar=False)
        plateau = self.lr_schedulers()
        if isinstance(plateau, torch.optim.lr_scheduler.ReduceLROnPlateau):
            plateau.step(found.patient_dice or 0.0)

    def lr_scheduler_step(self, scheduler: object, metric: object) -> None:
        """Not by Lightning: it steps after `last.ckpt` is written, so a resumed run would lack a step."""

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer, and the plateau's scheduler where there is one, as Lightning takes them."""
        chosen, schedule = self.configuration.optimizer, self.configuration.schedule
        encoder = [weight for weight in self.network.get_submodule("encoder").parameters() if weight.requires_grad]
        of_encoder = {id(weight) for weight in encoder}
        rest = [weight for weight in self.network.parameters() if weight.requires_grad and id(weight) not in of_encoder]
        groups = []
        for weights, rate in ((encoder, chosen.encoder_lr), (rest, chosen.decoder_lr)):
            # No decay of norms and biases: it would only pull their output towards 0 (He et al., 2019,
            # arXiv:1812.01187, section 3.1).
            for is_vector, decay in ((False, chosen.weight_decay), (True, 0.0)):
                params = [weight for weight in weights if (weight.ndim <= 1) == is_vector]
                if params:
                    groups.append({"params": params, "lr": rate, "full_lr": rate, "weight_decay": decay})
        build = torch.optim.AdamW if chosen.name == "adamw" else torch.optim.Adam
        optimizer = build(groups)
        if schedule.name != "plateau":
            return {"optimizer": optimizer}
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=schedule.factor, patience=schedule.patience
        )
        every = self.configuration.loop.validate_every
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": MONITOR, "frequency": every},
        }


def _add_dropout(network: nn.Module, decoder: float, head: float) -> None:
    """Dropout of channels before each block of the decoder and before the head; no keys of the weights change."""

    def drop(share: float) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...] | None]:
        def hook(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
            if not module.training:
                return None
            return (functional.dropout2d(arguments[0], share), *arguments[1:])

        return hook

    if decoder:
        for block in network.get_submodule("decoder.blocks").children():
            block.register_forward_pre_hook(drop(decoder))
    if head:
        network.get_submodule("segmentation_head").register_forward_pre_hook(drop(head))
