"""The sequence check: what it looks at, what it says of a scan, its file, and its fit on drawn heads."""

import io
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_laplace

from ml.cards import SEQUENCES_FILE, PackageFile, PackageFileError
from ml.channels import brightest_channel
from ml.digests import sha256_of
from ml.ood import head_contrast, sequences
from ml.ood.sequences import (
    SequenceClassifier,
    SequenceEvidence,
    is_gray,
    join,
    load_classifier,
    odds_against_first,
    odds_of_other_order,
    save_classifier,
    shows_enough,
)
from ml.ood.warnings import sequence_warnings
from ml.synthetic.phantoms import render
from tests.ml.evaluation.conftest import CARD

FEATURES = 5
WIDTH = FEATURES + head_contrast.COUNT


def classifier_that_says(gray, color):
    """Whatever it sees, a gray slice has these three logits and one in color these two."""
    weights = [np.zeros((WIDTH + 1, len(logits))) for logits in (gray, color)]
    for table, logits in zip(weights, (gray, color), strict=True):
        table[-1] = logits
    limits = np.array([1.0, 2.0])
    return SequenceClassifier(np.zeros((2, WIDTH)), np.ones((2, WIDTH)), *weights, limits, limits / 2)


@pytest.fixture(scope="module")
def head():
    return np.asarray(Image.open(io.BytesIO(render("clear"))).convert("RGB"))


def evidence(log_odds):
    return SequenceEvidence(
        np.array(log_odds, np.float32).reshape(-1, 2), slice_limits=(3.0, 4.0), stack_limits=(1.0, 2.0)
    )


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("log_odds", "codes"),
    [
        ([[3.1, NAN]], ("not_flair",)),
        ([[2.9, NAN]], ()),
        ([[NAN, 4.1]], ("channel_order",)),
        ([[NAN, NAN]], ()),
        ([[2.0, NAN]] * 4, ()),
        ([[2.0, NAN]] * 5, ("not_flair",)),
        ([[9.0, NAN], [-9.0, NAN]], ()),
        ([[NAN, 9.0], [-9.0, NAN], [-9.0, NAN]], ()),
        ([[NAN, INF]], ("flair_missing",)),
        ([[NAN, INF], [NAN, -1.0]], ()),
        ([[NAN, INF], [NAN, INF], [NAN, 9.0]], ("flair_missing",)),
        ([[NAN, INF], [NAN, 9.0], [NAN, 9.0]], ("channel_order",)),
    ],
)
def test_limits_of_slices_hold_below_five_telling_slices_and_those_of_stacks_from_there(log_odds, codes):
    assert evidence(log_odds).warnings == codes
    assert join([evidence(log_odds[:1]), evidence(log_odds[1:])]).warnings == codes


FLAIR_SLICES, OTHER_SLICES = [[-2.0, NAN]], [[3.2, NAN]]


@pytest.mark.parametrize(
    ("log_odds", "codes"),
    [
        (FLAIR_SLICES * 9, ()),
        (FLAIR_SLICES * 6 + OTHER_SLICES * 3, ("mixed_sequences",)),
        ((FLAIR_SLICES + OTHER_SLICES) * 10, ("mixed_sequences",)),
        (FLAIR_SLICES * 5 + [[NAN, NAN]] * 9 + OTHER_SLICES * 3, ()),
        (FLAIR_SLICES * 7 + OTHER_SLICES * 2, ()),
        (FLAIR_SLICES * 6 + [[2.9, NAN]] * 3, ()),
        (FLAIR_SLICES * 2 + OTHER_SLICES * 9, ("not_flair",)),
        ([[NAN, -2.0]] * 6 + [[NAN, 3.2]] * 3, ()),
    ],
    ids=["FLAIR", "a third", "half", "eight that tell", "too few", "doubtful", "mostly another", "in color"],
)
def test_a_gray_stack_of_two_sequences_is_told_by_its_thirds(log_odds, codes):
    assert evidence(log_odds).warnings == codes
    assert evidence(log_odds[::-1]).warnings == codes


def test_a_stack_without_any_slice_like_flair_is_not_mixed():
    found = replace(evidence([[0.1, NAN]] * 6 + OTHER_SLICES * 3), stack_limits=(2.0, 2.0))
    assert found.warnings == ()
    low = np.where(found.log_odds < 1, found.log_odds - 0.2, found.log_odds)
    assert replace(found, log_odds=low).warnings == ("mixed_sequences",)


def test_gray_slices_and_those_in_color_are_told_by_their_own_regression(head):
    gray = np.repeat(head[..., 1, None], 3, axis=2)
    pixels = np.stack([gray, np.stack([gray[..., 0] // 2, gray[..., 0], gray[..., 0] // 3], axis=-1), 0 * gray])
    found = classifier_that_says([0, 5, 0], [0, 3]).examine(pixels, np.ones((3, FEATURES), np.float32))
    np.testing.assert_allclose(found.log_odds[0], [np.log(np.exp(5) + 1), NAN], rtol=1e-5)
    np.testing.assert_allclose(found.log_odds[1], [NAN, 3], rtol=1e-5)
    assert np.isnan(found.log_odds[2]).all()
    assert (found.slice_limits, found.stack_limits) == ((1.0, 8.0), (0.5, 1.0))  # in color never below these


def contrast_of(flair: float, t1: float, post: float):
    """What a channel looks like, float64 (COUNT,): its first three numbers are its logits as FLAIR, T1 and T1 post."""
    return np.array([flair, t1, post] + [0.0] * (head_contrast.COUNT - 3))


def other_order(channels, flair_odds: float) -> float:
    gray = np.zeros((WIDTH + 1, 3))
    gray[FEATURES : FEATURES + 3] = np.eye(3)
    gray[-1] = [9, 5, 7]  # no channel alone, so intercepts say nothing
    return odds_of_other_order(np.stack(channels), flair_odds, np.zeros(WIDTH), np.ones(WIDTH), gray)


def test_an_order_is_told_by_what_all_three_channels_look_like():
    flair, t1, post = contrast_of(4, 0, 0), contrast_of(0, 3, 1), contrast_of(0, 1, 3)
    assert other_order([t1, flair, post], -2.0) == -4  # pre and post exchanged would be likeliest
    assert other_order([post, flair, t1], -2.0) == 4
    for wrong in ([flair, t1, post], [flair, post, t1], [t1, post, flair], [post, t1, flair]):
        assert other_order(wrong, 2.0) >= 8


def test_a_dim_flair_that_looks_like_t1_by_itself_is_flair_beside_the_others():
    dim, t1, post = contrast_of(0, 1, 0), contrast_of(-4, 3, 2), contrast_of(-4, 1, 4)
    assert other_order([t1, dim, post], 1.3) < 0
    assert other_order([dim, t1, post], 1.3) > 5


def test_a_sequence_that_flair_stands_in_for_makes_no_other_order():
    flair, post = contrast_of(4, 0, 0), contrast_of(0, 1, 3)
    assert other_order([flair, flair, post], -2.0) < 0
    assert other_order([flair, flair, flair], -2.0) == 0


def test_a_slice_without_flair_beside_a_head_is_told_and_counts_for_no_order(head):
    plane = head[..., 1]
    speck = np.zeros_like(plane)
    speck[100:104, 100:104] = 200
    without, nearly = (np.stack([plane, flair, plane // 2], axis=-1) for flair in (0 * plane, speck))
    dark = without // 20
    found = classifier_that_says([0, 5, 0], [3, 0]).examine(
        np.stack([without, nearly, dark]), np.ones((3, FEATURES), np.float32)
    )
    np.testing.assert_array_equal(found.log_odds[:, 1], [INF, INF, NAN])
    assert found.warnings == sequence_warnings(found, None) == sequence_warnings(found, True) == ("flair_missing",)


def test_log_odds_are_those_of_the_probabilities():
    p = np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 1e-12]])
    np.testing.assert_allclose(odds_against_first(np.log(p)), np.log((1 - p[:, 0]) / p[:, 0]))


def test_files_in_jpeg_are_gray_all_the_same_and_dark_slices_say_nothing(head):
    gray = np.repeat(head[..., 1, None], 3, axis=2)
    noisy = np.clip(gray.astype(int) + np.random.default_rng(1).integers(-1, 2, gray.shape), 0, 255).astype(np.uint8)
    assert is_gray(noisy)
    assert not is_gray(np.stack([gray[..., 0], gray[..., 0], 255 - gray[..., 0]], axis=-1))
    assert shows_enough(gray)
    assert not shows_enough(gray // 20)


def test_contrast_of_a_head_does_not_depend_on_its_brightness(head):
    plane = head[..., 1]
    bright, dark = head_contrast.describe(plane), head_contrast.describe(plane // 2)
    assert bright.shape == (head_contrast.COUNT,)
    assert np.corrcoef(bright, dark)[0, 1] > 0.99
    inverted = head_contrast.describe(np.where(plane > 20, 275 - plane.astype(int), 0).clip(0, 255).astype(np.uint8))
    assert np.corrcoef(bright, inverted)[0, 1] < 0.9


def test_levels_and_structures_of_a_head_are_those_of_numpy_and_scipy_to_the_bit():
    random = np.random.default_rng(2)
    for width in head_contrast._WIDTHS:
        picture = random.uniform(size=(64, 64)).astype(np.float32)
        np.testing.assert_array_equal(head_contrast._laplace(picture, width), gaussian_laplace(picture, width))
    for size in (64, 65, 101, 5000):
        values = random.integers(3, 256, size).astype(np.uint8)
        counts = np.bincount(values, minlength=256)
        assert [head_contrast._percentile_of_counts(counts, percent) for percent in (0, 50, 95, 100)] == [
            np.percentile(values, percent) for percent in (0, 50, 95, 100)
        ]


@pytest.mark.parametrize(
    "plane", [np.zeros((64, 64), np.uint8), np.eye(64, dtype=np.uint8), np.zeros((2, 3), np.uint8)]
)
def test_a_plane_that_shows_nothing_has_no_contrast(plane):
    assert head_contrast.describe(plane) is None


def card_with(folder, content):
    (folder / SEQUENCES_FILE).write_bytes(content)
    pinned = PackageFile(sha256_of(folder / SEQUENCES_FILE), len(content))
    return replace(CARD, files={SEQUENCES_FILE: pinned})


def npz(**changed):
    sound = classifier_that_says([0, 5, 0], [3, 0])
    values = {item.name: getattr(sound, item.name) for item in fields(SequenceClassifier)} | changed
    file = io.BytesIO()
    np.savez(file, **{name: value for name, value in values.items() if value is not None})
    return file.getvalue()


def test_regressions_come_back_from_their_file(tmp_path, head):
    sound = classifier_that_says([0, 5, 0], [3, 0])
    save_classifier(sound, tmp_path)
    found = load_classifier(tmp_path, card_with(tmp_path, (tmp_path / SEQUENCES_FILE).read_bytes()))
    assert found.feature_count == FEATURES
    features = np.ones((1, FEATURES), np.float32)
    np.testing.assert_allclose(
        found.examine(head[None], features).log_odds, sound.examine(head[None], features).log_odds
    )
    assert load_classifier(tmp_path, CARD) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        npz(color=None),
        npz(gray=np.full((WIDTH + 1, 3), np.nan)),
        npz(scale=np.zeros((2, WIDTH))),
        npz(gray=np.zeros((WIDTH, 3))),
        npz(center=np.zeros((2, 9)), scale=np.ones((2, 9)), gray=np.zeros((10, 3)), color=np.zeros((10, 2))),
        npz(center=np.array([{}] * 3, dtype=object)),
    ],
    ids=["empty", "no archive", "missing", "NaN", "no scale", "shape", "no features", "pickled objects"],
)
def test_file_without_sound_regressions_is_refused_by_name(tmp_path, content):
    with pytest.raises(PackageFileError, match=r"sequences\.npz"):
        load_classifier(tmp_path, card_with(tmp_path, content))


def test_changed_file_is_refused(tmp_path):
    card = card_with(tmp_path, npz())
    (tmp_path / SEQUENCES_FILE).write_bytes(npz(slice_limits=np.zeros(2)))
    with pytest.raises(PackageFileError, match=r"sequences\.npz"):
        load_classifier(tmp_path, card)


def test_the_bright_pixels_of_a_slice_are_found_once(head, monkeypatch):
    looked = []
    monkeypatch.setattr(sequences, "brightest_channel", lambda pixels: looked.append(1) or brightest_channel(pixels))
    classifier_that_says([0, 5, 0], [3, 0]).examine(np.stack([head, head]), np.ones((2, FEATURES), np.float32))
    assert len(looked) == 2
