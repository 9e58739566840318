"""What a finished run shows: its curves, ground truth beside prediction, the evaluation of its best checkpoint."""

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ml.atomic_files import fresh_file, write_text
from ml.cards import Card
from ml.datasets import Case, list_cases, read_split
from ml.engines import Engine
from ml.engines.torch import TorchEngine
from ml.evaluation.cases import check_outcome
from ml.evaluation.report import Report, Settings, headline, make_report, summary_of
from ml.evaluation.run import evaluate_cases
from ml.evaluation.scoring import mask_of
from ml.metrics.intervals import DEFAULT_SEED
from ml.networks import load_network, read_checkpoint
from ml.networks.folding import folded_architecture
from ml.plots.svg import Axes, Plot
from ml.rendering.error_overlay import error_overlay_image
from ml.rendering.panels import encode_png, mask_image
from ml.reports.folder import write_results
from ml.reports.title import Title
from ml.training.configuration import Configuration
from ml.training.out_of_fold import evaluate_and_keep
from ml.training.run import SPLIT_FILE, Plan, Trained

RESULT_FILE = "result.json"
VALIDATION_FOLDER = "validation"
_EXAMPLES = 8
# As the mask rule of a card without facts has it.
THRESHOLD, _MIN_TUMOR_PIXELS = 0.5, 0


@dataclass(frozen=True)
class Curve:
    """A logged figure over the epochs, from 1."""

    name: str
    points: tuple[tuple[int, float], ...]


def write_records(plan: Plan, trained: Trained, has_maps: bool = False) -> str:
    """Write `curves.svg`, `examples.png`, `validation/` and `result.json` into the run's folder; returns a headline.

    has_maps: the probability maps of the validation slices too. A run without validation patients has curves alone.
    """
    split = read_split(trained.folder / SPLIT_FILE)
    curves = read_curves(trained.folder / "logs" / "csv")
    write_text(trained.folder / "curves.svg", draw_curves(curves))
    if not split.validation:
        _write_result(plan, trained, None)
        return f"Trained on {len(split.train)} patients; none was kept for validation."
    cases = list_cases(plan.data, split.validation)
    engine = engine_of(trained.checkpoint, plan.configuration)
    if has_maps:
        outcome = evaluate_and_keep(engine, cases, THRESHOLD, trained.folder)
    else:
        outcome = evaluate_cases(engine, cases, THRESHOLD)
    check_outcome(outcome)
    report = make_report(engine, outcome, Settings(threshold=THRESHOLD, has_tta=False, seed=DEFAULT_SEED))
    # Left by a run that was interrupted while writing: a complete one has a result.json.
    shutil.rmtree(trained.folder / VALIDATION_FOLDER, ignore_errors=True)
    write_results(
        trained.folder / VALIDATION_FOLDER, engine, report, Title(plan.data.resolve().name, plan.data.resolve().name)
    )
    with fresh_file(trained.folder / "examples.png") as partial:
        partial.write_bytes(encode_png(draw_examples(engine, _choose_examples(report))))
    _write_result(plan, trained, report)
    return headline(report)


def read_curves(folder: Path) -> tuple[Curve, ...]:
    """Losses and validation Dice of Lightning's CSV logs, a file a start of the run; an epoch's last value each."""
    found: dict[str, dict[int, float]] = {"train_loss": {}, "val_loss": {}, "val_dice": {}}
    starts = sorted(folder.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.rpartition("_")[2]))
    for path in starts:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for name, values in found.items():
                    if row.get(name):
                        values[int(row["epoch"]) + 1] = float(row[name])
    return tuple(Curve(name, tuple(sorted(values.items()))) for name, values in found.items())


def draw_curves(curves: Sequence[Curve]) -> str:
    """Losses, scaled to the highest, and Dice over the epochs, as SVG."""
    epochs = max((epoch for curve in curves for epoch, _ in curve.points), default=1)
    losses = [value for curve in curves if curve.name != "val_dice" for _, value in curve.points]
    highest = max([*losses, 1e-9])
    description = f"Training and validation loss (1 is {highest:.3f}) and validation patient Dice by epoch."
    plot = Plot("Training", description)
    ticks = [(1, "1"), (epochs, str(epochs))] if epochs > 1 else [(1, "1")]
    axes = Axes(plot, "epoch", "Dice; loss as a share of its highest", ticks, x_range=(0, epochs))
    styles = {"train_loss": ("muted", "4 4"), "val_loss": ("accent", "4 4"), "val_dice": ("accent", "")}
    for index, curve in enumerate(curves):
        color, dashes = styles[curve.name]
        scale = 1.0 if curve.name == "val_dice" else highest
        places = [axes.place(epoch, min(value / scale, 1.0)) for epoch, value in curve.points]
        if len(places) > 1:
            plot.line(places, color, width=2, dashes=dashes)
        for place, (epoch, value) in zip(places, curve.points, strict=True):
            plot.point(*place, color, f"{curve.name}, epoch {epoch}: {value:.4f}", radius=2.5)
        left, top = axes.place(epochs * 0.62, 0.30 - 0.07 * index)
        plot.line([(left, top), (left + 24, top)], color, width=2, dashes=dashes)
        plot.text(left + 32, top + 4, curve.name.replace("_", " "))
    return plot.render()


def draw_examples(engine: Engine, cases: Sequence[Case]) -> Image.Image:
    """A row a case: the slice, the expert's mask, the model's, and the errors (red missed, green extra)."""
    rows = []
    for case in cases:
        pixels, truth = case.pixels(), case.labels() > 0
        mask = mask_of(engine.probability_map(pixels[None])[0], engine.card, THRESHOLD)
        panels = [pixels, *(np.asarray(mask_image(part).convert("RGB")) for part in (truth, mask))]
        errors = error_overlay_image(pixels, truth, mask, channel=engine.card.input.flair_channel)
        rows.append(np.concatenate([*panels, np.asarray(errors)], axis=1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return Image.fromarray(np.concatenate(padded, axis=0))


def _choose_examples(report: Report) -> tuple[Case, ...]:
    """Slices with tumor at even steps from the worst to the best; without any, the first ones."""
    scores = [score for score in report.outcome.scores if score.counts.truth] or list(report.outcome.scores)
    ranked = sorted(scores, key=lambda s: s.counts.true_positive / max(s.counts.truth + s.counts.predicted, 1))
    steps = np.linspace(0, len(ranked) - 1, min(_EXAMPLES, len(ranked))).round().astype(int)
    return tuple(ranked[step].case for step in steps)


def engine_of(checkpoint: Path, configuration: Configuration) -> TorchEngine:
    """The checkpoint as a model in single precision, by the conventions of its recipe."""
    published = read_checkpoint(checkpoint)
    architecture = folded_architecture(configuration.architecture)
    card = Card(
        name=checkpoint.stem,
        version=None,
        architecture=architecture,
        input=configuration.convention,
        threshold=THRESHOLD,
        min_tumor_pixels=_MIN_TUMOR_PIXELS,
        files={},
    )
    return TorchEngine(load_network(architecture, published.weights), card)


def _set_name(trained: Trained, report: Report | None) -> str:
    if report is None:
        return "no validation patients"
    return (
        "validation patients, which chose the epoch" if trained.is_chosen else "validation patients, used for no choice"
    )


def _write_result(plan: Plan, trained: Trained, report: Report | None) -> None:
    """`result.json`: what `python -m ml compare` reads."""
    result = {
        "format": "glioscope-run-1",
        "recipe": plan.configuration.name,
        "follows": plan.configuration.follows,
        "loss": plan.configuration.loss.model_dump(mode="json"),
        "epochs": plan.configuration.epochs,
        "best_epoch": trained.epoch,
        "checkpoint": trained.checkpoint.name,
        "seed": plan.configuration.loop.seed,
        "seconds_per_epoch": [round(seconds, 2) for seconds in trained.seconds_per_epoch],
        "set": _set_name(trained, report),
        "summary": None if report is None else summary_of(report),
    }
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    write_text(trained.folder / RESULT_FILE, text)
