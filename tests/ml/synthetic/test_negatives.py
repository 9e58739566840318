"""The drawn images that are no brains: the same every time, of every kind, of many sizes, and unlike each other."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from ml.synthetic.negatives import COUNT, KINDS, draw_negatives


@pytest.fixture(scope="module")
def drawn():
    return list(draw_negatives(5 * len(KINDS)))


def test_every_kind_comes_in_turn(drawn):
    assert Counter(image.kind for image in drawn) == dict.fromkeys(KINDS, 5)
    assert COUNT == 500


def test_images_are_pixels_of_a_scan_in_many_sizes(drawn):
    assert all(image.pixels.dtype == np.uint8 and image.pixels.ndim == 3 for image in drawn)
    assert all(image.pixels.shape[2] == 3 and min(image.pixels.shape[:2]) >= 64 for image in drawn)
    sizes = [image.pixels.shape[:2] for image in drawn]
    assert len(set(sizes)) > 30
    assert any(height > width for height, width in sizes)
    assert any(height < width for height, width in sizes)
    assert 10 <= sizes.count((256, 256)) <= 30


def test_the_same_seed_draws_the_same_images_and_another_seed_others(drawn):
    def digests(images):
        return [hashlib.sha256(image.pixels.tobytes()).digest() for image in images]

    few = len(KINDS)
    assert digests(draw_negatives(few)) == digests(drawn[:few])
    assert not set(digests(draw_negatives(few, seed=1))) & set(digests(drawn))


def test_only_fields_of_one_color_are_plain(drawn):
    assert all(image.pixels.std() > 1 for image in drawn if image.kind not in ("uniform", "gradient"))
    assert any(np.ptp(image.pixels) == 0 for image in drawn if image.kind == "uniform")


def test_gray_and_color_are_both_there(drawn):
    is_gray = [bool((np.ptp(image.pixels, axis=2) == 0).all()) for image in drawn]
    assert 0.25 < np.mean(is_gray) < 0.75
