"""Every recipe for a short while on real scans, from random weights, with the same patients on each side.

How fast each one trains, and that each one learns; not how good it gets: published recipes run for dozens of epochs
from ImageNet's weights.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Table, median
from bench.slices import DATA
from ml.datasets import check, make_split, read_patients
from ml.training.comparison import Run, read_run
from ml.training.recipes import list_recipes, load_recipe
from ml.training.records import write_records
from ml.training.run import Plan, train

SIDE, EPOCHS, SLICES, BATCH = 128, 3, 600, 8
_SHARES = (88.0, 12.0, 0.0)


def measure() -> Iterator[Table]:
    """One table, a row a recipe. Needs the LGG data in GLIOSCOPE_TEST_DATA."""
    folder = DATA / "lgg"
    excluded = read_patients(folder / "test.txt")
    report = check(folder)
    split = make_split(report.patients, report.data_sha256 or "", 1, _SHARES, excluded)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for recipe in list_recipes():
            plan = Plan(load_recipe(recipe, changes()), folder, Path(scratch) / recipe, split)
            write_records(plan, train(plan))
            rows.append(_row(read_run(plan.out)))
    note = (
        f"{EPOCHS} epochs of {SLICES} slices, {SIDE} pixels, batches of {BATCH}, random weights, seed 1;"
        f" {len(split.train)} patients to train on, {len(split.validation)} to validate on, which chose the epoch."
        " Patient Dice: pixels pooled over a patient's slices, mean over patients; slice Dice: mean over tumor slices;"
        " threshold 0.5. Seconds an epoch include validation."
    )
    head = ("recipe", "patient Dice", "slice Dice", "sensitivity", "specificity", "s / epoch")
    yield Table("Every recipe for a short while", head, tuple(rows), note)


def changes() -> tuple[str, ...]:
    """What makes a recipe short, and comparable with the others."""
    return (
        f"stages=[{{epochs: {EPOCHS}, size: {SIDE}, batch_size: {BATCH}}}]",
        f"sampling={{tumor_share: 0.6, slices: {SLICES}}}",
        "network.encoder_weights=null",
        "schedule.warmup_epochs=0",
        "loop.patience=null",
        "loop.validate_every=1",
        "loop.is_compiled=false",
        "loop.workers=0",
    )


def _row(run: Run) -> tuple[str, ...]:
    summary = run.result["summary"]
    names = ("patient_dice_mean", "slice_dice_mean", "slice_sensitivity", "slice_specificity")
    figures = [f"{summary[name]:.3f}" for name in names]
    return (run.result["recipe"], *figures, f"{median(run.result['seconds_per_epoch']):.1f}")
