"""The fit of the sequence check on made-up patients: who is labeled, what is measured, and who is not asked."""

import io
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ml.datasets.time_points import person_of
from ml.engines import Inference
from ml.ood.sequences import COLOR_CLASSES, GRAY_CLASSES
from ml.packaging import sequence_fit
from ml.packaging.logistic import fit_logistic
from ml.packaging.ood_fit import FoldNetwork
from ml.packaging.sequence_fit import FOLDS, SLICES_PER_PATIENT, fit_sequences
from ml.synthetic.phantoms import render


class MeansEngine:
    """An engine whose features are the means of the channels."""

    def infer(self, pixels, context=None):
        features = pixels.mean(axis=(1, 2)).astype(np.float32)
        return Inference(np.zeros(pixels.shape[:3], np.uint8), features)


def patients(count, missing=()):
    """Heads in three contrasts, slightly different each; in `missing` patients FLAIR stands in for pre-contrast."""
    head = np.asarray(Image.open(io.BytesIO(render("clear"))).convert("L").resize((96, 96))).astype(float)
    random = np.random.default_rng(1)
    cases = []
    for patient in range(count):
        for _ in range(SLICES_PER_PATIENT + 1):
            noisy = np.clip(head + 6 * random.standard_normal(head.shape), 0, 255) * (head > 8)
            planes = [120 * (noisy / 255) ** 0.4, 240 * (noisy / 255) ** 1.5, np.where(noisy > 8, 255 - noisy, 0)]
            if patient in missing:
                planes[0] = planes[1]
            pixels = np.stack(planes, axis=-1).astype(np.uint8)
            cases.append(SimpleNamespace(patient=f"patient_{patient}", pixels=lambda pixels=pixels: pixels))
    return cases


def test_sequences_that_differ_are_told_and_missing_ones_are_not_labeled():
    classifier, facts = fit_sequences(MeansEngine(), patients(7, missing=(2,)), seed=1)
    assert (classifier.feature_count, facts.patients) == (3, 7)
    gray, color = facts.gray, facts.color
    assert (gray.classes, color.classes) == (GRAY_CLASSES, COLOR_CLASSES)
    assert (gray.stacks, gray.slices) == (7 + 6 + 7, (7 + 6 + 7) * SLICES_PER_PATIENT)
    assert (color.stacks, color.slices) == (14, (7 + 2 * 6 + 1) * SLICES_PER_PATIENT)
    for half in (gray, color):
        assert half.slice_accuracy == half.stack_accuracy == 1
        warned = [half.slices_warned[name] for name in half.classes]
        assert (warned[0] <= 0.01, warned[1:]) == (True, [1] * (len(warned) - 1))
    pixels = patients(1)[0].pixels()
    orders = [pixels[..., order] for order in permutations(range(3))]
    given = np.stack([*orders, pixels[..., [1] * 3], pixels[..., [0] * 3], pixels[..., [2] * 3]])
    found = classifier.examine(given, MeansEngine().infer(given).features)
    warnings = [found.of(index).warnings for index in range(len(given))]
    assert warnings == [(), *[("channel_order",)] * 5, (), ("not_flair",), ("not_flair",)]


class UnsureEngine(MeansEngine):
    """What a network of a fold makes of patients: FLAIR that it never saw lies nearer to the other sequences."""

    def __init__(self, unseen):
        self.unseen = [case.pixels()[..., 1].tobytes() for case in unseen]

    def infer(self, pixels, context=None):
        features = super().infer(pixels).features
        for row, one in zip(features, pixels, strict=True):
            if one[..., 1].tobytes() in self.unseen:
                row += 0.6 * (features.mean() - row)
        return Inference(np.zeros(pixels.shape[:3], np.uint8), features)


def test_networks_of_the_folds_choose_the_limits_on_patients_they_never_saw():
    cases = patients(7)
    training, held_out = cases[2 * (SLICES_PER_PATIENT + 1) :], cases[: 2 * (SLICES_PER_PATIENT + 1)]
    within = fit_sequences(MeansEngine(), cases, seed=1)[1]
    fold = FoldNetwork(UnsureEngine(held_out), training, held_out)
    classifier, facts = fit_sequences(MeansEngine(), cases, seed=1, folds=[fold])
    assert (facts.patients, facts.gray.stacks, facts.color.stacks) == (7, 2 * 3, 2 * 2)
    assert facts.gray.slice_limit > within.gray.slice_limit
    assert facts.gray.slices_warned["FLAIR"] <= 0.01
    assert classifier.slice_limits[0] == facts.gray.slice_limit
    assert facts.method.endswith("patients that the networks of the folds never saw")
    assert within.method.endswith("five folds by patient")


@pytest.mark.parametrize("cases", [[], patients(FOLDS - 1), patients(FOLDS, missing=range(FOLDS))])
def test_too_few_patients_or_sequences_give_no_check(cases):
    assert fit_sequences(MeansEngine(), cases, seed=1) is None


def times_of(persons):
    """Two patients each who are one person at two times."""
    cases = patients(2 * persons)
    for case in cases:
        number = int(case.patient.removeprefix("patient_"))
        case.patient = f"BraTS-GLI-{number // 2:05}-{number % 2:03}"
    return cases


def test_two_times_of_one_person_are_in_one_fold(monkeypatch):
    parts = []
    measure = sequence_fit._measure_halves
    monkeypatch.setattr(sequence_fit, "_measure_halves", lambda given: parts.extend(given) or measure(given))
    _, facts = fit_sequences(MeansEngine(), times_of(FOLDS), seed=1)
    assert facts.patients == 2 * FOLDS
    assert len(parts) == FOLDS
    for sides in parts:
        fitted, held_out = (
            {person_of(patient) for samples in halves for patient in samples.patients.tolist()} for halves in sides
        )
        assert held_out and fitted.isdisjoint(held_out)


def test_times_of_too_few_persons_give_no_check():
    assert fit_sequences(MeansEngine(), times_of(FOLDS - 1), seed=1) is None


def test_regression_weighs_classes_alike_and_a_penalty_shrinks_it():
    random = np.random.default_rng(2)
    labels = np.repeat([0, 1], [900, 100])
    features = random.standard_normal((1000, 2)) + 2 * labels[:, None]
    weights = fit_logistic(features, labels, 2, 1e-4)
    logits = features @ weights[:-1] + weights[-1]
    shares = [(logits[labels == label].argmax(axis=1) == label).mean() for label in (0, 1)]
    assert shares == pytest.approx([0.92, 0.92], abs=0.04)
    assert np.abs(fit_logistic(features, labels, 2, 10.0)[:-1]).max() < 0.1 * np.abs(weights[:-1]).max()
