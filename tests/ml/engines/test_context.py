"""A cascade that asks about the neighbors of what its first member sees: alike in any pieces, and alone on no slice."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines import Inference
from ml.engines.context import Context
from tests.support.level_engine import LevelEngine, cascade_of, slices_with


def cascade(neighbors, second=None, reach=(0, 0)):
    """At 0.1, which level 26 of 255 reaches. reach: the neighbors that each member takes itself."""
    first = LevelEngine(0, neighbors=reach[0])
    return cascade_of(0.1, first, second or LevelEngine(1, neighbors=reach[1]), neighbors=neighbors)


def in_pieces(engine, pixels, context, size):
    """The answer for the slices asked for, `size` at a time, and the pieces that were given."""
    given_at, parts = [], []
    for given_slices, of_piece in context.pieces(size, engine.card.neighbors):
        given_at.append((given_slices.start, given_slices.stop))
        parts.append(engine.infer(pixels[given_slices], of_piece))
    return Inference.join(parts), given_at


def test_the_others_are_asked_about_the_neighbors_of_what_was_seen_too():
    second = LevelEngine(1)
    # Two stacks: the last slice of the first one is seen, which tells nothing of the second.
    pixels = slices_with(0, 0, 0, 26, 0, 0, 255, 0, 0)
    context = Context.of_stacks([range(4), range(4, 9)])
    found = cascade(1, second).infer(pixels, context)
    assert found.is_first_look.tolist() == [True, True, False, False, True, False, False, False, True]
    assert second.asked == 5
    two = cascade(2).infer(pixels, context)
    assert two.is_first_look.tolist() == [True, False, False, False, False, False, False, False, False]
    none = cascade(0).infer(pixels, context)
    assert none.is_first_look.tolist() == [True, True, True, False, True, True, False, True, True]


def test_about_a_slice_without_neighbors_all_members_are_asked():
    pixels = slices_with(0, 0, 255)
    for context in (None, Context.of_single(3), Context.of_stacks([[0], [1], [2]])):
        assert cascade(1).infer(pixels, context).is_first_look.tolist() == [False] * 3
    assert cascade(1).infer(pixels[:1], Context.of_stack(1)).is_first_look.tolist() == [False]
    assert cascade(1).infer(pixels[:2], Context.of_stack(2)).is_first_look.tolist() == [True, True]
    assert cascade(0).infer(pixels).is_first_look.tolist() == [True, True, False]


def test_a_piece_has_its_neighbors_beside_it_and_none_of_another_stack():
    pixels = slices_with(*[0] * 9)
    found, given_at = in_pieces(cascade(1), pixels, Context.of_stacks([range(4), range(4, 9)]), 2)
    assert given_at == [(0, 3), (1, 4), (4, 7), (5, 9), (7, 9)]
    assert len(found.probability_u8) == 9
    # A model whose answers depend on their slice alone gets what it is asked for.
    assert [places for places, _ in Context.of_stack(5).pieces(2, 0)] == [slice(0, 2), slice(2, 4), slice(4, 5)]


@given(
    stacks=st.lists(st.lists(st.sampled_from([0, 0, 0, 0, 26, 255]), min_size=1, max_size=12), min_size=1, max_size=4),
    neighbors=st.integers(0, 3),
    size=st.integers(1, 9),
    inner=st.integers(1, 5),
    reach=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_no_answer_depends_on_the_pieces(stacks, neighbors, size, inner, reach):
    levels = [level for stack in stacks for level in stack]
    pixels = slices_with(*levels)
    pixels[..., 1] = np.arange(0, 3 * len(levels), 3)[:, None, None]  # so that the second member's slices differ
    starts = np.cumsum([0, *map(len, stacks)])
    context = Context.of_stacks([range(start, end) for start, end in itertools.pairwise(starts)])
    whole = cascade(neighbors, reach=reach).infer(pixels, context)
    engine = cascade(neighbors, reach=reach)
    parts = []
    for places, of_piece in context.pieces(size, engine.card.neighbors):
        given_pixels = pixels[places]
        parts.append(in_pieces(engine, given_pixels, of_piece, inner)[0])  # as a worker's pieces are cut once more
    found = Inference.join(parts)
    assert found.is_first_look.tolist() == whole.is_first_look.tolist()
    assert np.array_equal(found.probability_u8, whole.probability_u8)
    # By the rule's own words: a slice is left to the first look if it has a neighbor, and nobody within reach is seen.
    for index, level in enumerate(levels):
        stack = int(np.searchsorted(starts, index, side="right")) - 1
        far = neighbors + reach[0]
        near = range(max(starts[stack], index - far), min(starts[stack + 1], index + far + 1))
        is_alone = neighbors > 0 and len(stacks[stack]) == 1
        assert whole.is_first_look[index] == (not is_alone and all(levels[other] < 26 for other in near)), level


def test_the_first_member_is_asked_about_each_slice_once_whatever_the_pieces():
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 20, (21, 8, 8, 3), dtype=np.uint8)
    pixels[9, 3, 4, 0] = 255
    whole = cascade(2).infer(pixels, Context.of_stack(21))
    for size in (1, 4, 8):
        first = LevelEngine(0)
        engine = cascade_of(0.1, first, LevelEngine(1), neighbors=2)
        found, given_at = in_pieces(engine, pixels, Context.of_stack(21), size)
        assert sum(end - start for start, end in given_at) > 21
        assert first.asked == 21
        assert engine._looked is None, "of a stack that has ended nothing is kept"
        assert np.array_equal(found.probability_u8, whole.probability_u8)
        other = rng.integers(0, 20, (3, 8, 8, 3), dtype=np.uint8)  # another stack, then one of another size
        assert np.array_equal(
            engine.infer(other, Context.of_stack(3)).probability_u8,
            cascade(2).infer(other, Context.of_stack(3)).probability_u8,
        )
        assert engine.infer(np.zeros((2, 4, 4, 3), np.uint8), Context.of_stack(2)).probability_u8.shape == (2, 4, 4)
        assert first.asked == 26


def test_a_single_network_answers_what_it_is_asked_for(small_engine):
    pixels = np.random.default_rng(1).integers(0, 255, (4, 40, 40, 3), dtype=np.uint8)
    whole = small_engine.infer(pixels)
    found = small_engine.infer(pixels, Context(np.zeros(4, dtype=np.intp), 1, 3))
    assert len(found.probability_u8) == 2
    assert np.array_equal(found.probability_u8, whole.probability_u8[1:3])


@pytest.fixture(scope="module")
def small_engine(small_model):
    from ml.engines import load_engine

    return load_engine(small_model.folder, "torch", threads=1)
