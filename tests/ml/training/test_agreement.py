"""Agreement while training, against the counts of the evaluation on random masks."""

import numpy as np
import pytest
import torch
from torch.utils.data import DistributedSampler

from ml.cards.card import InputConvention
from ml.metrics.overlap import Counts, count, dice, iou
from ml.training.agreement import Agreement, PatientAgreement
from ml.training.samples import REPEATED, Sample, ValidationDataset


def draw(patients=5, slices=24, without=(1,)):
    """Masks bool (slices, 16, 16), and each slice's patient; those of `without` have no tumor."""
    random = np.random.default_rng(3)
    owners = np.arange(slices) % patients
    truth = (random.random((slices, 16, 16)) < 0.2) & (random.random((slices, 1, 1)) < 0.5)
    truth &= ~np.isin(owners, without)[:, None, None]
    found = np.where(random.random(truth.shape) < 0.8, truth, random.random(truth.shape) < 0.1)
    found &= random.random((slices, 1, 1)) < 0.8
    return truth, found, owners


def agree(truth, found, owners, batches, patients=5):
    metric = PatientAgreement(patients)
    for batch in batches:
        logits = torch.from_numpy(np.where(found[batch], 0.5, -0.5).astype(np.float32))
        labels = torch.from_numpy(truth[batch].astype(np.uint8) * 2)
        metric.update(logits, labels, torch.from_numpy(owners[batch]))
    return metric.agreement()


def test_figures_are_those_of_the_evaluation():
    truth, found, owners = draw()
    pooled = [
        sum((count(truth[k], found[k]) for k in np.flatnonzero(owners == patient)), Counts()) for patient in range(5)
    ]
    singles = [count(t, f) for t, f in zip(truth, found, strict=True)]
    result = agree(truth, found, owners, np.split(np.arange(24), 6))
    assert result.patient_dice == pytest.approx(np.mean([dice(c) for c in pooled if dice(c) is not None]))
    assert result.patient_iou == pytest.approx(np.mean([iou(c) for c in pooled if iou(c) is not None]))
    assert result.slice_dice == pytest.approx(np.mean([dice(c) for c in singles if dice(c) is not None]))
    assert result.false_alarms == pytest.approx(np.mean([c.predicted > 0 for c in singles if not c.truth]))


def test_order_and_size_of_batches_change_nothing():
    truth, found, owners = draw()
    order = np.random.default_rng(1).permutation(24)
    expected = agree(truth, found, owners, [np.arange(24)])
    for batches in (np.array_split(order, 5), [[index] for index in order]):
        result = agree(truth, found, owners, batches)
        assert vars(result) == pytest.approx(vars(expected))


def test_without_tumor_there_is_no_dice_and_an_empty_slice_is_no_alarm():
    truth, found = np.zeros((4, 8, 8), bool), np.zeros((4, 8, 8), bool)
    found[1, 2, 2] = True
    assert agree(truth, found, np.arange(4), [np.arange(4)]) == Agreement(None, None, None, 0.25)


def test_with_tumor_everywhere_there_is_no_share_of_false_alarms():
    truth = np.ones((2, 8, 8), bool)
    assert agree(truth, truth, np.arange(2), [[0, 1]], patients=2) == Agreement(1.0, 1.0, 1.0, None)


def test_reset_forgets():
    metric = PatientAgreement(1)
    everything = torch.ones((1, 4, 4))
    metric.update(-everything, everything.byte(), torch.tensor([0]))
    assert metric.agreement().patient_dice == 0
    metric.reset()
    metric.update(everything, everything.byte(), torch.tensor([0]))
    assert metric.agreement().patient_dice == 1


def test_each_of_several_processes_gets_as_many_slices_and_none_counts_twice():
    of_slices = np.array([0, 0, 1, 1, 1])
    labels = torch.randint(0, 2, (5, 4, 4), generator=torch.Generator().manual_seed(1)).numpy().astype("uint8")

    class Slices:
        """Five slices of two patients, as a SliceCache holds them."""

        owners = of_slices
        patients = 2
        convention = InputConvention((4, 4), ("a",), (0.5,), (0.5,))

        def __len__(self):
            return 5

        def __getitem__(self, index):
            return Sample(np.full((4, 4, 1), 40 * index, dtype=np.uint8), labels[index])

        def with_neighbors(self, index):
            return self[index].image[None]

    samples = ValidationDataset(Slices(), processes=4)
    parts = [list(DistributedSampler(samples, 4, rank, shuffle=False)) for rank in range(4)]
    assert [len(part) for part in parts] == [2, 2, 2, 2]
    owners = [samples[index][2] for part in parts for index in part]
    assert sorted(owner for owner in owners if owner != REPEATED) == of_slices.tolist()
    assert len(ValidationDataset(Slices())) == 5
