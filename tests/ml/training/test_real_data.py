"""Every recipe that ships trains on real slices: two steps, small, from random weights."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from ml.__main__ import main
from ml.cards import Architecture
from ml.datasets import list_cases
from ml.networks import build_network, read_checkpoint
from ml.training.recipes import list_recipes

pytestmark = pytest.mark.data
SMALL = (
    "network.encoder_weights=null",
    "stages=[{epochs: 1, size: 64, batch_size: 2}]",
    "sampling.slices=4",
    "shares=[67, 33, 0]",
    "loop.workers=0",
    "loop.validate_every=1",
    "loop.is_compiled=false",
)


def train(recipe, data, out, *more):
    # These two take their statistics again on 300 slices at the end.
    few = ("loop.statistics_slices=4",) if recipe.endswith("-lgg") else ()
    changes = [word for change in (*SMALL, *few, *more) for word in ("--set", change)]
    return main(["train", recipe, "--data", str(data), "--out", str(out), *changes])


@pytest.fixture(scope="module")
def few(real_data, tmp_path_factory):
    """Three real patients: of each two slices with tumor and one without."""
    folder = tmp_path_factory.mktemp("few")
    patients = sorted(path for path in (real_data / "lgg").iterdir() if path.is_dir())[:3]
    for patient in patients:
        cases = list_cases(real_data / "lgg", [patient.name])
        with_tumor = [case for case in cases if case.truth().any()]
        without = [case for case in cases if not case.truth().any()]
        (folder / patient.name).mkdir()
        for case in (*with_tumor[:2], *without[-1:]):
            for path in (case.image, case.mask):
                shutil.copy(path, folder / patient.name / path.name)
    return folder


@pytest.mark.parametrize("recipe", list_recipes())
def test_recipe_trains_on_real_slices(few, recipe, tmp_path):
    assert train(recipe, few, tmp_path / "run") == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["recipe"], result["summary"]["patients"], result["summary"]["slices"]) == (recipe, 1, 3)


def test_a_network_trains_from_an_encoder_that_was_converted_from_a_file(few, real_data, tmp_path):
    torch.manual_seed(5)
    encoder = build_network(Architecture("unet", "timm-tf_efficientnet_lite0", 3, 1)).get_submodule("encoder")
    save_file(encoder.state_dict(), tmp_path / "weights.safetensors")
    words = ["--encoder", "timm-tf_efficientnet_lite0", "--out", str(tmp_path / "encoder")]
    assert main(["encoder", str(tmp_path / "weights.safetensors"), *words]) == 0
    start = f"network.encoder_weights={tmp_path / 'encoder'}"
    assert train("unet-lite0-lgg", few, tmp_path / "run", start, "optimizer.encoder_lr=1e-9") == 0
    assert json.loads((tmp_path / "run" / "encoder.json").read_text())["encoder"] == "timm-tf_efficientnet_lite0"
    trained = read_checkpoint(tmp_path / "run" / "final.pth").weights
    first = load_file(tmp_path / "encoder" / "encoder.safetensors")["conv_stem.weight"]
    assert torch.allclose(trained["encoder.conv_stem.weight"], first, atol=1e-4)  # it started there


def test_recipe_trains_on_outlines(real_data, tmp_path):
    if not (real_data / "coco-brain").is_dir():
        pytest.skip(f"no COCO scans: {real_data} has no folder coco-brain")
    few = "shares=[95, 5, 0]"
    assert train("unet-resnet18-warmup", real_data / "coco-brain", tmp_path / "run", few) == 0
    assert (tmp_path / "run" / "best.pth").is_file()
