"""The options of `python -m bench gpu`, and what it refuses."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

import torch

from bench.engines import ROUNDS, SLICES
from bench.gpu.figures import measure
from bench.gpu.quick import quick_work
from bench.gpu.steps import ENCODERS, Work, make_models
from bench.machine import measure_noise, this_machine
from ml.networks.pretrained.store import CARD_FILE

# Processes that load and augment slices for the GPU, which would wait for one.
_WORKERS = 8


def main(arguments: list[str]) -> None:
    """Make the models, measure them, print the tables and keep them in OUT/figures.md.

    Raises SystemExit where there is no GPU and none was renounced, or a step fails.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.quick and None in (options.data, options.encoders):
        parser.error("--data and --encoders are needed; --quick draws its own data and starts at random.")
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # torch has not looked for one yet
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and options.device != "cpu" and not options.quick:
        parser.error(
            "torch finds no GPU here. The same work takes a processor days: ask for it with --device cpu, or try every"
            " step on drawn data with --quick."
        )
    work = quick_work(options.out, options.encoders) if options.quick else _real_work(options, device)
    for folder in ENCODERS.values():
        if work.encoders is not None and not (work.encoders / folder / CARD_FILE).is_file():
            parser.error(f"{work.encoders} has no {folder} of `python -m ml encoder`; docs/training.md makes it.")
    make_models(work)
    name = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
    head = f"{name}; {this_machine()}; torch {torch.__version__}. {datetime.now(UTC):%Y-%m-%d}, `python -m bench gpu`."
    if options.quick:
        head += " A quick try on drawn data: the figures say nothing."
    slices, rounds = (4, 1) if options.quick else (SLICES, ROUNDS)
    tables = (measure_noise(), *measure(work, device, slices, rounds))
    parts = [head, *(table.to_markdown() for table in tables)]
    (options.out / "figures.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print("\n\n".join(parts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench gpu", description="Train and measure all that ships.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new, or of a call that was interrupted")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the data set")
    parser.add_argument("--encoders", type=Path, metavar="DIR", help="with vgg16 and lite0, of `python -m ml encoder`")
    parser.add_argument("--exclude", type=Path, metavar="FILE", help="test patients; default: test.txt of the data set")
    parser.add_argument("--facts", type=Path, metavar="DIR", help="with NAME.facts.yaml for the cards")
    parser.add_argument("--test", action="store_true", help="measure the test patients as well: once, at the very end")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="drawn data and one epoch a run: does every step work?")
    return parser


def _real_work(options: argparse.Namespace, device: str) -> Work:
    workers = min(_WORKERS, os.cpu_count() or 1) if device == "cuda" else 0
    return Work(
        data=options.data,
        out=options.out,
        excluded=options.exclude or options.data / "test.txt",
        encoders=options.encoders,
        facts=options.facts,
        is_tested=options.test,
        changes=(f"loop.workers={workers}",),
    )
