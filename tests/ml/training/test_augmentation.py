"""What augmentation may change, and what must come with it."""

import numpy as np
import pytest
from scipy import ndimage

from ml.synthetic.phantom_anatomy import Lesion, draw_slice
from ml.training.augmentation import Augmenter
from ml.training.configuration import Augmentation

SEEDS = range(12)
TURNS = {"horizontal_flip": 0.5, "vertical_flip": 0.5, "quarter_turns": 0.75}
BENDS = {"affine": 1.0, "rotate_degrees": 25, "scale": 0.2, "shift": 0.1, "elastic": 0.5}
GREYS = {"intensity": 1.0, "brightness": 0.3, "contrast": 0.3, "gamma": 0.5, "noise": 1.0}


@pytest.fixture(scope="module")
def brain():
    """A drawn slice, uint8 (128, 128, 3), and its lesion, uint8 (128, 128)."""
    pixels, mask = draw_slice(3, 0, 0.05, Lesion(0.27, -0.08, 0.25, 0.3))
    return pixels[::2, ::2].copy(), mask[::2, ::2].astype(np.uint8)


def alone(chosen, crop):
    """An augmenter of slices without neighbors: uint8 (h, w, C)."""
    augment = Augmenter(chosen, crop)

    def augmented(image, labels, seed):
        changed, moved = augment(image[None], labels, seed)
        return changed[0], moved

    return augmented


def shown_as_labels(labels):
    """An image that is its own labels: 200 where there is tumor."""
    return np.repeat(labels[..., None] * np.uint8(200), 3, axis=2)


def test_flips_and_quarter_turns_move_labels_with_the_image(brain):
    _, labels = brain
    augment = alone(Augmentation(**TURNS), None)
    moved = [augment(shown_as_labels(labels), labels, seed) for seed in SEEDS]
    for image, mask in moved:
        assert np.array_equal(image, shown_as_labels(mask))
    assert len({mask.tobytes() for _, mask in moved}) >= 4


def test_bends_move_labels_with_the_image_but_for_interpolation_at_the_edge(brain):
    _, labels = brain
    augment = alone(Augmentation(**TURNS, **BENDS), None)
    for seed in SEEDS:
        image, mask = augment(shown_as_labels(labels), labels, seed)
        assert mask.any()
        assert set(np.unique(mask)) == {0, 1}
        inner = ndimage.binary_erosion(mask, iterations=1)
        outer = ndimage.binary_dilation(mask, iterations=2)
        assert (image[inner] > 100).all()
        assert (image[~outer] < 100).all()


def test_a_crop_cuts_the_same_square_of_both(brain):
    _, labels = brain
    augment = alone(Augmentation(), 64)
    places = set()
    for seed in SEEDS:
        image, mask = augment(shown_as_labels(labels), labels, seed)
        assert image.shape == (64, 64, 3)
        assert np.array_equal(image, shown_as_labels(mask))
        places.add(mask.tobytes())
    assert len(places) > 4


def test_gray_levels_change_the_image_alone_and_black_stays_black(brain):
    image, labels = brain
    image = image.copy()
    image[:20] = 0
    augment = alone(Augmentation(**GREYS), None)
    for seed in SEEDS:
        changed, mask = augment(image, labels, seed)
        assert np.array_equal(mask, labels)
        assert not changed[image == 0].any()
        assert not np.array_equal(changed, image)
        assert (changed.dtype, changed.shape) == (np.uint8, image.shape)


def test_blur_keeps_the_air_around_the_head_black(brain):
    image, labels = brain
    image = image.copy()
    image[:20] = 0
    changed, _ = alone(Augmentation(blur=1.0), None)(image, labels, 1)
    assert not changed[:14].any()
    assert not np.array_equal(changed, image)


def test_what_a_shift_brings_in_is_black_and_no_tumor(brain):
    image = np.full((64, 64, 3), 180, dtype=np.uint8)
    augment = alone(Augmentation(affine=1.0, shift=0.3, intensity=1.0, noise=1.0), None)
    moved, mask = augment(image, np.ones((64, 64), np.uint8), 5)
    outside = ndimage.binary_erosion(mask == 0, iterations=1)
    assert outside.any()
    assert not moved[outside].any()


def test_flair_only_shows_flair_in_every_channel(brain):
    image, labels = brain
    changed, _ = alone(Augmentation(flair_only=1.0), None)(image, labels, 1)
    for channel in range(3):
        assert np.array_equal(changed[..., channel], image[..., 1])


def test_a_dropped_channel_is_never_flair(brain):
    image, labels = brain
    augment = alone(Augmentation(channel_dropout=1.0), None)
    dropped = set()
    for seed in SEEDS:
        changed, _ = augment(image, labels, seed)
        assert np.array_equal(changed[..., 1], image[..., 1])
        replaced = [k for k in (0, 2) if not np.array_equal(changed[..., k], image[..., k])]
        assert len(replaced) == 1
        assert np.array_equal(changed[..., replaced[0]], image[..., 1])
        dropped.update(replaced)
    assert dropped == {0, 2}


def test_one_channel_is_augmented_too(brain):
    image, labels = brain
    augment = alone(Augmentation(**TURNS, **BENDS, **GREYS, blur=1.0, channel_dropout=1.0, flair_only=1.0), 64)
    changed, mask = augment(image[..., :1], labels, 2)
    assert (changed.shape, mask.shape) == ((64, 64, 1), (64, 64))


def test_the_seed_alone_decides(brain):
    image, labels = brain
    chosen = Augmentation(**TURNS, **BENDS, **GREYS, blur=0.5, channel_dropout=0.3, flair_only=0.3)
    first, second = alone(chosen, 96), alone(chosen, 96)
    expected = [first(image, labels, seed) for seed in SEEDS]
    np.random.default_rng(0).random()
    for seed in reversed(SEEDS):
        for given, wanted in zip(second(image, labels, seed), expected[seed], strict=True):
            assert np.array_equal(given, wanted)
    assert len({image.tobytes() for image, _ in expected}) == len(SEEDS)


def test_nothing_chosen_changes_nothing(brain):
    image, labels = brain
    for given, wanted in zip(alone(Augmentation(), None)(image, labels, 3), brain, strict=True):
        assert np.array_equal(given, wanted)


def test_neighbors_are_moved_and_shaded_as_their_slice(brain):
    image, labels = brain
    chosen = Augmentation(**TURNS, **BENDS, **GREYS | {"noise": 0.0}, blur=0.5, flair_only=0.3, channel_dropout=0.3)
    augment = Augmenter(chosen, 96)
    for seed in SEEDS:
        stack, mask = augment(np.stack([image] * 3), labels, seed)
        assert (stack.shape, mask.shape) == ((3, 96, 96, 3), (96, 96))
        assert np.array_equal(stack[0], stack[1])
        assert np.array_equal(stack[2], stack[1])


def test_neighbors_are_taken_away_a_side_at_a_time(brain):
    image, labels = brain
    stack = np.stack([image // part for part in (1, 2, 3, 4, 5)])
    whole, _ = Augmenter(Augmentation(), None)(stack, labels, 1)
    assert np.array_equal(whole, stack)
    lone, _ = Augmenter(Augmentation(neighbor_dropout=1.0), None)(stack, labels, 1)
    assert all(np.array_equal(one, stack[2]) for one in lone)
    augment = Augmenter(Augmentation(neighbor_dropout=0.5), None)
    seen = set()
    for seed in range(24):
        found, _ = augment(stack, labels, seed)
        assert np.array_equal(found[2], stack[2])
        sides = []
        for side in (slice(0, 2), slice(3, 5)):
            is_kept = np.array_equal(found[side], stack[side])
            assert is_kept or all(np.array_equal(one, stack[2]) for one in found[side])
            sides.append(is_kept)
        seen.add(tuple(sides))
    assert len(seen) == 4
