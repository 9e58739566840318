"""What a portal on a CPU imports has no torch in it: gigabytes of memory and of installation hang on that."""

import subprocess
import sys

import pytest

WITHOUT_TORCH = (
    "ml.cards",
    "ml.datasets",
    "ml.masks",
    "ml.preprocessing",
    "ml.rendering.panels",
    "ml.engines",
    "ml.engines.openvino",
    "ml.engines.flip_tta",
    "ml.packaging.parity",
    "ml.reports.folder",
    "ml.evaluation.cases",
    "ml.prediction.run",
    "ml.__main__",
)
# SciPy and OpenVINO are heavy too: a web process that only measures and renders has no need of them.
LIGHT = ("ml.cards", "ml.masks", "ml.metrics.registry", "ml.preprocessing", "ml.rendering.panels", "ml.engines")


def modules_after_import(names):
    code = f"import sys, {', '.join(names)}; print(' '.join(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return set(output.split())


def test_no_module_of_the_portal_imports_torch():
    loaded = modules_after_import(WITHOUT_TORCH)
    assert "openvino" in loaded
    assert not loaded & {"torch", "nncf", "segmentation_models_pytorch"}


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_stay_light(name):
    assert not modules_after_import([name]) & {"scipy", "openvino", "matplotlib", "torch"}
