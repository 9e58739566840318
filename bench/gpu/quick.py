"""The same work in minutes of one core: drawn heads, one epoch a run, random weights. Its figures mean nothing."""

from pathlib import Path

from bench.gpu.steps import Work
from ml.atomic_files import fresh_folder
from ml.packaging.quantization import Calibration
from tests.ml.training.conftest import draw_patient

PATIENTS = 7
_CHANGES = (
    "stages=[{epochs: 1, size: 32, batch_size: 2}]",
    "sampling={tumor_share: 0.6, slices: 4, is_patient_balanced: true}",
    "network.freeze_epochs=0",
    "schedule.warmup_epochs=0",
    "loop.statistics_slices=4",
    "loop.precision=32-true",
)


def quick_work(out: Path, encoders: Path | None) -> Work:
    """Draws the data set where it is not there yet; its last patient is the test."""
    data, excluded = out / "data", out / "test.txt"
    out.mkdir(parents=True, exist_ok=True)
    if not data.exists():
        with fresh_folder(data) as folder:
            for number in range(PATIENTS):
                draw_patient(folder / f"patient_{number}", seed=number)
    excluded.write_text(f"patient_{PATIENTS - 1}\n", encoding="utf-8")
    calibration = Calibration(slices=4, other_images=12)
    return Work(data, out, excluded, encoders, folds=2, changes=_CHANGES, calibration=calibration)
