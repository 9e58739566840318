"""Checkpoints: what is written reads again, nothing half-written stays, other networks' weights are refused."""

import errno

import pytest
import torch

from ml.cards import Architecture
from ml.networks import CheckpointError, build_network, load_weights, read_checkpoint
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
    load_weights(build_network(SMALL), found.weights)
    assert [item.name for item in tmp_path.iterdir()] == ["best.pth"]


def test_published_checkpoint_without_facts_reads(weights, tmp_path):
    torch.save({"model_state_dict": weights, **FIGURES}, tmp_path / "published.pth")
    found = read_checkpoint(tmp_path / "published.pth")
    assert (found.architecture, found.configuration, found.data) == (None, None, None)
    assert found.val_dice == 0.625


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict"])
@pytest.mark.parametrize("prefix", ["module.", "network.", "model.module.", "_orig_mod."])
def test_prefixes_of_wrappers_are_taken_off(weights, tmp_path, key, prefix):
    wrapped = {f"{prefix}{name}": value for name, value in weights.items()}
    # Lightning keeps its own state beside the weights.
    torch.save({key: wrapped, "epoch": 3, "loops": {"fit_loop": {"done": 1}}}, tmp_path / "wrapped.ckpt")
    found = read_checkpoint(tmp_path / "wrapped.ckpt")
    assert found.weights.keys() == weights.keys()
    load_weights(build_network(SMALL), found.weights)


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


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_could_not_be_read_again_are_not_written(weights, tmp_path, value):
    key = "segmentation_head.bias"
    weights[key] = torch.full_like(weights[key], value)
    with pytest.raises(CheckpointError, match=f"{key} has weights that are NaN or beyond 65504"):
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
