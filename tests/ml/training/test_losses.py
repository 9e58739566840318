"""Losses: closed forms, the references where they agree, slices without tumor, gradients at the ends."""

import math

import pytest
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional

from ml.training.configuration import Loss
from ml.training.losses import SegmentationLoss, boundary_loss, dice_loss, focal_loss, pixel_loss

PARTS = {"bce": 1.0, "dice": 1.0, "focal": 1.0, "boundary": 1.0}


def draw(classes=1, size=16):
    """Logits (3, classes, size, size) and labels, of which the last slice has no tumor."""
    generator = torch.Generator().manual_seed(2)
    logits = 2 * torch.randn(3, classes, size, size, generator=generator)
    labels = torch.randint(0, max(classes, 2), (3, size, size), generator=generator, dtype=torch.uint8)
    labels[2] = 0
    return logits, labels


def test_bce_is_torchs_with_its_weight_of_tumor():
    logits, labels = draw()
    expected = functional.binary_cross_entropy_with_logits(
        logits[:, 0], labels.float(), pos_weight=torch.tensor(3.0), reduction="none"
    )
    torch.testing.assert_close(pixel_loss(logits, labels, 3.0), expected)
    value = pixel_loss(torch.tensor([[[[math.log(3)]]]]), torch.ones(1, 1, 1, dtype=torch.uint8), 2.0)
    assert float(value) == pytest.approx(2 * math.log(4 / 3))  # -2 log 0.75


def test_cross_entropy_weighs_every_class_but_the_background():
    logits, labels = draw(classes=3)
    expected = functional.cross_entropy(logits, labels.long(), weight=torch.tensor([1.0, 2.0, 2.0]), reduction="none")
    torch.testing.assert_close(pixel_loss(logits, labels, 2.0), expected)


def test_dice_is_smps_where_there_is_tumor():
    logits, labels = draw()
    reference = smp.losses.DiceLoss("binary", smooth=0.5)  # counted twice there
    torch.testing.assert_close(dice_loss(logits, labels), reference(logits, labels[:, None].float()))
    logits, labels = draw(classes=3)
    reference = smp.losses.DiceLoss("multiclass", classes=[1, 2], smooth=0.5)
    torch.testing.assert_close(dice_loss(logits, labels), reference(logits, labels.long()))


def test_focal_is_smps_and_without_gamma_cross_entropy():
    logits, labels = draw()
    reference = smp.losses.FocalLoss("binary", gamma=2.0)
    torch.testing.assert_close(focal_loss(logits, labels, 2.0), reference(logits, labels[:, None].float()))
    torch.testing.assert_close(focal_loss(logits, labels, 0.0), pixel_loss(logits, labels).mean())


def test_boundary_is_the_mean_over_a_band_around_the_outline():
    labels = torch.zeros(2, 12, 12, dtype=torch.uint8)
    labels[0, :, 6:] = 2  # the outline runs between columns 5 and 6
    pixels = torch.arange(2 * 12 * 12.0).reshape(2, 12, 12)
    for half_width in (1, 2):
        band = pixels[0, :, 6 - half_width : 6 + half_width]
        assert float(boundary_loss(pixels, labels, half_width)) == pytest.approx(float(band.mean()))


@pytest.mark.parametrize("classes", [1, 3])
def test_batch_without_tumor_costs_what_the_table_says(classes):
    labels = torch.zeros(2, 8, 8, dtype=torch.uint8)
    nothing = torch.full((2, classes, 8, 8), -20.0)
    nothing[:, 0] = -20.0 if classes == 1 else 20.0
    one = nothing.clone()
    one[0, classes - 1, 3, 3] = 60.0
    many = -nothing
    assert float(pixel_loss(nothing, labels).mean()) < 1e-6
    assert float(dice_loss(nothing, labels)) < 1e-4
    assert float(focal_loss(nothing, labels, 2.0)) < 1e-6
    for logits in (nothing, one, many):
        assert float(boundary_loss(pixel_loss(logits, labels), labels, 2)) == 0
    for loss in (lambda x: pixel_loss(x, labels).mean(), lambda x: dice_loss(x, labels)):
        assert float(loss(nothing)) < float(loss(one)) < float(loss(many))
    if classes == 1:
        assert float(dice_loss(one, labels)) == pytest.approx(1 - 1 / 2, abs=1e-4)
    assert float(dice_loss(many, labels)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("scale", [0.0, 50.0, 1e4])
def test_gradient_is_finite_at_extreme_logits(scale, classes, gamma):
    logits, labels = draw(classes)
    for sign in (1, -1):
        leaf = (sign * scale * logits.sign()).requires_grad_()
        for given in (labels, torch.zeros_like(labels)):
            loss = SegmentationLoss(Loss(**PARTS, focal_gamma=gamma, pos_weight=3.0))(leaf, given)
            (gradient,) = torch.autograd.grad(loss, leaf)
            assert torch.isfinite(loss)
            assert torch.isfinite(gradient).all()


def test_parts_add_up_with_their_weights_and_in_single_precision():
    logits, labels = draw()
    parts = {"bce": 1.25, "dice": 0.75, "focal": 0.5, "boundary": 2.0}
    singles = [weight * SegmentationLoss(Loss(**{name: 1.0}))(logits, labels) for name, weight in parts.items()]
    torch.testing.assert_close(SegmentationLoss(Loss(**parts))(logits, labels), sum(singles))
    assert SegmentationLoss(Loss(**parts))(logits.bfloat16(), labels).dtype == torch.float32


def test_any_label_but_0_is_tumor_for_one_logit():
    logits, labels = draw()
    for loss in (dice_loss, lambda x, y: pixel_loss(x, y).mean()):
        torch.testing.assert_close(loss(logits, labels * 7), loss(logits, labels))
