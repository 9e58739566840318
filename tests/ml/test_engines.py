"""Engines: equal maps from both, in the scan's own grid, and clear words where a package lacks something."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ml.cards import CardError, PackageFileError
from ml.engines import EngineError, load_engine, map_in_chunks


@pytest.fixture(scope="module")
def engines(small_model):
    return {kind: load_engine(small_model.folder, kind, threads=1) for kind in ("openvino", "torch")}


@pytest.fixture
def copy(small_model, tmp_path):
    return shutil.copytree(small_model.folder, tmp_path / "small")


@pytest.fixture
def slices():
    return np.random.default_rng(6).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def test_engines_are_named_for_what_they_run_on(engines):
    assert engines["openvino"].name == "openvino-int8"
    assert engines["torch"].name in {"torch-cpu", "torch-cuda"}


def test_int8_gives_nearly_the_maps_of_torch(engines, slices):
    served, reference = (engines[kind].probability_map(slices).astype(int) for kind in ("openvino", "torch"))
    assert reference.std() > 1  # random weights, but no constant map
    assert np.abs(served - reference).mean() < 6


@pytest.mark.parametrize("kind", ["openvino", "torch"])
def test_map_has_the_scans_grid_whatever_its_shape(engines, kind):
    for shape in ((64, 64), (100, 40), (16, 300)):
        q = engines[kind].probability_map(np.zeros((2, *shape, 3), dtype=np.uint8))
        assert (q.shape, q.dtype) == ((2, *shape), np.uint8)


@pytest.mark.parametrize("kind", ["openvino", "torch"])
def test_slice_gets_the_same_map_alone_and_in_a_long_stack(engines, kind, slices):
    stack = np.concatenate([slices] * 12)  # more than any engine's chunk
    maps = engines[kind].probability_map(stack).astype(int)
    for index in range(3):
        alone = engines[kind].probability_map(slices[index : index + 1])[0]
        assert np.abs(maps[index::3] - alone).max() <= 1


def test_warm_up_runs(engines):
    for engine in engines.values():
        engine.warm_up()


def test_torch_from_a_checkpoint_and_from_its_package_agree(small_model, engines, slices):
    from ml.engines.torch import TorchEngine

    direct = TorchEngine.from_checkpoint(small_model.checkpoint, small_model.card, device="cpu")
    assert np.abs(direct.probability_map(slices).astype(int) - engines["torch"].probability_map(slices)).max() <= 1


def test_package_without_safetensors_serves_int8_and_names_the_file_for_torch(copy):
    (copy / "model.safetensors").unlink()
    assert load_engine(copy, "auto").name == "openvino-int8"
    with pytest.raises(PackageFileError, match=r"model\.safetensors"):
        load_engine(copy, "torch")


def test_package_without_int8_is_served_by_torch_and_names_the_file_for_openvino(copy):
    card = json.loads((copy / "card.json").read_text())
    del card["files"]["int8.xml"], card["files"]["int8.bin"]
    (copy / "card.json").write_text(json.dumps(card))
    assert load_engine(copy, "auto").name.startswith("torch")
    with pytest.raises(PackageFileError, match=r"int8\.xml"):
        load_engine(copy, "openvino")


def test_changed_weights_are_refused(copy):
    data = bytearray((copy / "int8.bin").read_bytes())
    data[1000] ^= 1
    (copy / "int8.bin").write_bytes(data)
    with pytest.raises(PackageFileError, match=r"int8\.bin"):
        load_engine(copy, "openvino")


def test_model_that_does_not_fit_its_card_is_refused(copy):
    card = json.loads((copy / "card.json").read_text())
    card["input"]["size"] = [96, 96]
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(CardError, match="static"):
        load_engine(copy, "openvino")


def test_unknown_kind_is_refused(small_model):
    with pytest.raises(EngineError, match="auto, torch, openvino"):
        load_engine(small_model.folder, "tensorflow")


def test_answer_of_nan_is_an_error_not_an_empty_mask(small_model, slices):
    with pytest.raises(EngineError, match="NaN"):
        map_in_chunks(slices, small_model.card, 2, lambda inputs: np.full((len(inputs), 64, 64), np.nan, np.float32))


def test_compiled_model_is_cached_where_a_directory_is_given(small_model, tmp_path, slices):
    first = load_engine(small_model.folder, "openvino", cache_directory=tmp_path).probability_map(slices)
    assert list(tmp_path.glob("*.blob"))
    again = load_engine(small_model.folder, "openvino", cache_directory=tmp_path).probability_map(slices)
    assert np.array_equal(first, again)


def test_openvino_answers_in_a_process_without_torch(small_model):
    code = (
        "import sys, numpy, pathlib; from ml.engines import load_engine;"
        f"engine = load_engine(pathlib.Path({str(small_model.folder)!r}), 'openvino'); engine.warm_up();"
        "print(engine.name, 'torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.split() == ["openvino-int8", "False"]
