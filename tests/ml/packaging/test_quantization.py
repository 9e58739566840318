"""The graph that is quantized: the same network, at other static sizes as well."""

import numpy as np
import openvino as ov
import torch

from ml.engines.openvino import openvino_core
from ml.networks import UNET_VGG16, build_network
from ml.packaging.quantization import upsample_by_scale


def test_graph_traced_at_one_size_gives_the_networks_values_at_another():
    torch.manual_seed(3)
    network = build_network(UNET_VGG16)
    model = ov.convert_model(torch.export.export(network, (torch.zeros(1, 3, 64, 64),)))
    model.reshape([1, 3, 64, 64])
    upsample_by_scale(model)
    model.reshape([1, 3, 96, 32])
    inputs = torch.randn(1, 3, 96, 32)
    with torch.inference_mode():
        expected = network(inputs).numpy()
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(inputs.numpy())[0], expected, atol=1e-4)
