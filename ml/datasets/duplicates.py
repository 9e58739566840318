"""Slices that several patients share: a patient who is in a data set twice counts twice."""

from collections import defaultdict
from collections.abc import Iterable


def find_duplicates(slices: Iterable[tuple[str, str | None]]) -> list[list[int]]:
    """Places of slices that are equal and belong to different patients, in groups.

    slices: the patient and `ml.datasets.mask_findings.digest_of_pixels` of each; None is equal to nothing.
    """
    places: dict[str, list[int]] = defaultdict(list)
    patients: dict[str, set[str]] = defaultdict(set)
    for place, (patient, pixels_sha256) in enumerate(slices):
        if pixels_sha256 is not None:
            places[pixels_sha256].append(place)
            patients[pixels_sha256].add(patient)
    return [places[digest] for digest, owners in patients.items() if len(owners) > 1]


def count_duplicates(slices: Iterable[tuple[str, str | None]]) -> int:
    """How many slices are another patient's, too."""
    return sum(map(len, find_duplicates(slices)))
