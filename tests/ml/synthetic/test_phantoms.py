"""The sample scans: labeled, the same every time, readable, and of use to the network that they demonstrate."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ml.engines import load_engine
from ml.masks import tumor_mask
from ml.scans import Geometry, Limits, read_scan
from ml.synthetic.phantoms import PHANTOMS, lesion_mask, render

SHIPPED = Path(__file__).parents[3] / "ml" / "weights" / "unet-vgg16-lgg"
NAMES = [phantom.name for phantom in PHANTOMS]


def _read(name: str, folder: Path) -> np.ndarray:
    path = folder / name
    path.write_bytes(render(name))
    return read_scan(path, Limits()).pixels


@pytest.mark.parametrize("phantom", PHANTOMS, ids=NAMES)
def test_phantoms_are_labeled_as_synthetic(phantom, tmp_path):
    assert "synthetic" in phantom.title.lower()
    margin = _read(phantom.name, tmp_path)[:, 240:, :110]
    assert (margin > 100).sum(axis=(1, 2, 3)).min() > 300


def test_phantoms_are_the_same_in_every_process():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(render, NAMES)) == [render(name) for name in NAMES]


def test_their_sizes_and_lesions(tmp_path):
    counts = {name: _read(name, tmp_path).shape for name in NAMES}
    assert counts == {"lesion": (1, 256, 256, 3), "clear": (1, 256, 256, 3), "stack": (12, 256, 256, 3)}
    assert lesion_mask("lesion").sum() > 1000
    assert lesion_mask("clear").sum() == 0
    per_slice = lesion_mask("stack").sum(axis=(1, 2))
    assert 4 <= (per_slice > 0).sum() <= 9
    assert per_slice[0] == per_slice[-1] == 0


def test_the_stack_states_its_spacing(tmp_path):
    path = tmp_path / "stack"
    path.write_bytes(render("stack"))
    assert read_scan(path, Limits()).geometry == Geometry(row_mm=0.9, column_mm=0.9, slice_mm=5.0)


def test_the_lesion_is_bright_on_flair_and_dark_before_contrast(tmp_path):
    pixels, mask = _read("lesion", tmp_path)[0].astype(float), lesion_mask("lesion")[0]
    around = np.zeros_like(mask)
    around[90:170, 60:110] = True
    assert pixels[mask][:, 1].mean() > 1.7 * pixels[around][:, 1].mean()
    assert pixels[mask][:, 0].mean() < pixels[around][:, 0].mean()


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_model_finds_the_lesions_and_nothing_else(name, tmp_path):
    engine = load_engine(SHIPPED, "openvino")
    pixels, truth = _read(name, tmp_path), lesion_mask(name)
    for index in range(0, len(pixels), 3):
        q = engine.probability_map(pixels[index : index + 1])
        found = tumor_mask(q, engine.card.threshold, engine.card.min_tumor_pixels)[0]
        if truth[index].any():
            assert 2 * (found & truth[index]).sum() / (found.sum() + truth[index].sum()) > 0.8
        else:
            assert not found.any()
