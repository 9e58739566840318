"""Encoders from Keras's .h5 files: the same network as torch has, and hostile files refused with a sentence."""

import h5py
import numpy as np
import pytest
import torch

from ml.__main__ import main
from ml.networks import CheckpointError
from ml.networks.pretrained import convert_encoder
from ml.networks.pretrained.activations import draw_inputs
from ml.networks.pretrained.conventions import CONVENTIONS
from ml.networks.pretrained.conversion import build_encoder
from ml.networks.random_values import SkippedRandomValues

VGG = "vgg16"
BLOCKS = (2, 2, 3, 3, 3)
LAYERS = [f"block{block}_conv{index}" for block, count in enumerate(BLOCKS, 1) for index in range(1, count + 1)]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(8)
    return build_encoder(VGG)


@pytest.fixture(scope="module")
def inputs():
    """One small slice: by how much a layer is scaled on it does not matter here."""
    return draw_inputs()[:1, :, ::4, ::4].contiguous()


def pairs(encoder):
    """Kernel (h, w, in, out) and bias of each convolution, as Keras has them."""
    values = [value.numpy() for value in encoder.state_dict().values()]
    kernels = [kernel.transpose(2, 3, 1, 0) for kernel in values[0::2]]
    return dict(zip(LAYERS, zip(kernels, values[1::2], strict=True), strict=True))


def write_layers(root, layers, names=("kernel:0", "bias:0"), has_folder=True):
    """Layers as Keras writes them; between them one without weights, and a classifier behind."""
    order = [*list(layers)[:2], "block1_pool", *list(layers)[2:], "fc1"]
    root.attrs["layer_names"] = np.array([name.encode() for name in order])
    layers = {**layers, "block1_pool": (), "fc1": (np.zeros((5, 4), np.float32), np.zeros(4, np.float32))}
    for layer in order:
        group = root.create_group(layer)
        # The published file has "block1_conv1_W_1:0" in the layer's group, later ones "block1_conv1/kernel:0".
        inner = [f"{layer}/{name}" if has_folder else f"{layer}_{name}" for name in names][: len(layers[layer])]
        group.attrs["weight_names"] = np.array([name.encode() for name in inner], dtype="S64")
        for name, value in zip(inner, layers[layer], strict=True):
            group.create_dataset(name, data=value)


@pytest.fixture
def path(encoder, tmp_path):
    """A file as Keras's save_weights makes it."""
    with h5py.File(tmp_path / "vgg.h5", "w") as file:
        write_layers(file, pairs(encoder))
    return tmp_path / "vgg.h5"


def assert_is_proportional(found, encoder, convention):
    """The same feature maps up to a factor a level: a VGG is scaled layer by layer."""
    with SkippedRandomValues():
        converted = build_encoder(VGG)
    converted.load_state_dict(found.weights)
    pixels = np.random.default_rng(5).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8).astype(np.float64)
    given, ours = CONVENTIONS[convention], CONVENTIONS["imagenet"]
    inputs = [
        torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2))).float()
        for values in (
            ((pixels[..., ::-1] if given.is_bgr else pixels) - given.mean) / given.std,
            (pixels - ours.mean) / ours.std,
        )
    ]
    with torch.inference_mode():
        expected, scaled = encoder(inputs[0])[1], converted(inputs[1])[1]  # (1, 64, 64, 64)
    expected, scaled = expected[..., 4:-4, 4:-4], scaled[..., 4:-4, 4:-4]  # the padding is another color than before
    torch.testing.assert_close(scaled * (expected.norm() / scaled.norm()), expected, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("names", [("kernel:0", "bias:0"), ("W_1:0", "b_1:0"), ("kernel", "bias")])
@pytest.mark.parametrize("is_whole_model", [False, True])
def test_both_layouts_give_the_network_that_torch_has(encoder, inputs, tmp_path, names, is_whole_model):
    path = tmp_path / "vgg.h5"
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if is_whole_model else file
        write_layers(root, pairs(encoder), names, has_folder=names[0] != "W_1:0")
    found = convert_encoder(path, VGG, convention="imagenet", inputs=inputs)
    assert_is_proportional(found, encoder, "imagenet")
    deepest = found.weights["features.28.weight"]
    expected = encoder.state_dict()["features.28.weight"]
    torch.testing.assert_close(deepest * (expected.norm() / deepest.norm()), expected, atol=1e-6, rtol=1e-5)


def test_nested_model_is_read_in_its_order(encoder, inputs, tmp_path):
    with h5py.File(tmp_path / "nested.h5", "w") as file:
        file.attrs["layer_names"] = [b"vgg16"]
        group = file.create_group("vgg16")
        named = {f"{layer}/{name}:0": value for layer, pair in pairs(encoder).items()
                 for name, value in zip(("kernel", "bias"), pair, strict=True)}  # fmt: skip
        group.attrs["weight_names"] = [name.encode() for name in named]
        for name, value in named.items():
            group.create_dataset(name, data=value)
    found = convert_encoder(tmp_path / "nested.h5", VGG, convention="imagenet", inputs=inputs)
    assert_is_proportional(found, encoder, "imagenet")


def test_published_kernel_is_known_to_take_bgr(encoder, tmp_path):
    layers = pairs(encoder)
    kernel = layers["block1_conv1"][0].copy()
    kernel[0, 0, :, 0] = (0.42947057, 0.55037946, 0.48001540)
    layers["block1_conv1"] = (kernel, layers["block1_conv1"][1])
    with h5py.File(tmp_path / "vgg.h5", "w") as file:
        write_layers(file, layers)
    found = convert_encoder(tmp_path / "vgg.h5", VGG)
    assert found.card.source_input == CONVENTIONS["caffe"].title
    with SkippedRandomValues():
        original = build_encoder(VGG)
    original.load_state_dict(
        {**encoder.state_dict(), "features.0.weight": torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())}
    )
    assert_is_proportional(found, original, "caffe")
    with pytest.raises(CheckpointError, match="takes BGR"):
        convert_encoder(tmp_path / "vgg.h5", VGG, convention="imagenet")


def test_input_has_to_be_said_for_other_kernels(path):
    with pytest.raises(CheckpointError, match="say it with --input"):
        convert_encoder(path, VGG)


def replace_kernel(path, make):
    """Put something else in the place of a kernel; make(group, name, value)."""
    with h5py.File(path, "r+") as file:
        group = file["block3_conv1/block3_conv1"]
        value = group["kernel:0"][()]
        del group["kernel:0"]
        make(group, "kernel:0", value)


def link_outside(group, name, value):
    with h5py.File(f"{group.file.filename}.other", "w") as other:
        other["kernel"] = value
    group[name] = h5py.ExternalLink(f"{group.file.filename}.other", "/kernel")


def link_softly(group, name, value):
    group.file["elsewhere"] = value
    group[name] = h5py.SoftLink("/elsewhere")


def store_outside(group, name, value):
    raw = f"{group.file.filename}.raw"
    value.tofile(raw)
    group.create_dataset(name, value.shape, value.dtype, external=[(raw, 0, value.nbytes)])


def store_virtually(group, name, value):
    layout = h5py.VirtualLayout(value.shape, value.dtype)
    layout[...] = h5py.VirtualSource(f"{group.file.filename}.other", "kernel", value.shape)
    group.create_virtual_dataset(name, layout)


def declare_much(group, name, value):
    group.create_dataset(name, (3, 3, 2**20, 2**10), np.float32, chunks=(3, 3, 8, 8))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (link_outside, r"kernel:0 of the \.h5 file is missing, or a link"),
        (link_softly, r"kernel:0 of the \.h5 file is missing, or a link"),
        (lambda group, name, value: None, r"kernel:0 of the \.h5 file is missing, or a link"),
        (store_outside, r"block3_conv1\.weight lie outside the \.h5 file"),
        (store_virtually, r"block3_conv1\.weight lie outside the \.h5 file"),
        (declare_much, r"block3_conv1\.weight of the \.h5 file has \(3, 3, 1048576, 1024\)"),
        (lambda group, name, value: group.create_dataset(name, data=b"text"), "floating-point numbers"),
        (lambda group, name, value: group.create_group(name), "is no dataset"),
        (
            lambda group, name, value: group.create_dataset(name, data=np.full_like(value, np.nan)),
            r"NaN weights in block3_conv1\.weight",
        ),
        (lambda group, name, value: group.create_dataset(name, data=value[..., :100]), "has the shape"),
    ],
)
def test_hostile_kernels_are_refused_and_nothing_is_written(path, tmp_path, capsys, make, sentence):
    replace_kernel(path, make)
    with pytest.raises(CheckpointError, match=sentence):
        convert_encoder(path, VGG, convention="imagenet")
    out = tmp_path / "encoder"
    assert main(["encoder", str(path), "--encoder", VGG, "--input", "imagenet", "--out", str(out)]) == 1
    assert "\n" not in capsys.readouterr().err.strip()
    assert not out.exists()


def test_link_of_a_whole_layer_is_refused(path):
    with h5py.File(path, "r+") as file:
        file.move("block2_conv1", "moved")
        file["block2_conv1"] = h5py.SoftLink("/moved")
    with pytest.raises(CheckpointError, match=r"block2_conv1 of the \.h5 file is missing, or a link"):
        convert_encoder(path, VGG, convention="imagenet")


def test_other_networks_are_refused(path, encoder, tmp_path):
    with pytest.raises(CheckpointError, match=r"name the one that they belong to with --encoder"):
        convert_encoder(path, "resnet18", convention="imagenet")
    layers = pairs(encoder)
    with h5py.File(tmp_path / "short.h5", "w") as file:
        write_layers(file, dict(list(layers.items())[:7]))
    with pytest.raises(CheckpointError, match=r"have 14 tensors and vgg16 has 26"):
        convert_encoder(tmp_path / "short.h5", VGG, convention="imagenet")
    with h5py.File(tmp_path / "normalized.h5", "w") as file:
        write_layers(file, layers, names=("gamma:0", "beta:0"))
    with pytest.raises(CheckpointError, match=r"gamma:0 of the weights is neither a kernel nor a bias"):
        convert_encoder(tmp_path / "normalized.h5", VGG, convention="imagenet")


def test_file_without_an_order_is_refused(tmp_path):
    """Keras 3's own format has `layers/conv2d/vars/0`, sorted by name."""
    with h5py.File(tmp_path / "new.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((3, 3, 3, 64), np.float32)
    with pytest.raises(CheckpointError, match="has no layer_names"):
        convert_encoder(tmp_path / "new.weights.h5", VGG, convention="imagenet")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_cut_file_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"vgg\.h5 cannot be read as HDF5"):
        convert_encoder(path, VGG, convention="imagenet")
