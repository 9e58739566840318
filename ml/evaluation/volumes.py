"""The slices of a volume put together again, beside the expert's: what can only be measured in 3-D."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml.datasets.volume_slices import VolumeSlice
from ml.metrics.registry import VOLUME_METRICS
from ml.metrics.slices import Value
from ml.metrics.volumes import VolumeComparison


class _Bits(NamedTuple):
    """Rows of a slice's truth and mask, packed, (H, bytes of a row); columns: W."""

    truth: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    columns: int


class VolumeCollector:
    """Takes slices in any order and measures a patient as soon as all of them are there, one bit a voxel meanwhile.

    A patient of whom a slice failed is never measured: half a tumor has no volume.
    """

    def __init__(self) -> None:
        self._slices: dict[str, dict[int, _Bits]] = {}
        self._measured: dict[str, dict[str, Value]] = {}

    @property
    def measured(self) -> Mapping[str, Mapping[str, Value]]:
        """By patient, the metrics of `VOLUME_METRICS`."""
        return self._measured

    def add(
        self, patient: str, index: int, volume: VolumeSlice, truth: NDArray[np.bool], mask: NDArray[np.bool]
    ) -> None:
        """One slice; truth, mask: bool (H, W)."""
        slices = self._slices.setdefault(patient, {})
        slices[index] = _Bits(np.packbits(truth, axis=1), np.packbits(mask, axis=1), truth.shape[1])
        if len(slices) == volume.slices:
            self._measured[patient] = _measure([slices[place] for place in sorted(slices)], volume.spacing_mm)
            del self._slices[patient]


def _measure(slices: list[_Bits], spacing_mm: tuple[float, float, float]) -> dict[str, Value]:
    columns = slices[0].columns
    truth = _unpack([one.truth for one in slices], columns)
    mask = _unpack([one.mask for one in slices], columns)
    compared = VolumeComparison(truth, mask, spacing_mm)
    return {metric.name: metric.compute(compared) for metric in VOLUME_METRICS}


def _unpack(slices: list[NDArray[np.uint8]], columns: int) -> NDArray[np.bool]:
    """(N, H, W)."""
    return np.unpackbits(np.stack(slices), axis=2, count=columns).view(np.bool)
