"""Masks that are turned, mirrored or in another order are said, and the right ones never, however poor the model."""

from pathlib import Path

import numpy as np
import pytest

from ml.datasets import Case
from ml.evaluation.arrangements import ARRANGEMENTS, GIVEN, Arrangement
from ml.evaluation.mask_fit import find_misfits
from ml.evaluation.outlines import pack_outlines, unpack_outlines
from ml.evaluation.scoring import Score
from ml.metrics.overlap import Counts


def stack(seed: int, slices: int = 12, shape: tuple[int, int] = (80, 80)) -> list[np.ndarray]:
    """Masks of a tumor that begins at the third slice, changes its place and form, and ends before the last."""
    random = np.random.default_rng(seed)
    top, left = random.integers(6, 22, 2)
    masks = []
    for index in range(slices):
        mask = np.zeros(shape, bool)
        if 2 <= index < slices - 1:
            row, column = top + 2 * index, left + index
            mask[row : row + 16 + seed % 3, column : column + 9] = True
            mask[row : row + 6, column : column + 16] = True
        masks.append(mask)
    return masks


def scores(patient: str, truths: list[np.ndarray], found: list[np.ndarray]) -> list[Score]:
    return [
        Score(Case(patient, Path(patient) / f"{index + 1}.png", None), Counts(), {}, b"", outlines=pack_outlines(*pair))
        for index, pair in enumerate(zip(truths, found, strict=True))
    ]


def misplaced(masks: list[np.ndarray], arrangement: Arrangement) -> list[np.ndarray]:
    """Masks such that `arrangement` would put them right."""
    places: list[int | None] = [*range(len(masks))]
    if arrangement.order is not None:
        places = arrangement.order.places([f"{index + 1}.png" for index in range(len(masks))])
    turn = next(turn for turn in ARRANGEMENTS if _undoes(turn.turn.apply, arrangement.turn.apply)).turn
    return [np.zeros_like(masks[0]) if place is None else turn.apply(masks[place]) for place in places]


def _undoes(first, second) -> bool:
    probe = np.arange(9).reshape(3, 3)
    return np.array_equal(second(first(probe)), probe)


def evaluation(change, patients: int = 6, **options) -> list[Score]:
    """`change` takes a patient's masks to those that are given."""
    found = []
    for number in range(patients):
        masks = stack(number, **options)
        found += scores(f"patient {number}", change(number, masks), masks)
    return found


@pytest.mark.parametrize(
    "arrangement", [item for item in ARRANGEMENTS if item is not GIVEN], ids=lambda item: item.code
)
def test_every_arrangement_is_told_from_the_others(arrangement):
    (misfit,) = find_misfits(evaluation(lambda number, masks: misplaced(masks, arrangement)))
    assert (misfit.arrangement, misfit.is_whole) == (arrangement.code, True)
    assert len(misfit.patients) == misfit.of_patients == 6
    assert f"better {arrangement.words}: Dice {misfit.dice_as_given:.2f} as given, " in misfit.sentence
    assert misfit.sentence.endswith("all figures are of the masks as they were given.")
    if not arrangement.is_small:
        assert misfit.dice_arranged > 0.85 and misfit.dice_as_given < 0.5


def test_patients_whose_masks_alone_are_turned_are_named():
    found = find_misfits(evaluation(lambda number, masks: [np.rot90(mask, number // 4 * 2) for mask in masks]))
    assert [(item.arrangement, item.patients, item.is_whole) for item in found] == [
        ("turned_180", ("patient 4", "patient 5"), False)
    ]
    assert "The masks of 2 of 6 patients fit the images far better turned by 180 degrees" in found[0].sentence
    assert ": patient 4, patient 5. Check how they were exported" in found[0].sentence


def test_slices_that_name_no_patient_are_one_stack():
    pairs = scores("one", misplaced(stack(1), ARRANGEMENTS[1]), stack(1))
    named = [
        Score(Case(str(n), item.case.image, None), Counts(), {}, b"", outlines=item.outlines)
        for n, item in enumerate(pairs * 2)
    ]
    (misfit,) = find_misfits(named)
    assert (misfit.arrangement, misfit.slices) == ("mirrored_left_right", 18)


@pytest.mark.parametrize(
    "found",
    [
        evaluation(lambda number, masks: masks),
        evaluation(lambda number, masks: [np.zeros_like(mask) for mask in masks]),
        # Fewer than ten slices with tumor.
        evaluation(lambda number, masks: [np.fliplr(mask) for mask in masks], patients=1, slices=10),
        # A square model's quarter turns keep no other slice's shape; what is wrong here is the model.
        evaluation(lambda number, masks: [np.roll(mask, 33, axis=1) for mask in masks], shape=(80, 120)),
        # A model that guesses.
        scores("p", stack(1, 60), [np.roll(mask, 7 * n, axis=n % 2) for n, mask in enumerate(stack(2, 60))]),
        [],
        # Written down by an earlier version.
        [Score(Case("p", Path("p/1.png"), None), Counts(), {}, b"")] * 20,
    ],
    ids=["right", "black", "tiny", "not square", "poor", "none", "old"],
)
def test_nothing_is_said_of_right_masks_poor_models_and_too_few_slices(found):
    assert find_misfits(found) == ()


def apart(number: int) -> list[np.ndarray]:
    """A stack whose tumor lies where no other of ten lies."""
    return [np.roll(mask, (number % 3 * 50, number // 3 * 38), (0, 1)) for mask in stack(number, shape=(160, 160))]


def given(owners: dict[int, int], change=lambda mask: mask) -> list[Score]:
    """Ten patients whose masks are those of `owners`, else their own; `change` is what becomes of every result."""
    found = []
    for number in range(10):
        masks = apart(number)
        results = [change(mask) for mask in masks]
        truths = apart(owners[number]) if number in owners else masks
        found += scores(f"patient {number}", truths, results)
    return found


@pytest.mark.parametrize(
    ("owners", "named"),
    [
        ({3: 8, 8: 3}, {"patient 3": "patient 8", "patient 8": "patient 3"}),
        ({3: 8}, {"patient 3": "patient 8"}),
        ({3: 8, 8: 1, 1: 3}, {"patient 1": "patient 3", "patient 3": "patient 8", "patient 8": "patient 1"}),
        (
            {number: (number + 1) % 10 for number in range(10)},
            {f"patient {n}": f"patient {(n + 1) % 10}" for n in range(10)},
        ),
    ],
    ids=["exchanged", "copied", "in a ring", "all"],
)
def test_masks_of_another_patient_are_named_with_whose_they_are(owners, named):
    (misfit,) = find_misfits(given(owners))
    assert (misfit.arrangement, misfit.is_whole, misfit.of_patients) == ("another_patient", False, 10)
    assert dict(zip(misfit.patients, misfit.others, strict=True)) == named
    assert misfit.dice_as_given < 0.35 and misfit.dice_arranged > 0.99
    assert (
        f"The masks of {len(named)} of 10 patients fit the images far better beside another patient" in misfit.sentence
    )
    first = next(iter(named))
    assert f": {first} (beside {named[first]})" in misfit.sentence


def test_nobody_is_named_where_another_patient_has_use_for_their_own_masks():
    """The results of two patients are wrong, one of them like a third's tumor, whose masks are right."""
    found = given({})
    wrong = {3: apart(8), 5: [np.fliplr(mask) for mask in apart(5)]}
    for number, results in wrong.items():
        found[12 * number : 12 * number + 12] = scores(f"patient {number}", apart(number), results)
    assert [misfit for misfit in find_misfits(found) if misfit.others] == []


@pytest.mark.parametrize("owners", [{3: 8, 8: 3}, {}], ids=["exchanged", "right"])
def test_nobody_is_named_by_a_model_that_finds_little(owners):
    assert find_misfits(given(owners, change=np.zeros_like)) == ()
    assert find_misfits(given(owners, change=lambda mask: mask & (np.arange(160) % 9 == 0))) == ()


@pytest.mark.parametrize("shape", [(256, 256), (40, 90), (1, 1), (301, 177)])
def test_outlines_are_small_and_keep_what_covers_half_of_a_part(shape):
    truth = np.zeros(shape, bool)
    truth[: (shape[0] + 1) // 2] = True
    packed = pack_outlines(truth, ~truth)
    outlines = unpack_outlines(packed)
    assert len(packed) < 100 and outlines.is_square == (shape[0] == shape[1])
    assert outlines.truth.shape == outlines.mask.shape == tuple(min(side, 64) for side in shape)
    assert outlines.truth.mean() == pytest.approx(truth.mean(), abs=0.02)
