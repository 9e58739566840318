"""The head of a slice, and what a mask is a share of."""

import numpy as np
import pytest

from ml.head import head_mask
from ml.masks import MaskRule, apply_rule
from ml.measurements import measure

SIDE = 128
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
DISTANCE = np.hypot(ROWS - 64, COLUMNS - 64)


def head_of_radius(radius: float, brightness: int = 120) -> np.ndarray:
    """Scalp, dark skull, brain with black ventricles, noise in the air: uint8 (SIDE, SIDE, 3)."""
    gray = np.random.default_rng(1).integers(0, 5, (SIDE, SIDE))
    gray[radius >= DISTANCE] = brightness
    gray[(radius - 8 <= DISTANCE) & (radius - 4 >= DISTANCE)] = 1
    gray[DISTANCE < 6] = 0
    return np.repeat(gray[..., None], 3, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("brightness", [40, 120, 250])
def test_the_head_is_all_within_the_scalp_at_any_brightness(brightness: int) -> None:
    found = head_mask(head_of_radius(40, brightness)[None])[0]
    assert np.array_equal(found, DISTANCE <= 40)


def test_a_lit_spot_beside_the_head_is_not_of_it() -> None:
    pixels = head_of_radius(40)
    pixels[4:10, 4:10] = 200
    assert not head_mask(pixels[None])[0][:12, :12].any()


def test_one_channel_is_enough_and_a_slice_above_the_head_has_none() -> None:
    pixels = np.stack([head_of_radius(40), head_of_radius(0)])
    pixels[0, ..., 1:] = 0
    found = head_mask(pixels)
    assert (int(found[0].sum()), int(found[1].sum())) == (int((DISTANCE <= 40).sum()), 0)


def test_black_slices_have_no_head() -> None:
    assert not head_mask(np.zeros((2, 16, 16, 3), np.uint8)).any()


def test_a_mask_is_measured_against_the_head_with_its_mean_confidence_and_rim() -> None:
    # A disk of probability 1 with a linear slope of 8 pixels from 1 to 0 around it.
    q = np.round(255 * np.clip(1 - (DISTANCE - 20) / 8, 0, 1)).astype(np.uint8)
    q[2:6, 2:6] = 100  # in doubt elsewhere: no part of this rim
    rule = MaskRule(0.5, 30)
    masks = apply_rule(q[None], rule, is_stack=False)
    found = measure(q[None], masks, None, pixels=head_of_radius(40)[None]).slices[0]
    assert found.head_pixels == (DISTANCE <= 40).sum()
    assert found.mean_confidence == pytest.approx(q[masks.tumor[0]].mean() / 255)
    # From 0.25 to 0.75 the slope takes 4 pixels; a border on a grid has 2 * sqrt(2) / pi as many pixels as its length.
    assert found.rim_pixels / found.border_pixels == pytest.approx(4 * np.pi / (2 * np.sqrt(2)), abs=0.4)


def test_a_sharp_edge_has_no_rim_and_no_mask_no_confidence() -> None:
    q = np.where(DISTANCE < 20, 255, 0).astype(np.uint8)
    sharp = measure(q[None], apply_rule(q[None], MaskRule(0.5), is_stack=False), None).slices[0]
    assert (sharp.rim_pixels, sharp.mean_confidence, sharp.head_pixels) == (0, 1.0, None)
    empty = measure(0 * q[None], apply_rule(0 * q[None], MaskRule(0.5), is_stack=False), None).slices[0]
    assert (empty.rim_pixels, empty.border_pixels, empty.mean_confidence) == (0, 0, None)
