"""Encoders from files: what is converted exactly, and what is refused with a sentence."""

import json
import pickle
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from openvino import opset13 as ops
from safetensors.torch import save_file

from ml.__main__ import main
from ml.cards.card import Architecture
from ml.networks import CheckpointError, build_network
from ml.networks.pretrained import convert_encoder, load_encoder, write_encoder
from ml.networks.pretrained.conventions import CONVENTIONS, check_convention
from ml.networks.pretrained.conversion import build_encoder
from ml.networks.pretrained.weight_files import read_tensors

RESNET, LITE = "resnet18", "timm-tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def resnet():
    """Random weights of an encoder, as torchvision would name them, with a classifier."""
    torch.manual_seed(3)
    weights = dict(build_encoder(RESNET).state_dict())
    return {**weights, "fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}


def save(path: Path, weights) -> Path:
    torch.save(weights, path)
    return path


def pictures(count=2, side=64):
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def as_input(pixels, name):
    """uint8 (N, h, w, 3) as a convention has it, float32 (N, 3, h, w)."""
    convention = CONVENTIONS[name]
    values = pixels[..., ::-1] if convention.is_bgr else pixels
    scaled = (values.astype(np.float64) - convention.mean) / convention.std
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))).float()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.encoder."])
def test_weights_of_the_same_names_are_taken_as_they_are(resnet, tmp_path, suffix, prefix):
    named = {f"{prefix}{name}": value.clone() for name, value in resnet.items()}
    path = tmp_path / f"resnet{suffix}"
    if suffix == ".pth":
        save(path, {"state_dict": named})
    else:
        save_file(named, path)
    found = convert_encoder(path, RESNET).weights
    for name in ("conv1.weight", "layer4.1.conv2.weight", "bn1.running_var"):
        torch.testing.assert_close(found[name], resnet[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["lite", "inception", "caffe", "unit"])
def test_first_layer_computes_the_same_from_our_input(resnet, tmp_path, name):
    path = save(tmp_path / "resnet.pth", resnet)
    original = build_encoder(RESNET)
    original.load_state_dict({key: value for key, value in resnet.items() if not key.startswith("fc.")})
    converted = build_encoder(RESNET)
    converted.load_state_dict(convert_encoder(path, RESNET, convention=name).weights)
    pixels = pictures()
    with torch.inference_mode():
        expected = original.bn1(original.conv1(as_input(pixels, name)))
        found = converted.bn1(converted.conv1(as_input(pixels, "imagenet")))
    # But for the border, where the padding's zeros are another color.
    torch.testing.assert_close(found[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], atol=2e-3, rtol=1e-3)


def test_names_of_another_library_are_matched_in_order(tmp_path):
    torch.manual_seed(4)
    weights = {
        name: value for name, value in build_encoder(LITE).state_dict().items() if not name.endswith("batches_tracked")
    }
    renamed = {f"_part{index}.{name.rpartition('.')[2]}": value for index, (name, value) in enumerate(weights.items())}
    found = convert_encoder(save(tmp_path / "lite.pth", renamed), LITE).weights
    for name in ("conv_stem.weight", "blocks.3.1.conv_dw.weight"):
        torch.testing.assert_close(found[name], weights[name], atol=1e-6, rtol=1e-5)


def test_layers_of_a_vgg_are_scaled_and_the_maps_stay_proportional(tmp_path):
    torch.manual_seed(5)
    original = build_encoder("vgg11")
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.mul_(3)  # activations grow from layer to layer, as the published ones do
    found = build_encoder("vgg11")
    converted = convert_encoder(save(tmp_path / "vgg.pth", original.state_dict()), "vgg11")
    found.load_state_dict(converted.weights)
    assert "scaled to a standard deviation of 1" in " ".join(converted.card.changes)
    inputs = as_input(pictures(), "imagenet")
    with torch.inference_mode():
        for expected, scaled in zip(original(inputs)[1:], found(inputs)[1:], strict=True):
            factor = expected.norm() / scaled.norm()
            torch.testing.assert_close(scaled * factor, expected, atol=float(1e-4 * expected.max()), rtol=1e-3)


def test_convolutions_of_an_onnx_like_graph_are_read_in_order(tmp_path):
    random = np.random.default_rng(6)
    kernel, bias = random.normal(size=(8, 3, 3, 3)).astype(np.float32), random.normal(size=8).astype(np.float32)
    given = ops.parameter([1, 3, 8, 8], np.float32)
    convolved = ops.convolution(given, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
    model = ov.Model([ops.relu(ops.add(convolved, ops.constant(bias.reshape(1, 8, 1, 1))))], [given])
    # The reader of ONNX makes the same operations of a file; no library here writes one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ov.Core, "read_model", lambda self, path: model)
        (tmp_path / "drawn.onnx").write_bytes(b"stands for a file")
        found = read_tensors(tmp_path / "drawn.onnx")
    assert list(found) == ["conv0.weight", "conv0.bias"]
    np.testing.assert_array_equal(found["conv0.weight"].numpy(), kernel)
    np.testing.assert_array_equal(found["conv0.bias"].numpy(), bias)


class Harmful:
    """A pickle that would run code."""

    def __reduce__(self):
        return (Path.touch, (Path("harmed"),))


def test_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(CheckpointError, match="holds code, which is never run"):
        convert_encoder(tmp_path / "bad.pth", RESNET)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
def test_cut_files_are_refused(resnet, tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    if suffix == ".safetensors":
        save_file({name: value.clone() for name, value in resnet.items()}, path)
    else:
        save(path, resnet)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(CheckpointError, match=r"cut\..* cannot be read"):
        convert_encoder(path, RESNET)


def test_weights_of_another_network_name_the_first_layer_that_differs(resnet, tmp_path):
    path = save(tmp_path / "resnet.pth", resnet)
    with pytest.raises(CheckpointError, match=r"name the one that they belong to with --encoder"):
        convert_encoder(path, "vgg16")
    with pytest.raises(CheckpointError, match=r"lack layer1\.2\.conv1\.weight of resnet34"):
        convert_encoder(path, "resnet34")
    with pytest.raises(CheckpointError, match="encoder 'resnet19' is unknown"):
        convert_encoder(path, "resnet19")


def test_missing_layer_is_named(resnet, tmp_path):
    short = {name: value for name, value in resnet.items() if name != "layer2.0.bn1.bias"}
    with pytest.raises(CheckpointError, match=r"lack layer2\.0\.bn1\.bias of resnet18"):
        convert_encoder(save(tmp_path / "short.pth", short), RESNET)


def test_weights_that_are_no_numbers_are_refused(resnet, tmp_path):
    broken = {**resnet, "conv1.weight": torch.full_like(resnet["conv1.weight"], float("nan"))}
    with pytest.raises(CheckpointError, match=r"infinite or NaN weights in conv1\.weight"):
        convert_encoder(save(tmp_path / "nan.pth", broken), RESNET)


def test_weights_beyond_half_precision_are_refused(resnet, tmp_path):
    large = {**resnet, "bn1.weight": torch.full_like(resnet["bn1.weight"], 1e6)}
    with pytest.raises(CheckpointError, match="half precision ends at 65504"):
        convert_encoder(save(tmp_path / "large.pth", large), RESNET)


def test_bgr_given_as_rgb_is_told_by_a_known_first_kernel():
    kernel = torch.zeros(64, 3, 3, 3)
    kernel[0, :, 0, 0] = torch.tensor([0.42947057, 0.55037946, 0.48001540])
    assert check_convention(kernel, None, None) == "caffe"
    with pytest.raises(CheckpointError, match="takes BGR"):
        check_convention(kernel, "imagenet", None)
    with pytest.raises(CheckpointError, match="swapped RGB and BGR"):
        check_convention(kernel.flip(1), "caffe", None)


def test_unknown_input_has_to_be_said():
    kernel = torch.zeros(8, 3, 3, 3)
    with pytest.raises(CheckpointError, match="say it with --input, one of imagenet"):
        check_convention(kernel, None, None)
    with pytest.raises(CheckpointError, match="'keras' is unknown"):
        check_convention(kernel, "keras", None)


def test_command_writes_weights_and_card_that_training_starts_from(resnet, tmp_path, capsys):
    path, out = save(tmp_path / "resnet.pth", resnet), tmp_path / "encoder"
    command = ["encoder", str(path), "--encoder", RESNET, "--out", str(out), "--licence", "BSD-3-Clause"]
    assert main(command) == 0
    card = json.loads((out / "encoder.json").read_text())
    assert (card["encoder"], card["source"], card["licence"]) == (RESNET, "resnet.pth", "BSD-3-Clause")
    network = build_network(Architecture("unet", RESNET, 3, 1), str(out))
    torch.testing.assert_close(network.encoder.conv1.weight, resnet["conv1.weight"], atol=1e-6, rtol=1e-5)
    gray = build_network(Architecture("unet", RESNET, 1, 1), str(out))
    torch.testing.assert_close(gray.encoder.conv1.weight[:, 0], resnet["conv1.weight"].sum(1), atol=1e-5, rtol=1e-5)
    assert main(command) == 1
    assert "exists" in capsys.readouterr().err


def test_folder_is_checked_before_it_is_used(resnet, tmp_path):
    folder = tmp_path / "encoder"
    write_encoder(convert_encoder(save(tmp_path / "resnet.pth", resnet), RESNET), folder)
    with pytest.raises(CheckpointError, match="holds the encoder 'resnet18', and the recipe has 'vgg16'"):
        load_encoder(folder, "vgg16")
    with (folder / "encoder.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(CheckpointError, match="not the file that its card describes"):
        load_encoder(folder, RESNET)
    (folder / "encoder.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no card of the format"):
        load_encoder(folder, RESNET)
    with pytest.raises(CheckpointError, match=r"of no known format of weights"):
        load_encoder(tmp_path / "weights.zip", RESNET)


def test_layers_of_one_shape_cannot_change_places_in_a_file_sorted_by_name(tmp_path):
    torch.manual_seed(7)
    weights = build_encoder("vgg11").state_dict()
    # The last two layers, of one shape, in the order of their names, which is another than the network's.
    order = [*range(12), 14, 15, 12, 13]
    renamed = {
        f"part{order[index]:02}.{name.rpartition('.')[2]}": value for index, (name, value) in enumerate(weights.items())
    }
    save_file(renamed, tmp_path / "renamed.safetensors")
    with pytest.raises(CheckpointError, match=r"sorted by name, and of the 16 names of vgg11 they have 0"):
        convert_encoder(tmp_path / "renamed.safetensors", "vgg11")
