"""Checkpoints: what is written reads again, nothing half-written stays, other networks' weights are refused."""

import argparse
import errno
import warnings
import zipfile

import numpy as np
import pytest
import torch

from ml.cards import Architecture
from ml.networks import CheckpointError, build_network, load_network, load_weights, read_checkpoint
from ml.networks.checkpoints import write_checkpoint

SMALL = Architecture("scratch", "none", 3, 1, {"width": 4})
FIGURES = {"epoch": 3, "val_iou": 0.5, "val_dice": 0.625}
FACTS = {"architecture": {"network": "scratch"}, "configuration": {"name": "tiny"}, "data": {"train_patients": ["a"]}}


@pytest.fixture
def weights():
    torch.manual_seed(1)
    return build_network(SMALL).state_dict()


def test_what_is_written_reads_again(weights, tmp_path):
    path = tmp_path / "best.pth"
    write_checkpoint(path, weights, FIGURES, FACTS)
    found = read_checkpoint(path)
    assert (found.epoch, found.val_iou, found.val_dice) == (3, 0.5, 0.625)
    assert {"architecture": found.architecture, "configuration": found.configuration, "data": found.data} == FACTS
    assert found.weights.keys() == weights.keys()
    for key, value in found.weights.items():
        expected = weights[key].half().float() if weights[key].is_floating_point() else weights[key]
        assert torch.equal(value, expected)
    load_network(SMALL, found.weights)
    assert [item.name for item in tmp_path.iterdir()] == ["best.pth"]


def test_published_checkpoint_without_facts_reads(weights, tmp_path):
    torch.save({"model_state_dict": weights, **FIGURES}, tmp_path / "published.pth")
    found = read_checkpoint(tmp_path / "published.pth")
    assert (found.architecture, found.configuration, found.data) == (None, None, None)
    assert found.val_dice == 0.625


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict"])
@pytest.mark.parametrize("prefix", ["module.", "network.", "model.module.", "_orig_mod.", "module._orig_mod.", "net."])
def test_prefixes_of_wrappers_are_taken_off(weights, tmp_path, key, prefix):
    wrapped = {f"{prefix}{name}": value for name, value in weights.items()}
    # Lightning keeps its own state beside the weights.
    torch.save({key: wrapped, "epoch": 3, "loops": {"fit_loop": {"done": 1}}}, tmp_path / "wrapped.ckpt")
    found = read_checkpoint(tmp_path / "wrapped.ckpt")
    assert found.weights.keys() == weights.keys()
    load_network(SMALL, found.weights)


def test_wrappers_of_a_part_of_the_network_and_their_count_are_taken_out(weights, tmp_path):
    wrapped = {name.replace("encoder.", "encoder.module.", 1): value for name, value in weights.items()}
    wrapped = {name.replace("decoder.", "decoder._orig_mod.", 1): value for name, value in wrapped.items()}
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{name}": value for name, value in wrapped.items()}}
    torch.save({"model_state_dict": averaged}, tmp_path / "wrapped.pth")
    load_network(SMALL, read_checkpoint(tmp_path / "wrapped.pth").weights)


@pytest.mark.parametrize("prefix", ["model.", "network.", "unet.", "model.backbone."])
def test_a_module_that_holds_the_network_beside_other_things_is_read(weights, tmp_path, caplog, prefix):
    # segmentation-models-pytorch's own Lightning example keeps the input's mean and deviation beside the model.
    beside = {"mean": torch.zeros(1, 3, 1, 1), "std": torch.ones(1, 3, 1, 1), "loss_fn.pos_weight": torch.ones(1)}
    halves = {
        f"{prefix}{name}": value.half() if value.is_floating_point() else value for name, value in weights.items()
    }
    torch.save({"state_dict": halves | beside, "epoch": 3}, tmp_path / "module.ckpt")
    load_network(SMALL, read_checkpoint(tmp_path / "module.ckpt").weights)
    assert f"of {prefix[:-1]} are taken; left out: loss_fn.pos_weight, mean, std." in caplog.text


def test_a_module_with_two_of_the_networks_or_with_more_in_it_is_refused(weights):
    two = {f"{prefix}.{name}": value for prefix in ("student", "teacher") for name, value in weights.items()}
    with pytest.raises(CheckpointError, match=r"holds 2 networks of this architecture \(student\., teacher\.\)"):
        load_network(SMALL, two)
    more = {f"unet.{name}": value for name, value in weights.items()} | {"unet.aux.weight": torch.ones(1)}
    with pytest.raises(CheckpointError, match="--card FACTS"):
        load_network(SMALL, more)


def averaged(weights, share=0.5):
    return {name: value * share if value.is_floating_point() else value for name, value in weights.items()}


def _shadow(weights):
    counted = ("running_mean", "running_var", "num_batches_tracked")
    return [value for name, value in averaged(weights).items() if not name.endswith(counted)]


@pytest.mark.parametrize(
    ("key", "make", "where"),
    [
        ("model_ema", averaged, "model_ema"),
        ("state_dict_ema", lambda weights: {f"module.{name}": v for name, v in averaged(weights).items()}, None),
        ("ema", lambda weights: {"step": 3, **{f"ema_model.{n}": v for n, v in averaged(weights).items()}}, "ema"),
        ("best", lambda weights: {"epoch": 2, "weights": averaged(weights)}, "best.weights"),
        ("ema", lambda weights: {"decay": 0.9, "shadow_params": _shadow(weights)}, "ema.shadow_params"),
    ],
    ids=["by its name", "of AveragedModel", "with the step", "of the best epoch", "a list of torch-ema"],
)
@pytest.mark.parametrize("taken", ["model", "state_dict", "model_state_dict"])
def test_averages_beside_the_weights_are_not_passed_over(weights, tmp_path, key, make, where, taken):
    state = {f"model.{name}": value for name, value in weights.items()} if taken == "state_dict" else weights
    torch.save({taken: state, key: make(weights), "epoch": 3}, tmp_path / "two.pth")
    with pytest.raises(CheckpointError, match=rf"weights twice, as {taken} and as {where or key}, .*torch\.save"):
        read_checkpoint(tmp_path / "two.pth")


def test_the_same_weights_again_and_what_an_optimizer_keeps_are_no_averages(weights, tmp_path):
    optimizer = {"state": {0: {"exp_avg": torch.ones(3), "step": torch.tensor(1.0)}}, "param_groups": [{"params": [0]}]}
    beside = {"best_model": dict(weights), "optimizer": optimizer, "critic": {"head.weight": torch.ones(1)}}
    torch.save({"model": weights, **beside}, tmp_path / "same.pth")
    assert read_checkpoint(tmp_path / "same.pth").weights.keys() == weights.keys()


def test_of_lightnings_averaging_the_averages_are_taken(weights, tmp_path):
    # Its WeightAveraging keeps the averages as the state, and beside them the weights that they are of.
    torch.save({"state_dict": averaged(weights), "current_model_state": weights}, tmp_path / "mean.ckpt")
    key = next(name for name, value in weights.items() if value.is_floating_point() and value.any())
    assert torch.equal(read_checkpoint(tmp_path / "mean.ckpt").weights[key], weights[key] * 0.5)


def test_a_module_with_the_average_of_its_network_is_refused(weights, tmp_path):
    both = {f"model.{name}": value for name, value in weights.items()}
    both |= {f"ema_model.module.{name}": value for name, value in averaged(weights).items()}
    torch.save({"state_dict": both | {"ema_model.n_averaged": torch.tensor(3)}}, tmp_path / "module.ckpt")
    with pytest.raises(CheckpointError, match=r"holds 2 networks of this architecture \(ema_model\., model\.\)"):
        load_network(SMALL, read_checkpoint(tmp_path / "module.ckpt").weights)


def test_a_torchscript_archive_is_told_from_a_damaged_file(tmp_path):
    with warnings.catch_warnings(action="ignore"):  # torch calls the format deprecated; files of it remain
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(
        CheckpointError, match=r"script\.pt is a TorchScript archive.*torch\.jit\.load\(FILE\)\.state_dict"
    ):
        read_checkpoint(tmp_path / "script.pt")


@pytest.mark.parametrize("key", [None, "model"])
def test_weights_alone_and_those_of_a_model_are_read(weights, tmp_path, key):
    torch.save(weights if key is None else {key: weights, "epoch": 2}, tmp_path / "plain.pth")
    found = read_checkpoint(tmp_path / "plain.pth")
    assert found.weights.keys() == weights.keys() and found.epoch == (None if key is None else 2)


@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"], ids=["numpy 2", "numpy 1"])
def test_numbers_of_numpy_beside_the_weights_are_read(weights, tmp_path, core):
    figures = {"epoch": np.int64(3), "val_dice": np.float64(0.625), "val_iou": np.float32(0.5)}
    history = {"dtype": np.dtype("float32"), "flag": np.bool_(True), "loss": [np.float64(0.1)]}
    torch.save({"model_state_dict": weights, **figures, "history": history}, tmp_path / "numbers.pth")
    with zipfile.ZipFile(tmp_path / "numbers.pth") as given, zipfile.ZipFile(tmp_path / "named.pth", "w") as named:
        for item in given.infolist():
            named.writestr(item, given.read(item).replace(b"numpy._core", core.encode()))
    found = read_checkpoint(tmp_path / "named.pth")
    assert (found.epoch, found.val_dice, found.val_iou) == (3, 0.625, 0.5)
    assert {type(value) for value in (found.epoch, found.val_dice, found.val_iou)} == {int, float}


def test_a_figure_that_is_no_number_is_none(weights, tmp_path):
    figures = {"epoch": float("nan"), "val_dice": torch.tensor(0.5), "val_iou": "high"}
    torch.save({"model_state_dict": weights, **figures}, tmp_path / "odd.pth")
    found = read_checkpoint(tmp_path / "odd.pth")
    assert (found.epoch, found.val_dice, found.val_iou) == (None, 0.5, None)


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (np.array(["a", None], dtype=object), "numpy._core.multiarray._reconstruct"),
        (build_network(SMALL), "ml.networks.plain_unet.PlainUnet"),
    ],
    ids=["settings", "an array of objects", "the network itself"],
)
def test_what_is_more_than_numbers_is_named_by_its_type(weights, tmp_path, beside, named):
    torch.save({"model_state_dict": weights, "beside": beside}, tmp_path / "more.pth")
    with pytest.raises(CheckpointError, match=rf"more\.pth holds more than tensors and numbers: a {named}, .*save its"):
        read_checkpoint(tmp_path / "more.pth")


def test_a_weight_that_is_no_tensor_is_named(tmp_path):
    torch.save({"state_dict": {"encoder": torch.zeros(1), "optimizer": "adam"}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"'optimizer' is str"):
        read_checkpoint(tmp_path / "other.ckpt")


@pytest.mark.parametrize("content", [{"state_dict": {1: torch.zeros(2)}}, {"state_dict": None}, [torch.zeros(2)], {}])
def test_file_without_weights_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r'other\.ckpt has no "model_state_dict" of tensors'):
        read_checkpoint(tmp_path / "other.ckpt")


def test_full_disk_leaves_the_older_checkpoint_and_nothing_else(weights, tmp_path, monkeypatch):
    path = tmp_path / "best.pth"
    write_checkpoint(path, weights, FIGURES, FACTS)
    before = path.read_bytes()

    def fill(content, file):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fill)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(path, weights, {**FIGURES, "epoch": 4}, FACTS)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["best.pth"]


def test_what_is_too_large_for_half_precision_is_kept_in_single(weights, tmp_path):
    key = next(name for name in weights if name.endswith("running_var"))
    weights[key][0] = 1e6
    write_checkpoint(tmp_path / "best.pth", weights, FIGURES, FACTS)
    kept = torch.load(tmp_path / "best.pth", weights_only=True)["model_state_dict"]
    assert {name for name, value in kept.items() if value.dtype == torch.float32} == {key}
    assert torch.equal(read_checkpoint(tmp_path / "best.pth").weights[key], weights[key])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_could_not_be_read_again_are_not_written(weights, tmp_path, value):
    key = "segmentation_head.bias"
    weights[key] = torch.full_like(weights[key], value)
    with pytest.raises(CheckpointError, match=f"{key} has weights that are NaN or infinite"):
        write_checkpoint(tmp_path / "best.pth", weights, FIGURES, FACTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("architecture", "counts"),
    [
        (Architecture("scratch", "none", 3, 1, {"width": 8}), "0 weights are missing"),
        (Architecture("scratch", "none", 3, 4, {"width": 4}), "2 have another shape"),
        (Architecture("unet", "resnet18", 3, 1), "weights are missing, 0 have another shape"),
    ],
)
def test_checkpoint_of_another_architecture_is_refused(weights, architecture, counts):
    network = build_network(architecture)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(CheckpointError, match="another network's") as error:
        load_weights(network, weights)
    assert counts in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.pth cannot be read"):
        read_checkpoint(tmp_path / "nowhere.pth")
