"""How well the network agrees with the experts while it trains: counts per patient, added over batches."""

import math
from dataclasses import dataclass

import torch
from torchmetrics import Metric


@dataclass(frozen=True)
class Agreement:
    """Threshold 0.5, every component kept, on the model's grid. None where no slice has tumor.

    patient_dice, patient_iou: pixels pooled over a patient's slices, mean over patients whose truth has tumor.
    slice_dice: mean over slices whose truth has tumor. false_alarms: share of the others with a pixel found.
    """

    patient_dice: float | None
    patient_iou: float | None
    slice_dice: float | None
    false_alarms: float | None


class PatientAgreement(Metric):
    """Collects counts; `agreement` says what they amount to."""

    full_state_update = False
    pooled: torch.Tensor  # (patients * 3,): overlap, found, truth of each patient
    slices: torch.Tensor  # (4,): Dice and number of slices with tumor, false alarms and number of the others

    def __init__(self, patients: int) -> None:
        super().__init__()
        for name, width in (("pooled", patients * 3), ("slices", 4)):
            self.add_state(name, torch.zeros(width, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, tumor_logit: torch.Tensor, labels: torch.Tensor, patients: torch.Tensor) -> None:
        """tumor_logit: (N, h, w), above 0 is tumor; labels: uint8 (N, h, w); patients: int (N,)."""
        found, truth = tumor_logit > 0, labels > 0
        rows = torch.stack([(part).sum((1, 2)) for part in (found & truth, found, truth)], dim=1).double()  # (N, 3)
        self.pooled.view(-1, 3).index_add_(0, patients, rows)
        overlap, in_found, in_truth = rows.unbind(1)
        has_tumor = in_truth > 0
        dice = 2 * overlap / (in_found + in_truth).clamp(min=1)
        self.slices += torch.stack(
            [dice[has_tumor].sum(), has_tumor.sum(), (in_found[~has_tumor] > 0).sum(), (~has_tumor).sum()]
        )

    def compute(self) -> torch.Tensor:
        """The figures of Agreement in their order, float64 (4,), NaN for None; of everything since the last reset."""
        overlap, found, truth = self.pooled.view(-1, 3).unbind(1)
        has_tumor = truth > 0
        dice_sum, with_tumor, alarms, without = self.slices.unbind()
        dice = (2 * overlap / (found + truth))[has_tumor].mean()
        iou = (overlap / (found + truth - overlap))[has_tumor].mean()
        return torch.stack([dice, iou, dice_sum / with_tumor, alarms / without])

    def agreement(self) -> Agreement:
        """The same as an Agreement."""
        return Agreement(*(None if math.isnan(value) else value for value in self.compute().tolist()))
