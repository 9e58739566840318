"""Which slices a report shows first: of equal ones the same as the pages, which take them from an index."""

import random
from pathlib import Path

import numpy as np
import pytest

from ml.evaluation.gallery import GALLERY_SIZE, GalleryMaps, Rank, choose_gallery


def chosen(ranks: list[Rank]) -> dict[str, list[int]]:
    found = choose_gallery(ranks, lambda rank: rank)
    return {
        order: [next(i for i, rank in enumerate(ranks) if rank is item) for item in found[order]] for order in found
    }


def test_of_equal_slices_worst_begin_at_the_front_and_best_and_largest_at_the_back() -> None:
    misses = [Rank(0.0, 5) for _ in range(GALLERY_SIZE + 2)]
    assert chosen(misses)["worst"] == [0, 1, 2, 3, 4, 5]
    hits = misses[:GALLERY_SIZE] + [Rank(0.9, 5) for _ in range(GALLERY_SIZE + 2)]
    assert chosen(hits)["best"] == [13, 12, 11, 10, 9, 8]
    alarms = [Rank(None, 50) for _ in range(GALLERY_SIZE + 1)]
    assert chosen(alarms)["false_alarm"] == [6, 5, 4, 3, 2, 1]


def test_few_slices_are_worst_and_never_best_too() -> None:
    found = chosen([Rank(0.9, 5), Rank(0.1, 5), Rank(None, 0), Rank(None, 7)])
    assert found == {"worst": [1, 0], "false_alarm": [3], "best": []}


def test_of_equally_bad_slices_those_that_miss_most_come_first() -> None:
    ranks = [Rank(0.0, 0, missed) for missed in (10, 900, 30, 40, 50, 60, 70)] + [Rank(0.5, 5, 1), Rank(0.9, 5, 5000)]
    found = chosen(ranks)
    assert found["worst"] == [1, 6, 5, 4, 3, 2]
    assert found["best"] == [8, 7, 0]


@pytest.mark.parametrize("seed", range(20))
def test_maps_of_the_gallery_are_kept_while_slices_come_and_of_no_more_slices(seed: int) -> None:
    chance = random.Random(seed)
    ranks = [
        Rank(chance.choice([None, 0.0, chance.random()]), chance.randrange(4), chance.randrange(3)) for _ in range(200)
    ]
    kept, images = GalleryMaps(), [Path(f"{number}.png") for number in range(len(ranks))]
    piece = chance.choice([1, 7, 16])
    for start in range(0, len(ranks), piece):
        maps = np.arange(start, start + piece, dtype=np.uint8)[:, None, None]
        kept.add(list(zip(images[start : start + piece], ranks[start : start + piece], maps, strict=False)))
        assert len(kept.by_image) <= 3 * GALLERY_SIZE
    found = kept.by_image
    assert {images[place] for members in chosen(ranks).values() for place in members} == found.keys()
    assert all(found[image][0, 0] == int(image.stem) for image in found)
    assert all(item.base is None for item in found.values()), "a view would keep its whole piece"
