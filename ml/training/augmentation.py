"""What training does to a slice and its labels before the network sees them; every draw from the seed that is given."""

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.training.configuration import Augmentation

# Before it is imported: albumentations else asks PyPI for a newer version of itself, and warns where it cannot.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A

_FLAIR = 1
# As shares of the grid's side, so that a stage at 128 pixels sees the deformations of one at 256.
_ELASTIC_ALPHA, _ELASTIC_SIGMA = 60 / 128, 8 / 128
_BLUR_SIGMA = (0.5 / 160, 1.2 / 160)


class Augmenter:
    """Geometry by albumentations on image and labels together, then gray levels, channel by channel.

    Not thread-safe: one augmenter a loading process.
    """

    def __init__(self, configuration: Augmentation, crop: int | None) -> None:
        """`crop`: side of the square that is cut out at random; None keeps all."""
        self._configuration = configuration
        self._crop = crop
        self._side: int | None = None
        self._geometry = A.Compose([], seed=0)

    def __call__(
        self, image: NDArray[np.uint8], labels: NDArray[np.uint8], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """image: uint8 (S, h, w, C), S slices of a stack, the middle one's labels: uint8 (h, w).

        Returns both, augmented; of `crop` pixels a side. All slices are moved alike and have the same gray levels.
        """
        slices, side, _, channels = image.shape
        if side != self._side:  # one size a stage
            self._side = side
            self._geometry = A.Compose(_geometry(self._configuration, self._crop, self._side), seed=0)
        self._geometry.set_random_seed(seed)
        layered = np.moveaxis(image, 0, 2).reshape(side, side, slices * channels)
        moved = self._geometry(image=np.ascontiguousarray(layered), mask=labels)
        height, width = moved["mask"].shape
        stack = np.moveaxis(moved["image"].reshape(height, width, slices, channels), 2, 0)  # (S, h, w, C)
        random = np.random.default_rng(seed)
        # One below the other, so that a curve of gray levels is that of the sequence in all of them.
        tall = np.ascontiguousarray(stack).reshape(slices * height, width, channels)
        changed = self._change_channels(self._change_gray(tall, height, random), random)
        return self._drop_neighbors(changed.reshape(slices, height, width, channels), random), moved["mask"]

    def _drop_neighbors(self, stack: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
        """Of uint8 (S, h, w, C) the slices below the middle one become it, or those above, as at a stack's ends."""
        middle = len(stack) // 2
        if not middle:  # no draw: a network without neighbors sees what it saw before there were any
            return stack
        for side in (slice(None, middle), slice(middle + 1, None)):
            if random.random() < self._configuration.neighbor_dropout:
                stack[side] = stack[middle]
        return stack

    def _change_gray(self, image: NDArray[np.uint8], side: int, random: np.random.Generator) -> NDArray[np.uint8]:
        """Contrast, brightness and gamma of each channel of its own: sequences come from scanners one by one.

        image: uint8 (S * h, w, C), slices one below the other; side: h.

        Black stays black: it is the air around the head, and what a crop or a shift brings in.
        """
        chosen = self._configuration
        channels = [_curve(image[..., k], chosen, random) for k in range(image.shape[2])]
        changed = np.stack(channels, axis=2)
        if random.random() < chosen.blur:
            sigma = random.uniform(*_BLUR_SIGMA) * side
            blurred = [cv2.GaussianBlur(one, (0, 0), sigma) for one in np.split(changed, len(changed) // side)]
            # OpenCV drops the axis of a single channel.
            changed = np.asarray(np.concatenate(blurred), np.uint8).reshape(image.shape)
        if random.random() < chosen.noise:
            noise = random.normal(0, random.uniform(2, 10), image.shape)
            changed = np.where(changed > 0, np.clip(changed + noise, 0, 255), 0).astype(np.uint8)
        return changed

    def _change_channels(self, image: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
        if image.shape[2] == 1:
            return image
        if random.random() < self._configuration.flair_only:
            return np.repeat(image[..., _FLAIR, None], image.shape[2], axis=2)
        if random.random() < self._configuration.channel_dropout:
            # Never FLAIR, which is what the experts outlined: where another sequence is missing, it stands in.
            image = image.copy()
            image[..., random.choice((0, 2))] = image[..., _FLAIR]
        return image


def _geometry(chosen: Augmentation, crop: int | None, side: int) -> list[A.BasicTransform]:
    steps: list[A.BasicTransform] = [
        A.HorizontalFlip(p=chosen.horizontal_flip),
        A.VerticalFlip(p=chosen.vertical_flip),
        A.RandomRotate90(p=chosen.quarter_turns),
        A.Affine(
            scale=(1 - chosen.scale, 1 + chosen.scale),
            translate_percent=(-chosen.shift, chosen.shift),
            rotate=(-chosen.rotate_degrees, chosen.rotate_degrees),
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_NEAREST,
            p=chosen.affine,
        ),
        A.ElasticTransform(
            alpha=_ELASTIC_ALPHA * side,
            sigma=_ELASTIC_SIGMA * side,
            mask_interpolation=cv2.INTER_NEAREST,
            p=chosen.elastic,
        ),
    ]
    return steps if crop is None else [*steps, A.RandomCrop(crop, crop)]


def _curve(plane: NDArray[np.uint8], chosen: Augmentation, random: np.random.Generator) -> NDArray[np.uint8]:
    """One channel, uint8 (h, w), through a table of 256 gray levels; unchanged with probability 1 - intensity."""
    is_changed = random.random() < chosen.intensity
    gain, contrast, gamma = (random.uniform(-1, 1) for _ in range(3))
    if not is_changed:
        return plane
    levels = np.arange(256) / 255
    inside = plane[plane > 0]
    middle = float(inside.mean()) / 255 if inside.size else 0.5
    levels = middle + (levels - middle) * (1 + chosen.contrast * contrast)
    levels = np.clip(levels * (1 + chosen.brightness * gain), 0, 1)
    levels **= 2 ** (chosen.gamma * gamma)
    table = np.rint(255 * levels).astype(np.uint8)
    table[0] = 0
    changed: NDArray[np.uint8] = table[plane]
    return changed
