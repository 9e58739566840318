"""The input check: its distance on a known distribution, its limit, its file, and what counts as empty."""

import io
from dataclasses import replace

import numpy as np
import pytest

from ml.cards import OOD_FILE, PackageFile, PackageFileError
from ml.digests import sha256_of
from ml.ood.detector import (
    UNLIKE,
    fit_detector,
    is_plain,
    limit_of,
    load_detector,
    save_detector,
)
from ml.ood.warnings import warnings_of
from tests.ml.evaluation.conftest import CARD

FEATURES, AXES = 40, 4


def draw_features(count, seed, off=0.0):
    """Squares of 40 features in which 4 hidden causes are mixed, with a little noise; float32 (count, 40)."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).standard_normal((AXES, FEATURES))
    roots = (
        20 + random.standard_normal((count, AXES)) @ mixing + (0.1 + off) * random.standard_normal((count, FEATURES))
    )
    return (roots**2).astype(np.float32)


def limited(detector, features):
    """The detector with the limit that at most 1 % of these slices exceed."""
    return replace(detector, limit=limit_of(detector.distances(features), 0.01))


@pytest.fixture(scope="module")
def fitted():
    return limited(fit_detector(draw_features(500, 1), AXES), draw_features(400, 2))


def test_distance_is_two_on_average_over_what_was_fitted_and_about_so_over_its_like(fitted):
    assert fitted.distances(draw_features(500, 1)).mean() == pytest.approx(2, rel=1e-6)
    assert fitted.distances(draw_features(500, 3)).mean() == pytest.approx(2, rel=0.1)


def test_distance_grows_along_the_axes_with_the_square_of_the_deviation(fitted):
    roots = fitted.center + 3 * fitted.spread[0] * fitted.axes[0] * fitted.scale
    assert fitted.distances((roots**2)[None].astype(np.float32)) == pytest.approx(9 / AXES, rel=1e-3)


def test_at_most_the_share_of_the_slices_it_was_chosen_on_is_beyond_the_limit(fitted):
    chosen_on = draw_features(400, 2)
    assert fitted.is_out_of_distribution(chosen_on).sum() == 4
    few = limited(fitted, chosen_on[:50])
    assert not few.is_out_of_distribution(chosen_on[:50]).any()


def test_what_lies_off_the_axes_is_unlike_though_each_feature_is_in_its_range(fitted):
    assert fitted.is_out_of_distribution(draw_features(100, 4, off=1.0)).all()
    assert fitted.is_out_of_distribution(draw_features(100, 5)).mean() < 0.05


def test_feature_that_never_varied_counts_when_it_does():
    still = draw_features(200, 6)
    still[:, 7] = 4.0
    found = fit_detector(still, AXES)
    moved = still[:1].copy()
    moved[:, 7] = 400.0
    assert found.distances(moved)[0] > 10 * found.distances(still[:1])[0]


@pytest.mark.parametrize("features", [np.ones((50, 8), np.float32), draw_features(5, 7)], ids=["constant", "too few"])
def test_slices_that_give_no_statistics_are_an_error(features):
    with pytest.raises(ValueError, match="axes of variation"):
        fit_detector(features, AXES)


def test_negative_features_are_taken(fitted):
    features = np.random.default_rng(8).standard_normal((100, 12)).astype(np.float32)
    assert np.isfinite(fit_detector(features, 3).distances(-features)).all()


def test_empty_slices_are_plain_and_a_dim_brain_is_not():
    pixels = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    pixels[1] = 130, 20, 250
    pixels[2] += np.random.default_rng(9).integers(0, 6, (32, 32, 3), dtype=np.uint8)
    pixels[3, 10:14, 10:14, 1] = 30
    assert is_plain(pixels).tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("is_out_of_distribution", "codes"),
    [(None, ()), ([True], (UNLIKE,)), ([False], ()), ([True, False], ()), ([True, True, False], (UNLIKE,))],
)
def test_scan_is_warned_about_when_more_than_half_of_its_slices_are_unlike(is_out_of_distribution, codes):
    assert warnings_of(None if is_out_of_distribution is None else np.array(is_out_of_distribution), None) == codes


def card_with(folder, content):
    """A card that pins `content` as the file that is written into the folder."""
    (folder / OOD_FILE).write_bytes(content)
    pinned = PackageFile(sha256_of(folder / OOD_FILE), len(content))
    return replace(CARD, files={OOD_FILE: pinned})


def test_statistics_come_back_from_their_file(fitted, tmp_path):
    save_detector(fitted, tmp_path)
    found = load_detector(tmp_path, card_with(tmp_path, (tmp_path / OOD_FILE).read_bytes()))
    assert found is not None
    features = draw_features(50, 10)
    np.testing.assert_allclose(found.distances(features), fitted.distances(features), rtol=1e-3)


def npz(**values):
    file = io.BytesIO()
    np.savez(file, **values)
    return file.getvalue()


SOUND = {"center": np.zeros(3), "scale": np.ones(3), "axes": np.eye(3)[:2], "spread": np.ones(2), "rest": 1.0}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        npz(**SOUND),
        npz(**SOUND, limit=np.nan),
        npz(**{**SOUND, "scale": np.zeros(3)}, limit=1.0),
        npz(**{**SOUND, "spread": np.ones(3)}, limit=1.0),
        npz(**SOUND, limit=1.0, head=np.ones(2)),
        npz(**{**SOUND, "center": np.array([{}] * 3, dtype=object)}, limit=1.0),
    ],
    ids=["empty", "no archive", "no limit", "NaN", "no scale", "shape", "head", "pickled objects"],
)
def test_file_without_sound_statistics_is_refused_by_name(tmp_path, content):
    with pytest.raises(PackageFileError, match=r"familiarity\.npz"):
        load_detector(tmp_path, card_with(tmp_path, content))


def test_statistics_of_a_package_made_without_a_regression_still_check(tmp_path):
    found = load_detector(tmp_path, card_with(tmp_path, npz(**SOUND, limit=9.0)))
    assert found.is_out_of_distribution(np.array([[1, 1, 1], [400, 0, 0]], np.float32)).tolist() == [False, True]


def test_regression_warns_of_what_is_near_enough(fitted):
    near = draw_features(100, 11)
    warned = replace(fitted, head=np.ones(FEATURES), head_limit=-1e6)
    assert warned.is_out_of_distribution(near).all()
    assert not replace(warned, head_limit=1e6).is_out_of_distribution(near[:50]).all()


def test_changed_file_is_refused_and_one_that_the_card_does_not_list_is_not_read(tmp_path):
    card = card_with(tmp_path, npz(**SOUND, limit=1.0))
    assert load_detector(tmp_path, card).feature_count == 3
    (tmp_path / OOD_FILE).write_bytes(npz(**SOUND, limit=9.0))
    with pytest.raises(PackageFileError, match=r"familiarity\.npz"):
        load_detector(tmp_path, card)
    assert load_detector(tmp_path, CARD) is None
