"""Single precision or bfloat16: by what the processor can do, and by a measurement."""

import copy
import logging
import time
from typing import Literal

import torch
from torch import nn

from ml.training.configuration import Configuration

Precision = Literal["bf16-mixed", "32-true"]
BFLOAT16: Precision = "bf16-mixed"
SINGLE: Precision = "32-true"
# Measured steps of each precision, after one that warms up the kernels.
_STEPS = 2
# Below this gain single precision is taken, which loses no digits.
_LEAST_GAIN = 1.1

logger = logging.getLogger(__name__)


def choose_precision(network: nn.Module, configuration: Configuration) -> Precision:
    """What `loop.precision` says, "auto" decided. The network and the random numbers stay as they are."""
    asked = configuration.loop.precision
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return BFLOAT16 if torch.cuda.is_bf16_supported() else SINGLE
    if not multiplies_bfloat16():
        logger.info("precision: single, for this processor does not multiply bfloat16")
        return SINGLE
    stage = configuration.stages[-1]  # the largest grid, where most of the time goes
    side, channels = stage.crop or stage.size, configuration.architecture.in_channels
    with torch.random.fork_rng():
        inputs = torch.randn(min(stage.batch_size, 2), channels, side, side).to(memory_format=torch.channels_last)
        single, half = (_seconds_per_step(network, inputs, is_half) for is_half in (False, True))
    chosen = BFLOAT16 if single > _LEAST_GAIN * half else SINGLE
    name = "bfloat16" if chosen == BFLOAT16 else "single"
    logger.info("precision: %s; a step took %.2f s in bfloat16 and %.2f s in single precision", name, half, single)
    return chosen


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; emulated it is several times slower than single precision."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("amx_bf16") or found.get("avx512_bf16"))


def _seconds_per_step(network: nn.Module, inputs: torch.Tensor, is_half: bool) -> float:
    """Processor time of this process for one step forward and back, the smaller of `_STEPS`."""
    measured = copy.deepcopy(network).train()
    seconds = []
    for _ in range(_STEPS + 1):
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            logits = measured(inputs)
        logits.float().mean().backward()
        seconds.append(time.process_time() - began)
    return min(seconds[1:])
