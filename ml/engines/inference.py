"""Slices through a network: onto its grid, cropped to the brain, and back to the scan's grid. Never imports torch.

Every engine works through `SliceInference`, so all see the same pixels. What an engine adds is `Run`: how its network
answers a sequence of crops.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ml.cards.card import OOD_FILE, Card
from ml.engines import EngineError, Inference
from ml.engines.crops import Crop, find_crop
from ml.ood.detector import OodDetector, is_plain
from ml.preprocessing import normalize, place_on_grid, to_scan_grid

# Slices of a long stack that are brought to the model's grid together, and sorted by the sizes of their crops.
_AT_ONCE = 64

# One crop's probabilities, float32 (h, w), and its features, float32 (D,), or None for a network without.
Answer = tuple[np.ndarray, np.ndarray | None]
# Crops and their pixels as the network takes them, float32 (C, h, w), equal sizes side by side -> answers in order.
Run = Callable[[Iterator[tuple[Crop, np.ndarray]]], Iterable[Answer]]


class SliceInference:
    """A network between the two grids of a card, and the package's input check."""

    def __init__(self, card: Card, run: Run, detector: OodDetector | None) -> None:
        self._card = card
        self._run = run
        self._detector = detector
        # Features of black crops by their size, computed once for each.
        self._black: dict[tuple[int, int], np.ndarray | None] = {}

    def warm_up(self) -> None:
        """Run each size once, so that the first real slice is not the slow one. Raises EngineError."""
        for size in (self._card.input.size, *self._card.crops):
            features = self._features_of_black(size)
            if features is not None:
                self._is_out_of_distribution(features[None], np.array([True]))

    def infer(self, pixels: np.ndarray) -> Inference:
        """pixels: uint8 (N, H, W, 3). A slice of one colour is answered without the network: it shows nothing.

        Raises EngineError where the network answers with NaN, and where the statistics are of other features.
        """
        count, height, width, _ = pixels.shape
        q = np.zeros((count, height, width), dtype=np.uint8)
        is_blank = is_plain(pixels)
        shown = np.flatnonzero(~is_blank)
        features: np.ndarray | None = None
        if len(shown) < count and (of_black := self._features_of_black(self._card.input.size)) is not None:
            features = np.tile(of_black, (count, 1))
        for start in range(0, len(shown), _AT_ONCE):
            part = shown[start : start + _AT_ONCE]
            for index, (probabilities, found) in zip(*self._answers(pixels, part), strict=True):
                q[index] = to_scan_grid(probabilities[None], height, width)[0]
                if found is not None:
                    features = np.empty((count, len(found)), np.float32) if features is None else features
                    features[index] = found
        return Inference(q, features, self._is_out_of_distribution(features, is_blank))

    def _answers(self, pixels: np.ndarray, indices: np.ndarray) -> tuple[list[int], Iterator[Answer]]:
        """The slices in the order in which they are answered, and answers for the whole grid."""
        convention = self._card.input
        grid = place_on_grid(pixels[indices], convention)
        crops = [find_crop(item, self._card.crops) for item in grid]
        for size in {crop.size for crop in crops} - {convention.size}:
            self._features_of_black(size)  # now: an engine answers one sequence at a time
        order = sorted(range(len(crops)), key=lambda place: crops[place].size)
        inputs = ((crops[place], normalize(crops[place].of(grid[place])[None], convention)[0]) for place in order)
        answers = (
            self._on_whole_grid(crops[place], answer) for place, answer in zip(order, self._run(inputs), strict=True)
        )
        return [int(indices[place]) for place in order], answers

    def _on_whole_grid(self, crop: Crop, answer: Answer) -> Answer:
        """Nothing is found where nothing was computed, and features count the black around the crop as black."""
        probabilities, features = answer
        if not np.isfinite(probabilities).all() or (features is not None and not np.isfinite(features).all()):
            raise EngineError(
                f"The model {self._card.name} answered with NaN; its package or this processor is at fault."
            )
        size = self._card.input.size
        if crop.size == size:
            return answer
        whole = np.zeros(size, dtype=np.float32)
        crop.of(whole)[...] = probabilities
        if features is None:
            return whole, None
        # Features are means over a network's maps: the mean over the whole grid is that of the crop, and of what black
        # pixels around it would have given, which is a black grid's less a black crop's.
        share = crop.height * crop.width / (size[0] * size[1])
        around = self._features_of_black(size) - share * self._features_of_black(crop.size)
        return whole, share * features + around

    def _features_of_black(self, size: tuple[int, int]) -> np.ndarray | None:
        """float32 (D,) of a black grid of this size; None for a network without features."""
        if size not in self._black:
            channels = self._card.architecture.in_channels
            black = normalize(np.zeros((1, *size, channels), dtype=np.uint8), self._card.input)[0]
            ((_, self._black[size]),) = self._run(iter([(Crop(0, 0, *size), black)]))
        return self._black[size]

    def _is_out_of_distribution(self, features: np.ndarray | None, is_blank: np.ndarray) -> np.ndarray | None:
        """bool (N,): what the input check says; None where the package has none."""
        if self._detector is None or features is None:
            return None
        if features.shape[1] != self._detector.feature_count:
            raise EngineError(
                f"The model {self._card.name} has {features.shape[1]} features and {OOD_FILE}"
                f" {self._detector.feature_count}; make the package again with `python -m ml package --calibrate`."
            )
        return self._detector.is_out_of_distribution(features) | is_blank
