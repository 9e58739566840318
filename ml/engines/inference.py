"""The path of a slice through a network: onto its grid, cropped to the brain, back to the scan's grid.

The engine of every single network is a `NetworkEngine`, so all of them see the same pixels; a subclass adds its network
on a sequence of crops. Never imports torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.cards import OOD_FILE, SEQUENCES_FILE, Card
from ml.engines import EngineError, Inference
from ml.engines.context import Context
from ml.engines.crops import Crop, find_crop
from ml.ood.background import has_bright_background
from ml.ood.detector import OodDetector, is_plain
from ml.ood.sequences import Look, SequenceClassifier, look_at
from ml.ood.training_slices import TrainingSlices
from ml.preprocessing import black_input, normalize_together, place_on_grid, quantize, resize_to_scan

# Slices of a long stack that are resampled together and then sorted by the size of their crops; bounds the memory.
_AT_ONCE = 64

# One crop's probabilities, float32 (h, w), and its features, float32 (D,), or None for a network without.
Answer = tuple[NDArray[np.float32], NDArray[np.float32] | None]


class NetworkEngine(ABC):
    """A network with the resampling, the crops and the checks of the input of its package.

    Not thread-safe: one engine serves one thread at a time.
    """

    name: str

    def __init__(
        self,
        card: Card,
        crops: Sequence[tuple[int, int]],
        detector: OodDetector | None = None,
        classifier: SequenceClassifier | None = None,
        training: TrainingSlices | None = None,
    ) -> None:
        """crops: sizes (height, width) that a slice may be cropped to; none: whole slices alone."""
        self.card = card
        self._crops = tuple(crops)
        self._detector = detector
        self._classifier = classifier
        self._training = training
        # Features of a black crop by its size: they never change.
        self._black: dict[tuple[int, int], NDArray[np.float32] | None] = {}

    def warm_up(self) -> None:
        """Run each size once, so that compiling does not delay the first slice. Raises EngineError."""
        for size in (self.card.input.size, *self._crops):
            features = self._features_of_black(size)
            if features is not None:
                self._check_fit(features[None])

    def probability_map(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """pixels: uint8 (N, H, W, 3). Returns round(255 p), uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).probability_u8

    def infer(
        self,
        pixels: NDArray[np.uint8],
        context: Context | None = None,
        *,
        is_exact: bool = False,
        is_checked: bool = True,
    ) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the same map, with features and the out-of-distribution check.

        A slice of one color shows nothing and skips the network: p = 0. context: says which slices are asked for; of
        the others only those are looked at that the network takes as neighbors. is_exact: with the map before it is
        rounded to 8 bits. is_checked: with what detector and classifier say.
        Raises EngineError where the network answers with NaN, and where a check was fitted on other features.
        """
        place = context or Context.of_single(len(pixels))
        given, pixels = pixels, pixels[place.asked]
        detector, classifier = (self._detector, self._classifier) if is_checked else (None, None)
        looks = _Looks(pixels, classifier is not None, self._training)
        count, height, width, _ = pixels.shape
        probability_u8 = np.zeros((count, height, width), dtype=np.uint8)
        probability = np.zeros((count, height, width), dtype=np.float32) if is_exact else None
        is_blank = is_plain(pixels)
        shown = np.flatnonzero(~is_blank)
        features: NDArray[np.float32] | None = None
        if len(shown) < count and (of_black := self._features_of_black(self.card.input.size)) is not None:
            features = np.tile(of_black, (count, 1))  # (N, D)
        for start in range(0, len(shown), _AT_ONCE):
            part = shown[start : start + _AT_ONCE]
            for index, (probabilities, found) in zip(*self._answers(given, place, part, looks.take), strict=True):
                resized = resize_to_scan(probabilities[None], height, width)[0]
                probability_u8[index] = quantize(resized)
                if probability is not None:
                    probability[index] = resized
                if found is not None:
                    features = np.empty((count, len(found)), np.float32) if features is None else features
                    features[index] = found
        of_training = looks.of_training
        if features is None:
            return Inference(probability_u8, probability=probability, is_of_training=of_training)
        self._check_fit(features)
        is_unlike = None if detector is None else detector.is_out_of_distribution(features) | is_blank
        return Inference(
            probability_u8,
            features,
            is_unlike,
            None if classifier is None else classifier.judge(looks.of_sequences, features),
            probability,
            of_training,
            is_bright=None if is_unlike is None else _bright_among(pixels, is_unlike),
        )

    @abstractmethod
    def _run(self, inputs: Iterator[tuple[Crop, NDArray[np.float32]]], count: int) -> Iterable[Answer]:
        """The network on so many crops with their normalized pixels, float32 (C, h, w), equal sizes next to each other.

        Returns the answers in the same order. Asking for an input may take a while: best with one under way.
        """

    def _answers(
        self,
        pixels: NDArray[np.uint8],
        context: Context,
        indices: NDArray[np.intp],
        meanwhile: Callable[[int], None],
    ) -> tuple[list[int], Iterator[Answer]]:
        """The slices `indices` in the order in which they are answered, and their answers on the model's whole grid.

        indices: int (n,), among those asked for. A slice's neighbors are cropped where it is. meanwhile: called with
        each of them while the network works.
        """
        convention = self.card.input
        around = [context.around(context.start + int(index), convention.neighbors) for index in indices]
        taken = sorted({one for places in around for one in places})
        grid = dict(zip(taken, place_on_grid(pixels[taken], convention), strict=True))  # (h, w, C) each
        crops = [find_crop(grid[places[convention.neighbors]], self._crops) for places in around]
        sizes = {crop.size for crop in crops}
        for size in sizes | {convention.size} if sizes != {convention.size} else ():
            self._features_of_black(size)  # before the sequence starts: `_run` cannot be entered twice at once
        order = sorted(range(len(crops)), key=lambda place: crops[place].size)

        def inputs() -> Iterator[tuple[Crop, NDArray[np.float32]]]:
            for place in order:
                yield (
                    crops[place],
                    normalize_together([crops[place].of(grid[one]) for one in around[place]], convention),
                )
                meanwhile(int(indices[place]))  # the network has begun with it

        found = self._run(inputs(), len(order))
        answers = (self._on_whole_grid(crops[place], answer) for place, answer in zip(order, found, strict=True))
        return [int(indices[place]) for place in order], answers

    def _on_whole_grid(self, crop: Crop, answer: Answer) -> Answer:
        """A crop's answer on the whole grid: p = 0 outside of the crop, features as if the outside were black."""
        probabilities, features = answer
        if not np.isfinite(probabilities).all() or (features is not None and not np.isfinite(features).all()):
            raise EngineError(
                f"The model {self.card.name} answered with NaN; its package or this processor is at fault."
            )
        size = self.card.input.size
        if crop.size == size:
            return answer
        whole = np.zeros(size, dtype=np.float32)
        crop.of(whole)[...] = probabilities
        # Features are means over feature maps: the mean over the grid is the area-weighted sum of the crop's mean and
        # of its black surroundings', the latter being a black grid's less a black crop's.
        black_grid, black_crop = self._features_of_black(size), self._features_of_black(crop.size)
        if features is None or black_grid is None or black_crop is None:
            return whole, None
        share = crop.height * crop.width / (size[0] * size[1])
        return whole, share * features + (black_grid - share * black_crop)

    def _features_of_black(self, size: tuple[int, int]) -> NDArray[np.float32] | None:
        """float32 (D,), the features of a black input of this size; None for a network without features."""
        if size not in self._black:
            black = black_input(self.card.input, size)
            ((_, self._black[size]),) = self._run(iter([(Crop(0, 0, *size), black)]), 1)
        return self._black[size]

    def _check_fit(self, features: NDArray[np.float32]) -> None:
        """Raises EngineError where a check was fitted on other features than these, float32 (N, D)."""
        for check, file in ((self._detector, OOD_FILE), (self._classifier, SEQUENCES_FILE)):
            if check is not None and features.shape[1] != check.feature_count:
                raise EngineError(
                    f"The model {self.card.name} has {features.shape[1]} features and {file} {check.feature_count};"
                    " make the package again with `python -m ml package --calibrate`."
                )


class _Looks:
    """What the checks of the input see of slices without the network, each looked at once."""

    def __init__(self, pixels: NDArray[np.uint8], looks_at_sequences: bool, training: TrainingSlices | None) -> None:
        """pixels: uint8 (N, H, W, 3)."""
        self._pixels = pixels
        self._looks_at_sequences = looks_at_sequences
        self._training = training
        self._sequences: dict[int, Look] = {}
        self._known: dict[int, bool] = {}

    def take(self, index: int) -> None:
        """Look at a slice."""
        if self._looks_at_sequences and index not in self._sequences:
            self._sequences[index] = look_at(self._pixels[index])
        if self._training is not None and index not in self._known:
            self._known[index] = self._training.is_known(self._pixels[index])

    @property
    def of_sequences(self) -> list[Look]:
        """Of all slices, for `SequenceClassifier.judge`."""
        return [self._sequences[index] for index in self._all()]

    @property
    def of_training(self) -> NDArray[np.bool] | None:
        """Slices that the model was trained on, bool (N,); None where the package cannot tell."""
        if self._training is None:
            return None
        return np.array([self._known[index] for index in self._all()], dtype=np.bool)

    def _all(self) -> range:
        places = range(len(self._pixels))
        for index in places:
            self.take(index)
        return places


def _bright_among(pixels: NDArray[np.uint8], is_unlike: NDArray[np.bool]) -> NDArray[np.bool]:
    """Slices that are out of distribution and have a bright background, bool (N,). pixels: uint8 (N, H, W, 3)."""
    is_bright = np.zeros(len(pixels), dtype=np.bool)
    is_bright[is_unlike] = has_bright_background(pixels[is_unlike])
    return is_bright
