"""The stored arrays of finished cases: probability maps and expert masks, in groups of the cases of one commit."""

from collections.abc import Iterable

import numpy as np

from webapp.domain.resources import Resources
from webapp.domain.storage.arrays import read_group, write_group


def write_maps(
    resources: Resources, key: str, found: Iterable[tuple[int, np.ndarray | None, np.ndarray | None]]
) -> bool:
    """Store what there is of some cases as one group. False where there is nothing to store.

    found: position, probability map, uint8 (H, W), and truth, bool (H, W). Raises StorageFull, StorageUnavailable.
    """
    arrays: dict[str, np.ndarray] = {}
    for position, probability_u8, truth in found:
        if probability_u8 is not None:
            arrays[_map_name(position)] = probability_u8
        if truth is not None:
            arrays[_truth_name(position)] = np.packbits(truth)  # (H, W) to bits in one row
    if arrays:
        write_group(resources.storage, key, arrays)
    return bool(arrays)


def read_maps(resources: Resources, key: str, position: int) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The probability map, uint8 (H, W), and the truth, bool (H, W), of a case; None where the map is not in the group.

    Raises StorageUnavailable where the group is missing or damaged.
    """
    probability_u8, bits = read_group(resources.storage, key, [_map_name(position), _truth_name(position)])
    if probability_u8 is None:
        return None
    if bits is None:
        return probability_u8, None
    return probability_u8, np.unpackbits(bits, count=probability_u8.size).reshape(probability_u8.shape).astype(bool)


def _map_name(position: int) -> str:
    return f"q{position}"


def _truth_name(position: int) -> str:
    return f"t{position}"
