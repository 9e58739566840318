"""Losses of segmentation. Each says what a batch without tumor costs: most slices of a brain have none.

logits: float (N, K, h, w); labels: uint8 (N, h, w). K = 1: tumor (label > 0) or not, by a sigmoid. K > 1: classes by a
softmax, class 0 is background. All parts are computed in single precision.

| part | without tumor in labels |
|---|---|
| bce | the mean over all pixels, as with tumor |
| dice, pooled over the batch | 0 where nothing is predicted; grows to 1 with every pixel that is |
| dice, image by image | 0: an image without tumor has no Dice |
| focal | as bce |
| boundary | 0: there is no outline to be near to |
"""

import torch
from torch import nn
from torch.nn import functional

from ml.training.configuration import Loss

# Pixels added above and below in Dice: a batch without tumor and without prediction scores 1, so costs nothing.
_SMOOTHING = 1.0


class SegmentationLoss(nn.Module):
    """The weighted sum of the parts that a recipe names."""

    def __init__(self, configuration: Loss) -> None:
        super().__init__()
        self._configuration = configuration

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns a scalar."""
        chosen = self._configuration
        logits = logits.float()
        pixels = pixel_loss(logits, labels, chosen.pos_weight)  # (N, h, w)
        total = logits.new_zeros(())
        if chosen.bce:
            total = total + chosen.bce * pixels.mean()
        if chosen.dice:
            share = chosen.dice_per_image
            pooled, each = dice_loss(logits, labels), image_dice_loss(logits, labels) if share else 0.0
            total = total + chosen.dice * ((1 - share) * pooled + share * each)
        if chosen.focal:
            total = total + chosen.focal * focal_loss(logits, labels, chosen.focal_gamma)
        if chosen.boundary:
            total = total + chosen.boundary * boundary_loss(pixels, labels, chosen.boundary_pixels)
        return total


def pixel_loss(logits: torch.Tensor, labels: torch.Tensor, pos_weight: float = 1.0) -> torch.Tensor:
    """Cross entropy of each pixel, (N, h, w); that of tumor pixels times `pos_weight`."""
    if logits.shape[1] == 1:
        targets = (labels > 0).to(logits.dtype)
        weight = logits.new_tensor(pos_weight)
        return functional.binary_cross_entropy_with_logits(logits[:, 0], targets, reduction="none", pos_weight=weight)
    weights = logits.new_full((logits.shape[1],), pos_weight)
    weights[0] = 1.0
    return functional.cross_entropy(logits, labels.long(), weight=weights, reduction="none")


def dice_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """1 - soft Dice (Milletari et al., 2016, arXiv:1606.04797), pixels pooled over the batch, mean over the classes.

    Pooled: slice by slice, one without tumor would have no Dice to be judged by.
    """
    found, wanted = _foreground(logits, labels)
    pooled = (0, 2, 3)
    overlap, sizes = (found * wanted).sum(pooled), found.sum(pooled) + wanted.sum(pooled)  # (classes,) each
    return (1 - (2 * overlap + _SMOOTHING) / (sizes + _SMOOTHING)).mean()


def image_dice_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """1 - soft Dice of each image and class that has tumor, mean over these; 0 where none has.

    A lesion of 50 pixels weighs as much as one of 5,000, which pooled Dice would hardly notice beside it.
    """
    found, wanted = _foreground(logits, labels)
    overlap = (found * wanted).sum((2, 3))  # (N, classes)
    sizes = found.sum((2, 3)) + wanted.sum((2, 3))
    losses = 1 - (2 * overlap + _SMOOTHING) / (sizes + _SMOOTHING)
    has_tumor = (wanted.sum((2, 3)) > 0).to(losses.dtype)
    return (losses * has_tumor).sum() / has_tumor.sum().clamp(min=1)


def _foreground(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and truth of every class but the background, (N, classes, h, w) each."""
    if logits.shape[1] == 1:
        return torch.sigmoid(logits), (labels > 0)[:, None].to(logits.dtype)
    wanted = functional.one_hot(labels.long(), logits.shape[1]).movedim(-1, 1)[
        :, 1:
    ]  # (N, h, w, K) to (N, K - 1, h, w)
    return torch.softmax(logits, dim=1)[:, 1:], wanted.to(logits.dtype)


def focal_loss(logits: torch.Tensor, labels: torch.Tensor, gamma: float) -> torch.Tensor:
    """Cross entropy times (1 - p)^gamma, p the probability of the right class (Lin et al., 2017, arXiv:1708.02002)."""
    entropy = pixel_loss(logits, labels)  # -log p
    # Not 0, where a gamma below 1 has an infinite slope.
    wrong = (-torch.expm1(-entropy)).clamp(min=1e-12)  # 1 - p
    return (wrong**gamma * entropy).mean()


def boundary_loss(pixels: torch.Tensor, labels: torch.Tensor, half_width: int) -> torch.Tensor:
    """Mean loss of the pixels within `half_width` (city squares) of a change of label; 0 where there is none.

    What the weight map of the U-Net (Ronneberger et al., 2015, arXiv:1505.04597) is for, with a band instead of a bell.
    """
    side = 2 * half_width + 1
    values = labels[:, None].float()
    highest = functional.max_pool2d(values, side, stride=1, padding=half_width)
    lowest = -functional.max_pool2d(-values, side, stride=1, padding=half_width)
    band = (highest != lowest)[:, 0].to(pixels.dtype)  # (N, h, w)
    return (pixels * band).sum() / band.sum().clamp(min=1)
