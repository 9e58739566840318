"""Engines: equal maps from both, in the scan's own grid, and clear words where a package lacks something."""

import fcntl
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.cards import CardError, PackageFileError, Parity, load_card
from ml.digests import sha256_of
from ml.engines import EngineError, load_engine
from ml.engines.flair_only import FlairOnlyEngine
from ml.engines.flip_tta import FlipTtaEngine
from ml.engines.openvino import LOCK_FILE, openvino_core
from ml.ood.detector import load_detector, save_detector

PROJECT = Path(__file__).resolve().parents[3]


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


@pytest.mark.parametrize("kind", ["openvino", "torch"])
def test_inference_has_the_same_map_and_the_features_of_each_slice(engines, kind, slices):
    stack = np.concatenate([slices] * 12)
    found = engines[kind].infer(stack)
    assert np.array_equal(found.probability_u8, engines[kind].probability_map(stack))
    assert (found.features.shape[0], found.features.dtype, found.is_out_of_distribution.dtype) == (36, np.float32, bool)
    for index in range(3):
        alone = engines[kind].infer(slices[index : index + 1]).features[0]
        np.testing.assert_allclose(found.features[index::3], np.repeat(alone[None], 12, axis=0), rtol=1e-3, atol=1e-4)


def test_features_of_int8_are_nearly_those_of_torch(engines, slices):
    served, reference = (engines[kind].infer(slices).features for kind in ("openvino", "torch"))
    assert np.corrcoef(served.ravel(), reference.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("kind", ["openvino", "torch"])
def test_empty_slices_are_unlike_whatever_their_features(engines, kind):
    pixels = np.zeros((3, 64, 64, 3), dtype=np.uint8)
    pixels[1] = 255
    pixels[2] = 10, 90, 30
    assert engines[kind].infer(pixels).is_out_of_distribution.all()


def test_flips_and_gray_are_checked_by_the_features_of_what_the_network_sees(engines, slices):
    plain = engines["torch"].infer(slices)
    flipped = FlipTtaEngine(engines["torch"]).infer(slices)
    assert np.array_equal(flipped.features, plain.features)
    assert not np.array_equal(flipped.probability_u8, plain.probability_u8)
    gray = np.repeat(slices[..., 1:2], 3, axis=3)
    assert np.array_equal(
        FlairOnlyEngine(engines["torch"]).infer(slices).features, engines["torch"].infer(gray).features
    )


@pytest.mark.parametrize("kind", ["openvino", "torch"])
def test_package_without_statistics_serves_without_the_check(copy, kind, slices, engines):
    card = json.loads((copy / "card.json").read_text())
    del card["files"]["familiarity.npz"]
    (copy / "card.json").write_text(json.dumps(card))
    (copy / "familiarity.npz").unlink()
    found = load_engine(copy, kind).infer(slices)
    assert found.is_out_of_distribution is None
    assert np.array_equal(found.probability_u8, engines[kind].probability_map(slices))


def test_package_of_an_older_version_without_features_serves(copy, slices, engines):
    import openvino as ov

    model = openvino_core().read_model(copy / "int8.xml")
    older = ov.Model([model.output(0)], model.get_parameters(), "older")
    for name in ("int8.xml", "int8.bin", "familiarity.npz"):
        (copy / name).unlink()
    ov.save_model(older, copy / "int8.xml", compress_to_fp16=False)
    card = json.loads((copy / "card.json").read_text())
    del card["files"]["familiarity.npz"], card["familiarity"]
    for name in ("int8.xml", "int8.bin"):
        card["files"][name] = {"sha256": sha256_of(copy / name), "bytes": (copy / name).stat().st_size}
    (copy / "card.json").write_text(json.dumps(card))
    found = load_engine(copy, "openvino").infer(slices)
    assert (found.features, found.is_out_of_distribution) == (None, None)
    assert np.abs(found.probability_u8.astype(int) - engines["openvino"].probability_map(slices)).max() <= 1


def test_statistics_of_another_network_are_refused(copy):
    found = load_detector(copy, load_card(copy))
    save_detector(
        replace(found, center=found.center[:-1], scale=found.scale[:-1], axes=found.axes[:, :-1], head=found.head[:-1]),
        copy,
    )
    card = json.loads((copy / "card.json").read_text())
    path = copy / "familiarity.npz"
    card["files"]["familiarity.npz"] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(CardError, match=r"448 features and familiarity\.npz 447"):
        load_engine(copy, "openvino")
    with pytest.raises(EngineError, match=r"448 features and familiarity\.npz 447"):
        load_engine(copy, "torch").warm_up()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_slice_gets_the_same_answer_alone_and_side_by_side(small_model, slices, threads):
    engine = load_engine(small_model.folder, "openvino", threads)
    together = engine.infer(np.concatenate([slices, slices[::-1]]))
    alone = [engine.infer(item[None]) for item in slices]
    for index, item in enumerate([*alone, *alone[::-1]]):
        assert np.array_equal(together.probability_u8[index], item.probability_u8[0])
        assert np.array_equal(together.features[index], item.features[0])


def test_warm_up_runs(engines):
    for engine in engines.values():
        engine.warm_up()


def test_torch_from_a_checkpoint_and_from_its_package_agree(small_model, engines, slices):
    from tests.support.torch_engines import engine_of_checkpoint

    direct = engine_of_checkpoint(small_model.checkpoint, small_model.card)
    assert np.abs(direct.probability_map(slices).astype(int) - engines["torch"].probability_map(slices)).max() <= 1


# What the gate says of a network of random weights depends on the processor.
PASSED = {"patient_dice_delta": -0.001, "verdicts_equal": 1.0}


def state_parity(package, **figures):
    card = json.loads((package / "card.json").read_text())
    card["parity"]["int8"] |= figures
    (package / "card.json").write_text(json.dumps(card))


def test_package_without_safetensors_serves_int8_and_names_the_file_for_torch(copy):
    state_parity(copy, **PASSED)
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


@pytest.mark.parametrize(
    ("figures", "kind"),
    [
        ({"patient_dice_delta": -0.002, "verdicts_equal": 0.995}, "openvino"),
        ({"patient_dice_delta": None, "verdicts_equal": 1.0}, "openvino"),
        ({"patient_dice_delta": -0.0021, "verdicts_equal": 1.0}, "torch"),
        ({"patient_dice_delta": 0.0021, "verdicts_equal": 1.0}, "torch"),
        ({"patient_dice_delta": 0.0, "verdicts_equal": 0.9949}, "torch"),
    ],
)
def test_int8_is_taken_unasked_only_where_it_agrees_with_the_reference(copy, figures, kind):
    state_parity(copy, **figures)
    assert load_engine(copy, "auto").name.startswith(kind)
    assert load_engine(copy, "openvino").name == "openvino-int8"


def test_int8_that_does_not_agree_is_refused_where_there_is_no_torch(copy, monkeypatch):
    state_parity(copy, verdicts_equal=0.9)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EngineError, match=r"requirements\.txt for torch, or choose the engine openvino"):
        load_engine(copy, "auto")


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


COMPILING = """
import sys
from pathlib import Path
from ml.engines import load_engine
load_engine(Path(sys.argv[1]), "openvino", threads=1, cache_directory=Path(sys.argv[2])).warm_up()
"""


def waiting_for(path):
    """The processes that wait for a lock of the file (proc_locks(5))."""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    inode = str(path.stat().st_ino)
    return {int(words[5]) for words in lines if words[1] == "->" and words[6].rpartition(":")[2] == inode}


def test_processes_that_start_at_once_compile_in_turn(small_model, tmp_path):
    with (tmp_path / LOCK_FILE).open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        words = [sys.executable, "-c", COMPILING, small_model.folder, tmp_path]
        running = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        deadline = time.monotonic() + 120
        while not {process.pid for process in running} <= waiting_for(tmp_path / LOCK_FILE):
            assert time.monotonic() < deadline and all(process.poll() is None for process in running)
            time.sleep(0.05)
        assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]
    for process in running:
        assert process.communicate(timeout=120)[1] == ""
        assert process.returncode == 0
    assert list(tmp_path.glob("*.blob"))


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


def test_half_precision_is_the_same_network_nearly(small_model, slices, engines):
    from safetensors.torch import load_file

    from ml.engines.torch import TorchEngine
    from ml.networks import load_network

    card = small_model.card
    network = load_network(card.architecture, load_file(small_model.folder / "model.safetensors"))
    half = TorchEngine(network, card, "cpu", is_half=True)
    assert half.name == "torch-cpu-half"
    expected = engines["torch"].infer(slices)
    answer = half.infer(slices)
    assert np.abs(answer.probability_u8.astype(int) - expected.probability_u8).max() <= 1
    np.testing.assert_allclose(answer.features, expected.features, rtol=0.01, atol=0.01)
    assert next(network.parameters()).dtype == torch.float32, "it computes with a copy of the network"


@pytest.mark.parametrize(
    ("device", "figures", "is_half"),
    [
        ("cuda", {"patient_dice_delta": 0.001, "verdicts_equal": 0.996}, True),
        ("cuda", {"patient_dice_delta": 0.001, "verdicts_equal": 0.99}, False),
        ("cuda", None, False),
        ("cpu", {"patient_dice_delta": 0.0, "verdicts_equal": 1.0}, False),
    ],
)
def test_half_precision_is_taken_on_a_gpu_where_it_passed_the_gate(small_model, device, figures, is_half):
    from ml.engines.torch import may_be_half

    parity = {} if figures is None else {"half": Parity(**figures, slices=300, patients=9)}
    assert may_be_half(replace(small_model.card, parity=parity), device) == is_half


@pytest.mark.parametrize("order", ["freed in another thread", "freed in the order they were made"])
def test_a_process_whose_engines_are_gone_still_hears_signals(order, small_model):
    script = """
import gc, os, signal, sys, threading
from pathlib import Path
from ml.engines import load_engine

def load():
    engine = load_engine(Path(sys.argv[1]), "openvino", threads=1)
    engine.warm_up()
    return engine

signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
engines = [load(), load()]
def free():
    while engines:
        del engines[0]
        gc.collect()
if "thread" in sys.argv[2]:
    thread = threading.Thread(target=free)
    thread.start()
    thread.join()
else:
    free()
os.kill(os.getpid(), signal.SIGUSR1)
"""
    command = [sys.executable, "-c", script, str(small_model.folder), order]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "heard\n", "")
