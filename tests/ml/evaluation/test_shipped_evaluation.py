"""The shipped int8 model on two patients that it was not trained on, through the real command, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.cards import load_card

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "ml" / "weights" / "unet-vgg16-lgg"
# What a command line with the OpenVINO engine does, and then a look at what it loaded.
RUN = "import sys; from ml.__main__ import main; status = main(); sys.exit(9 if 'torch' in sys.modules else status)"


def run_command(*words) -> str:
    command = [sys.executable, "-W", "error", "-c", RUN, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.data
def test_two_runs_give_the_same_numbers_without_torch(real_data, tmp_path, figure):
    patients = sorted(load_card(SHIPPED).training.test_patients, key=lambda name: name[::-1])[:2]
    (tmp_path / "patients.txt").write_text("\n".join(patients))
    reports = []
    for number in (1, 2):
        out = tmp_path / str(number)
        run_command(
            *("evaluate", real_data / "lgg", "--model", SHIPPED, "--out", out, "--engine", "openvino"),
            *("--patients", tmp_path / "patients.txt", "--seed", 3),
        )
        report = json.loads((out / "report.json").read_text())
        rate = report["summary"].pop("slices_per_second")
        report.pop("title")
        reports.append(report)
    assert reports[0] == reports[1]
    assert (tmp_path / "1" / "patients.csv").read_bytes() == (tmp_path / "2" / "patients.csv").read_bytes()
    assert reports[0]["summary"]["patients"] == 2
    assert reports[0]["summary"]["patient_dice_mean"] > 0.5
    figure(f"evaluation with openvino-int8, reading and comparing included: {rate} slices a second")


@pytest.mark.data
def test_predict_loads_no_torch(real_data, tmp_path):
    image = next(path for path in sorted((real_data / "lgg").glob("TCGA*/*.webp")))
    said = run_command("predict", image, "--model", SHIPPED, "--out", tmp_path / "out", "--engine", "openvino")
    assert said.startswith("1 of 1 files")
