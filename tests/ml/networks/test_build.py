"""Networks of every recipe: shapes, parts, what is refused, and encoders that cannot be fetched."""

import pytest
import segmentation_models_pytorch.encoders as encoders
import torch

from ml.cards import Architecture
from ml.networks import CheckpointError, build_network, load_network
from ml.networks.logits import tumor_logit
from ml.networks.plain_unet import PlainUnet
from ml.training.recipes import list_recipes, load_recipe


@pytest.mark.parametrize("name", list_recipes())
def test_network_of_every_recipe_runs_a_slice_and_has_its_three_parts(name):
    architecture = load_recipe(name, ["network.encoder_weights=null"]).architecture
    network = build_network(architecture)
    assert not network.training
    x = torch.randn(1, architecture.in_channels, 64, 64)
    with torch.inference_mode():
        logits = network(x)
        maps = network.encoder(x)
        again = network.segmentation_head(network.decoder(maps))
    assert logits.shape == (1, 1, 64, 64)
    torch.testing.assert_close(again, logits)
    assert len(maps) >= 5


@pytest.mark.parametrize("name", list_recipes())
def test_a_network_with_given_weights_draws_no_random_ones(name):
    architecture = load_recipe(name, ["network.encoder_weights=null"]).architecture
    network = build_network(architecture)
    before = torch.get_rng_state()
    loaded = load_network(architecture, network.state_dict())
    assert torch.equal(torch.get_rng_state(), before)
    assert not loaded.training
    for one, other in ((network.parameters(), loaded.parameters()), (network.buffers(), loaded.buffers())):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        ["network.attention=scse"],
        ["network.decoder_channels=[32, 16, 8, 8, 4]"],
        ["network.classes=3", "sampling.class_values=[0, 1, 2]"],
        ["network.name=unetplusplus", "network.attention=scse"],
    ],
)
def test_options_make_networks_that_run(changes):
    configuration = load_recipe("unet-resnet18-warmup", ["network.encoder_weights=null", *changes])
    network = build_network(configuration.architecture)
    with torch.inference_mode():
        logits = network(torch.randn(1, 3, 64, 64))
    assert logits.shape == (1, configuration.network.classes, 64, 64)


@pytest.mark.parametrize(("channels", "classes", "width"), [(3, 1, 4), (1, 4, 6)])
def test_scratch_network_answers_in_the_inputs_size(channels, classes, width):
    network = PlainUnet(channels, classes, width).eval()
    with torch.inference_mode():
        maps = network.encoder(torch.randn(2, channels, 64, 96))
        assert network(torch.randn(2, channels, 64, 96)).shape == (2, classes, 64, 96)
        assert network(torch.randn(1, channels, 16, 16)).shape == (1, classes, 16, 16)
    assert [tuple(level.shape) for level in maps] == [
        (2, width * 2**level, 64 // 2**level, 96 // 2**level) for level in range(5)
    ]


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (Architecture("segnet", "vgg16", 3, 1), "network 'segnet' is unknown; choose of unet"),
        (Architecture("unet", "vgg17", 3, 1), "encoder 'vgg17' is unknown"),
        (Architecture("unet", "vgg16", 3, 1, {"width": 4}), "'unet' has no option 'width'"),
        (Architecture("scratch", "none", 3, 1, {"decoder_channels": []}), "'scratch' has no option"),
    ],
)
def test_unknown_architecture_is_refused(architecture, message):
    with pytest.raises(CheckpointError, match=message):
        build_network(architecture)


@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError("proxy"), ValueError("offline")])
def test_encoder_that_cannot_be_fetched_is_a_sentence_with_the_way_out(monkeypatch, error):
    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr(encoders, "hf_hub_download", refuse)
    with pytest.raises(CheckpointError) as raised:
        build_network(Architecture("unet", "resnet18", 3, 1), "imagenet")
    assert str(raised.value) == (
        f"The weights 'imagenet' of the encoder 'resnet18' could not be fetched ({type(error).__name__}): they are"
        " downloaded from the internet once. Connect, or set network.encoder_weights to a folder that `python -m ml"
        " encoder` made of a file of weights, or to null to start at random."
    )


def test_encoder_that_was_never_published_is_named(monkeypatch):
    monkeypatch.setattr(encoders, "hf_hub_download", lambda *a, **o: pytest.fail("nothing is to be fetched"))
    with pytest.raises(CheckpointError, match=r"Wrong pretrained weights `imagenet`.*network\.encoder_weights=null"):
        build_network(Architecture("unet", "dpn92", 3, 1), "imagenet")


def test_encoder_that_can_be_fetched_is_used(monkeypatch, tmp_path):
    """A file as the hub gives it: the encoder's own weights, here of another seed."""
    from safetensors.torch import save_file

    torch.manual_seed(9)
    published = build_network(Architecture("unet", "resnet18", 3, 1)).encoder.state_dict()
    save_file(published, tmp_path / "model.safetensors")
    monkeypatch.setattr(encoders, "hf_hub_download", lambda *a, filename, **o: str(tmp_path / filename))
    torch.manual_seed(10)
    network = build_network(Architecture("unet", "resnet18", 3, 1), "imagenet")
    assert all(torch.equal(value, published[key]) for key, value in network.encoder.state_dict().items())


def test_logit_of_tumor_is_that_of_any_class_but_the_background():
    logits = torch.randn(2, 4, 5, 5)
    expected = 1 - torch.softmax(logits, dim=1)[:, :1]
    torch.testing.assert_close(torch.sigmoid(tumor_logit(logits)), expected)
    one = torch.randn(2, 1, 5, 5)
    assert torch.equal(tumor_logit(one), one)
    assert torch.isfinite(tumor_logit(torch.tensor([200.0, -200.0]).view(1, 2, 1, 1))).all()
