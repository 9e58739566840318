"""Slices of the training are noticed by their pixels, whatever their files are called."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ml.cards import SLICES_FILE, PackageFile, PackageFileError, load_card, verify_files
from ml.digests import sha256_of
from ml.ood.training_slices import fit_training_slices, load_training_slices, save_training_slices

SIDE = 128


def head(seed):
    """uint8 (SIDE, SIDE, 3): a head of its own structure, FLAIR in the second channel."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(40, 255, (24, 24, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)).copy()
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    pixels[np.hypot(rows, columns) > 54] = 0
    return pixels


def in_gray(plane):
    return np.repeat(np.asarray(plane)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def known():
    return fit_training_slices([head(seed) for seed in range(40)], channel=1)


@pytest.mark.parametrize("seed", [0, 17, 39])
def test_a_slice_of_the_training_is_known_in_another_format_size_or_contrast(known, seed):
    pixels = head(seed)
    flair = Image.fromarray(pixels[..., 1])
    jpeg = io.BytesIO()
    flair.save(jpeg, "JPEG", quality=80)
    forms = {
        "itself": pixels,
        "gray": in_gray(flair),
        "smaller": in_gray(flair.resize((100, 100), Image.Resampling.BILINEAR)),
        "larger": in_gray(flair.resize((250, 250), Image.Resampling.BICUBIC)),
        "jpeg": in_gray(Image.open(jpeg)),
        "stretched": in_gray(np.clip(pixels[..., 1] * 1.2, 0, 255).astype(np.uint8)),
    }
    assert [name for name, form in forms.items() if not known.are_known(form[None]).all()] == []


def test_other_slices_and_empty_ones_are_not_known(known):
    others = np.stack([head(seed) for seed in range(100, 160)])
    assert not known.are_known(others).any()
    assert not known.are_known(np.zeros((2, SIDE, SIDE, 3), np.uint8)).any()


def test_too_few_slices_have_no_fingerprints():
    assert fit_training_slices([head(1)] * 9, channel=1) is None
    assert fit_training_slices([np.zeros((8, 8, 3), np.uint8)] * 90, channel=None) is None


def test_fingerprints_travel_with_the_package_and_are_checked(known, small_model, tmp_path):
    folder = shutil.copytree(small_model.folder, tmp_path / "small")
    assert load_training_slices(folder, load_card(folder)) is None
    save_training_slices(known, folder)
    path = folder / SLICES_FILE
    assert path.stat().st_size < 4000
    card = load_card(folder)
    listed = PackageFile(sha256_of(path), path.stat().st_size)
    card = replace(card, files={**card.files, SLICES_FILE: listed})
    (folder / "card.json").write_text(json.dumps(card.to_json()))
    verify_files(folder, card)
    found = load_training_slices(folder, card)
    assert found.are_known(np.stack([head(3), head(300)])).tolist() == [True, False]
    path.write_bytes(b"PK")
    with pytest.raises(PackageFileError, match=SLICES_FILE):
        load_training_slices(folder, card)
