"""The VGG16 that is trained and the plain one that is published are one function."""

import pytest
import torch
from torch import nn

from ml.cards import Architecture
from ml.networks import UNET_VGG16, build_network, load_network
from ml.networks.folding import fold, folded_architecture

TRAINED = Architecture("unet", "vgg16_bn", 3, 1)


def with_random_statistics(architecture, seed=6):
    """A network whose batch statistics are as different from 0 and 1 as training makes them."""
    torch.manual_seed(seed)
    network = build_network(architecture)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.2, 3)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    return network


@pytest.mark.parametrize("network", ["unet", "unetplusplus"])
def test_folding_changes_nothing(network):
    architecture = Architecture(network, "vgg16_bn", 3, 1)
    trained = with_random_statistics(architecture)
    plain = load_network(folded_architecture(architecture), fold(trained, architecture))
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected, found = trained(x), plain(x)
    assert expected.std() > 0.01  # a network that says nothing would prove nothing
    assert (found - expected).abs().max() < 1e-4
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in plain.encoder.modules())


def test_folded_network_is_the_published_one():
    assert folded_architecture(TRAINED) == UNET_VGG16


@pytest.mark.parametrize(
    "architecture",
    [
        UNET_VGG16,
        Architecture("unet", "resnet18", 3, 1),
        Architecture("scratch", "none", 3, 1, {"width": 4}),
    ],
)
def test_other_networks_stay_as_they_are(architecture):
    network = with_random_statistics(architecture)
    assert folded_architecture(architecture) == architecture
    weights = fold(network, architecture)
    assert weights.keys() == network.state_dict().keys()
    assert all(torch.equal(weights[key], value) for key, value in network.state_dict().items())


def test_network_under_training_is_left_alone():
    trained = with_random_statistics(TRAINED).train()
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    fold(trained, TRAINED)
    assert trained.training
    assert all(torch.equal(value, before[key]) for key, value in trained.state_dict().items())
