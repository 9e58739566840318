"""Which slices an epoch shows, and that seed and epoch alone decide about them."""

import numpy as np
import pytest
import torch

from ml.datasets import list_cases
from ml.preprocessing import place_labels_on_grid, to_model_grid
from ml.training.recipes import load_recipe
from ml.training.samples import SliceCache, TrainingDataset, ValidationDataset, draw_epoch, make_loader


@pytest.fixture(scope="module")
def configuration(recipe):
    return load_recipe(str(recipe))


@pytest.fixture(scope="module")
def slices(brains, configuration):
    return SliceCache(list_cases(brains), configuration, 32)


def epoch_of(slices, configuration, epoch, workers=0):
    """All batches of an epoch."""
    samples = TrainingDataset(slices, configuration, configuration.stages[0], epoch)
    return list(make_loader(samples, 4, workers, is_training=True))


def is_equal(first, second):
    return len(first) == len(second) and all(
        torch.equal(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_epoch_is_the_same_with_any_number_of_workers_and_after_a_new_start(brains, slices, configuration):
    expected = epoch_of(slices, configuration, 3)
    torch.manual_seed(77)
    assert is_equal(epoch_of(slices, configuration, 3), expected)
    assert is_equal(epoch_of(slices, configuration, 3, workers=2), expected)
    assert is_equal(epoch_of(SliceCache(list_cases(brains), configuration, 32), configuration, 3), expected)


def test_another_epoch_and_another_seed_are_others(slices, configuration):
    expected = epoch_of(slices, configuration, 3)
    other = configuration.model_copy(update={"loop": configuration.loop.model_copy(update={"seed": 2})})
    assert not is_equal(epoch_of(slices, configuration, 4), expected)
    assert not is_equal(epoch_of(slices, other, 3), expected)


def test_batches_are_full_floats_with_their_labels(slices, configuration):
    batches = epoch_of(slices, configuration, 0)
    assert len(batches) == 18 // 4
    for inputs, labels in batches:
        assert (inputs.shape, inputs.dtype) == ((4, 3, 32, 32), torch.float32)
        assert (labels.shape, labels.dtype) == ((4, 32, 32), torch.uint8)


def test_fewer_slices_than_a_batch_are_still_trained_on(slices, configuration):
    few = configuration.model_copy(update={"sampling": configuration.sampling.model_copy(update={"slices": 3})})
    samples = TrainingDataset(slices, few, few.stages[0], 0)
    assert [len(labels) for _, labels in make_loader(samples, 4, 0, is_training=True)] == [3]


def test_slices_that_do_not_fit_in_memory_are_the_same(brains, slices, configuration):
    sampling = configuration.sampling.model_copy(update={"cache_gb": 0.0})
    reread = SliceCache(list_cases(brains), configuration.model_copy(update={"sampling": sampling}), 32)
    assert np.array_equal(reread.has_tumor, slices.has_tumor)
    for index in (0, 7, 17):
        assert np.array_equal(reread[index].image, slices[index].image)
        assert np.array_equal(reread[index].labels, slices[index].labels)


def test_validation_shows_every_slice_as_the_portal_sees_it(brains, slices):
    samples = ValidationDataset(slices)
    cases = list_cases(brains)
    assert samples.patients == tuple(f"patient_{k}" for k in range(6))
    assert len(samples) == len(cases) == 18
    for index in (0, 5, 17):
        inputs, labels, owner = samples[index]
        expected = to_model_grid(cases[index].pixels()[None], slices.convention)[0]
        np.testing.assert_array_equal(inputs.numpy(), expected)
        np.testing.assert_array_equal(labels.numpy(), place_labels_on_grid(cases[index].labels(), (32, 32)))
        assert samples.patients[owner] == cases[index].patient


def draw(share, slices, tumor=20, without=60, seed=1):
    has_tumor = np.arange(tumor + without) < tumor
    return draw_epoch(has_tumor, share, slices, np.random.default_rng(seed))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.6, 1.0])
@pytest.mark.parametrize("count", [None, 7, 30, 200])
def test_share_of_tumor_slices_is_kept_and_slices_come_in_turn(share, count):
    order = draw(share, count)
    assert len(order) == (count or round(20 / share))
    assert (order < 20).sum() == round(len(order) * share)
    for kind in (np.arange(20), np.arange(20, 80)):
        times = [(order == index).sum() for index in kind]
        assert max(times) - min(times) <= 1


def test_without_a_share_every_slice_comes_once_or_the_first_of_a_shuffle():
    assert sorted(draw(None, None)) == list(range(80))
    assert list(draw(None, None)) != list(range(80))
    assert len(set(draw(None, 30))) == 30
    times = np.bincount(draw(None, 100), minlength=80)
    assert (times.min(), times.max()) == (1, 2)


@pytest.mark.parametrize(("tumor", "without"), [(0, 10), (10, 0)])
def test_a_share_of_what_there_is_only_one_kind_of_is_all(tumor, without):
    assert sorted(draw(0.5, None, tumor, without)) == list(range(10))


def test_draws_follow_the_seed():
    assert np.array_equal(draw(0.5, None, seed=4), draw(0.5, None, seed=4))
    assert not np.array_equal(draw(0.5, None, seed=4), draw(0.5, None, seed=5))
