"""No library reports to anybody that it is used."""

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import ml.packaging.quantization, ml.training.augmentation
import nncf.telemetry.wrapper as nncf_telemetry
import openvino.tools.ovc.telemetry_utils as ovc_telemetry
import os

is_told = isinstance(nncf_telemetry.telemetry, nncf_telemetry.NNCFTelemetry)
print(is_told, ovc_telemetry.tm.__name__, os.environ["NO_ALBUMENTATIONS_UPDATE"])
"""


@pytest.mark.long
def test_neither_converter_nor_quantizer_nor_augmentation_calls_home() -> None:
    # Both are silent by themselves under pytest and in CI, so a process that is neither is asked.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_ALBUMENTATIONS_UPDATE")}
    found = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "openvino.tools.ovc.telemetry_stub", "1"]
