"""What this machine's arithmetic can do: large products in each precision, on all cores that an engine uses."""

import time
from collections.abc import Callable

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as operations

from ml.engines.openvino import openvino_core

# A convolution as large as the network's, whose time is all arithmetic: (channels, height and width, kernel).
CONVOLUTION = (512, 64, 3)


def int8_limit() -> float:
    """GFLOP/s of a large quantized convolution."""
    channels, side, kernel = CONVOLUTION
    node = operations.parameter([1, channels, side, side], np.float32)
    bounds = [np.float32(value) for value in (-1.28, 1.27)]
    weights = np.random.default_rng(0).normal(0, 0.3, (channels, channels, kernel, kernel)).astype(np.float32)
    last = node
    depth = 4
    for _ in range(depth):
        quantized = operations.fake_quantize(last, *bounds, *bounds, 256)
        small = operations.fake_quantize(operations.constant(weights), *bounds, *bounds, 255)
        last = operations.convolution(quantized, small, [1, 1], [kernel // 2] * 2, [kernel // 2] * 2, [1, 1])
        last = operations.relu(last)
    model = ov.Model([operations.result(last)], [node], "limit")
    properties = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    request = openvino_core().compile_model(model, "CPU", properties).create_infer_request()
    inputs = np.random.default_rng(1).normal(0, 0.5, (1, channels, side, side)).astype(np.float32)
    gflop = depth * 2 * channels * channels * kernel * kernel * side * side / 1e9
    return gflop / _least(lambda: request.infer({0: inputs}))


def torch_limits() -> dict[str, float]:
    """GFLOP/s of a large matrix product in each precision."""
    side = 1024
    limits = {}
    for name in ("float32", "bfloat16"):
        left = torch.randn(side, side).to(getattr(torch, name))
        limits[name] = 2 * side**3 / 1e9 / _least(lambda left=left: left @ left)
    return limits


def _least(run: Callable[[], object]) -> float:
    seconds: list[float] = []
    # Some time, since a shared machine is slow for a second now and then; a processor without bfloat16 takes seconds
    # for one product.
    while sum(seconds) < 1 or (len(seconds) < 8 and sum(seconds) < 5):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
