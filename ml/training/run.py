"""A whole training: check the data, divide the patients, train, keep the best, show what it can do.

The run's folder: `configuration.yaml`, `split.json`, `summary.txt` (layers), `best.pth`, `last.ckpt`, `logs/` (CSV and
TensorBoard), `curves.svg`, `validation/` (the evaluation of the best checkpoint), `result.json`. A fixed schedule
leaves `final.pth` in place of `best.pth`.
"""

import json
import logging
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torchinfo
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from ml.atomic_files import write_text
from ml.cards.fields import encode
from ml.datasets import Case, Split, check, list_cases, make_split, read_split, write_split
from ml.datasets.checking.check import Progress, Report
from ml.datasets.splits import is_divided, keep_split
from ml.networks.build import IMAGENET
from ml.networks.checkpoints import CheckpointError
from ml.networks.pretrained import load_encoder
from ml.training.callbacks import (
    BEST_FILE,
    FINAL_FILE,
    INTERRUPTED_FILE,
    LAST_FILE,
    CheckpointCallback,
    DiceEarlyStopping,
    EpochReport,
    StepLimit,
    averaging,
    diverged,
    write_published,
)
from ml.training.configuration import Configuration
from ml.training.data_module import SliceDataModule
from ml.training.errors import TrainingError
from ml.training.module import SegmentationModule
from ml.training.noise import without_noise
from ml.training.precision import Precision, choose_precision
from ml.training.recipes import dump, load_recipe
from ml.training.statistics import refresh_statistics

CONFIGURATION_FILE = "configuration.yaml"
SPLIT_FILE = "split.json"
ENCODER_FILE = "encoder.json"
SUMMARY_FILE = "summary.txt"
# What a run has written before its first epoch is finished, and a file that was just being written.
_OF_A_START = {CONFIGURATION_FILE, SPLIT_FILE, ENCODER_FILE, SUMMARY_FILE, INTERRUPTED_FILE, "logs"}
_PARTIAL = re.compile(r"\..+\.partial-\d+(-\d+)?")
# torch's words where batch normalization has one value a channel.
_ONE_VALUE = "Expected more than 1 value per channel"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is to be trained on what. split: None to divide the patients anew, without those of `excluded`."""

    configuration: Configuration
    data: Path
    out: Path
    split: Split | None = None
    excluded: tuple[str, ...] = ()
    is_resumed: bool = False


@dataclass(frozen=True)
class Trained:
    """A finished run. checkpoint: what it keeps; epoch: the one it is of; is_chosen: whether validation chose it."""

    folder: Path
    checkpoint: Path
    epoch: int
    is_chosen: bool
    seconds_per_epoch: tuple[float, ...]


def train(plan: Plan, report_check: Progress | None = None) -> Trained:
    """Train to the end. Raises TrainingError, DatasetError, CheckpointError and OSError, each with a sentence."""
    _check_folder(plan)
    split = plan.split or divide(plan, report_check)
    configuration = plan.configuration
    L.seed_everything(configuration.loop.seed, workers=True, verbose=False)
    sides = {
        side: list_cases(plan.data, patients) if patients else ()
        for side, patients in _sides(split, configuration).items()
    }
    check_tumor({side: sides[side] for side in needed_sides(configuration)})
    data = SliceDataModule(sides["train"], sides["validation"], configuration)
    module = SegmentationModule(configuration, len(split.validation), plan.is_resumed)
    # Created only now, so that a plan that was refused can be tried again with the same --out.
    plan.out.mkdir(parents=True, exist_ok=True)
    if not plan.is_resumed and _is_first_process():
        _forget_start(plan.out)
    write_text(plan.out / CONFIGURATION_FILE, dump(configuration))
    write_split(split, plan.out / SPLIT_FILE)
    _write_summary(module, plan.out)
    facts = _facts(split, sides, _keep_encoder_card(configuration, plan))
    checkpoints = CheckpointCallback(plan.out, configuration, facts)
    pace = EpochReport(configuration)
    with without_noise():
        precision = choose_precision(module.network, configuration)
        # What was measured once holds: a run that is resumed is the run that was not.
        loop = configuration.loop.model_copy(update={"precision": precision})
        write_text(plan.out / CONFIGURATION_FILE, dump(configuration.model_copy(update={"loop": loop})))
        trainer = _make_trainer(configuration, plan.out, precision, bool(split.validation), [pace, checkpoints])
    resumed = plan.out / LAST_FILE if plan.is_resumed else None
    # Our own file; Lightning's callbacks and loops store more than tensors in it.
    try:
        with without_noise():
            trainer.fit(module, data, ckpt_path=resumed, weights_only=False)
    except SystemExit as error:  # Lightning's answer to Ctrl-C, after the callbacks
        raise KeyboardInterrupt from error
    except ValueError as error:
        if _ONE_VALUE not in str(error):
            raise
        raise TrainingError(
            "A batch of one slice leaves the network's batch normalization a single value a channel on so small a grid;"
            " give stages a batch_size of 2 or more (and as many training slices), or a larger size or crop."
        ) from error
    seconds = tuple(pace.seconds)
    if configuration.loop.checkpoint == "last":
        epoch = trainer.current_epoch
        if trainer.is_global_zero:
            _write_final(plan, module, data, facts, epoch)
        return Trained(plan.out, plan.out / FINAL_FILE, epoch, False, seconds)
    if checkpoints.best is None:
        raise TrainingError(
            f"The training ended after epoch {trainer.current_epoch}, before any validation of its last stage, so there"
            " is no best checkpoint; allow more loop.max_steps or a smaller loop.validate_every."
        )
    return Trained(plan.out, plan.out / BEST_FILE, checkpoints.best_epoch or 0, True, seconds)


def resume_plan(data: Path, out: Path) -> Plan:
    """The plan of a run that was interrupted, from its own folder. Raises TrainingError and DatasetError."""
    if not (out / LAST_FILE).is_file():
        raise TrainingError(f"{out} has no {LAST_FILE}, so no epoch was finished; start it without --resume.")
    configuration = load_recipe(str(out / CONFIGURATION_FILE))
    return Plan(configuration, data, out, read_split(out / SPLIT_FILE, data), is_resumed=True)


def _check_folder(plan: Plan) -> None:
    if plan.is_resumed or not _is_first_process() or not plan.out.exists() or _is_only_started(plan.out):
        return
    remedy = ", or --resume to go on" if (plan.out / LAST_FILE).is_file() else ""
    raise TrainingError(f"{plan.out} exists and is not empty; give --out a new folder{remedy}.")


def _is_first_process() -> bool:
    """Of several, which Lightning starts with the same words: one asks for the folder, the others find it in use."""
    return not getattr(rank_zero_only, "rank", 0)


def _is_only_started(folder: Path) -> bool:
    """Whether the folder holds nothing, or just what a run writes before its first epoch is finished."""
    names = {path.name for path in folder.iterdir() if not _PARTIAL.fullmatch(path.name)}
    return names <= _OF_A_START and (not names or CONFIGURATION_FILE in names)


def _forget_start(folder: Path) -> None:
    """Remove what `_is_only_started` found: a run that was ended before its first epoch was begins anew."""
    for path in list(folder.iterdir()):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def divide(plan: Plan, report_check: Progress | None) -> Split:
    """Check every file, then split by patient; a division that the data come with is kept. Raises TrainingError and
    DatasetError."""
    report = check_data(plan.data, plan.configuration, report_check)
    digest, seed = report.data_sha256 or "", plan.configuration.loop.seed
    if is_divided(report.sides):
        logger.info("The patients stay as the folders of the data divide them; --split FILE gives another division.")
        return keep_split(report.patients, digest, report.sides, seed, plan.excluded)
    return make_split(report.patients, digest, seed, plan.configuration.shares, plan.excluded)


def check_data(folder: Path, configuration: Configuration, report_check: Progress | None = None) -> Report:
    """The report of a sound data set. Raises TrainingError that names the first problem."""
    progress = report_check or (lambda items, _: items)
    report = check(folder, progress, is_binary_needed=configuration.network.classes == 1)
    if report.problems:
        first = report.problems[0]
        raise TrainingError(
            f"{folder} has {len(report.problems)} problems; the first: {', '.join(first.files[:3])}: {first.message}"
            " `python -m ml check` lists all of them; mend them before training."
        )
    if phrase := report.doubtful_masks.phrase:
        logger.warning("%s; `python -m ml check` names them", phrase)
    return report


def _write_final(
    plan: Plan, module: SegmentationModule, data: SliceDataModule, facts: Mapping[str, Any], epoch: int
) -> None:
    """The weights of `last.ckpt`, the averaged ones where there is an average, with fresh statistics, as FINAL_FILE.

    From the file, not from memory: a run that was killed in between writes the same.
    """
    configuration = plan.configuration
    # Our own file, see above.
    content = torch.load(plan.out / LAST_FILE, map_location="cpu", weights_only=False)
    module.cpu().load_state_dict(content["state_dict"])
    network = module.network
    if torch.cuda.is_available():
        network.cuda()
    count = configuration.loop.statistics_slices
    if count:
        batches = (inputs.to(next(network.parameters()).device) for inputs in data.plain_batches(count))
        frozen = network.get_submodule("encoder") if configuration.network.is_encoder_frozen else None
        refresh_statistics(network, batches, frozen)
    figures = {"epoch": epoch, "val_iou": None, "val_dice": None}
    try:
        write_published(plan.out / FINAL_FILE, network.eval(), configuration, facts, figures)
    except CheckpointError as error:
        raise diverged(epoch, error) from error


def _keep_encoder_card(configuration: Configuration, plan: Plan) -> dict[str, Any] | None:
    """What the run's encoder started from, from its card; kept in the run's folder, for a resumed run has it too."""
    path = plan.out / ENCODER_FILE
    if plan.is_resumed:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    weights = configuration.network.encoder_weights
    if weights is None or weights == IMAGENET:
        return None
    card = encode(load_encoder(Path(weights), configuration.network.encoder).card)
    write_text(path, json.dumps(card, indent=1) + "\n")
    return card


def needed_sides(configuration: Configuration) -> tuple[str, ...]:
    """The sides without which nothing can be trained, or chosen."""
    return ("train", "validation") if configuration.loop.checkpoint == "best" else ("train",)


def check_tumor(sides: Mapping[str, tuple[Case, ...]]) -> None:
    """Raises TrainingError for a side without any tumor: nothing can be learned of it, and no Dice is defined on it.

    Masks are read up to the first tumor. Raises DatasetError where one cannot be read.
    """
    for side, cases in sides.items():
        if not any(has_tumor(case) for case in cases):
            patients = len({case.patient for case in cases})
            raise TrainingError(
                f"The {side} side has no tumor: the masks of its {len(cases):,} slices of {patients} patients are"
                " empty. Give --split a division with tumor on each side, or data with more patients with tumor."
            )


def has_tumor(case: Case) -> bool:
    """Whether the expert's mask of a slice has a pixel. Raises DatasetError."""
    truth = case.truth()
    return truth is not None and bool(truth.any())


def _sides(split: Split, configuration: Configuration) -> dict[str, tuple[str, ...]]:
    for side in needed_sides(configuration):
        if not getattr(split, side):
            raise TrainingError(f"The split has no {side} patients; give one with both, as `python -m ml split` does.")
    return {"train": split.train, "validation": split.validation}


def _facts(split: Split, sides: Mapping[str, tuple[Case, ...]], encoder: dict[str, Any] | None) -> dict[str, Any]:
    """What the checkpoint says of its data, and of the weights that its encoder started from."""
    return {
        "encoder": encoder,
        "data_sha256": split.data_sha256,
        "split_seed": split.seed,
        "train_patients": list(split.train),
        "validation_patients": list(split.validation),
        "test_patients": list(split.test),
        "excluded_patients": list(split.excluded),
        "train_slices": len(sides["train"]),
        "validation_slices": len(sides["validation"]),
    }


def _write_summary(module: SegmentationModule, folder: Path) -> None:
    """Layers with shapes and parameters, of one slice on the last stage's grid."""
    convention = module.configuration.convention
    text = torchinfo.summary(
        module.network,
        input_size=(1, module.configuration.architecture.in_channels, *convention.size),
        col_names=("output_size", "num_params", "mult_adds"),
        verbose=0,
    )
    write_text(folder / SUMMARY_FILE, f"{text}\n")


def _make_trainer(
    configuration: Configuration, out: Path, precision: Precision, is_validated: bool, kept: list[Callback]
) -> L.Trainer:
    loop = configuration.loop
    callbacks = list(kept)
    # As every bar of the command line: none in a log file, which has a line an epoch.
    has_bar = sys.stdout.isatty()
    if has_bar:
        callbacks.append(TQDMProgressBar())
    if loop.patience is not None:
        callbacks.append(DiceEarlyStopping(configuration, loop.patience))
    if loop.max_steps is not None:
        callbacks.append(StepLimit(loop.max_steps))
    if loop.ema_decay is not None:
        callbacks.append(
            averaging(loop.ema_decay)
        )  # after CheckpointCallback, which then sees the averaged weights in validation
    logs = out / "logs"
    return L.Trainer(
        default_root_dir=out,
        accelerator="auto",
        devices=loop.devices if torch.cuda.is_available() else 1,
        num_nodes=loop.nodes,
        precision=precision,
        limit_val_batches=None if is_validated else 0,
        max_epochs=configuration.epochs,
        check_val_every_n_epoch=loop.validate_every,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=loop.gradient_clip,
        num_sanity_val_steps=0,
        log_every_n_steps=1,  # nothing is logged by the step; more than an epoch has would be warned about
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=has_bar,
        callbacks=callbacks,
        logger=[
            # A file a start (version_0, ...), for a resumed one would delete the file before it; written at once.
            CSVLogger(logs, name="csv", flush_logs_every_n_steps=1),
            TensorBoardLogger(logs, name="tensorboard", version=""),
        ],
    )
