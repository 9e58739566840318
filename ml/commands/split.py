"""`python -m ml split`: divide the patients of a sound data set and write that down. Loads no torch."""

import argparse
import sys
from functools import partial
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `split`."""
    parser = subparsers.add_parser("split", help="divide a data set by patient, into a file")
    parser.add_argument("folder", type=Path, help="the data set (layouts: docs/datasets.md)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the split, JSON")
    parser.add_argument("--seed", type=int, default=1, help="default 1; the same seed gives the same split")
    parser.add_argument("--exclude", type=Path, metavar="FILE", help="patients who are on no side, one a line")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--shares",
        type=_shares,
        default=None,
        metavar="80,10,10",
        help="percent of train, validation and test; by default as the data's own folders divide it, else 80,10,10",
    )
    how.add_argument("--folds", type=int, metavar="K", help="K folds of equal size instead")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check, divide, write, and print what is on each side. Raises DatasetError where the data set is not sound."""
    from tqdm import tqdm

    from ml.datasets import DatasetError, check, make_folds, make_split, read_patients, write_split
    from ml.datasets.splits import DEFAULT_SHARES, is_divided, keep_split

    excluded = read_patients(arguments.exclude) if arguments.exclude else ()
    # None: no bar where standard error is not a terminal.
    progress = partial(tqdm, desc="Checking", unit=" slices", disable=None, leave=False)
    report = check(arguments.folder, progress=lambda items, total: progress(items, total=total))
    if report.data_sha256 is None:
        raise DatasetError(
            f"{arguments.folder} has {len(report.problems)} problems; mend what `python -m ml check` lists first."
        )
    if arguments.folds is not None:
        split = make_folds(report.patients, report.data_sha256, arguments.folds, arguments.seed, excluded)
    elif arguments.shares is None and is_divided(report.sides):
        split = keep_split(report.patients, report.data_sha256, report.sides, arguments.seed, excluded)
        sys.stdout.write("Kept as the folders divide the data; --shares or --folds make another split.\n")
    else:
        shares = arguments.shares or DEFAULT_SHARES
        split = make_split(report.patients, report.data_sha256, arguments.seed, shares, excluded)
    write_split(split, arguments.out)
    for side, counts in split.counts.items():
        sys.stdout.write(
            f"{side:<11}{counts['patients']:>5} patients{counts['slices']:>7} slices, {counts['tumor_slice_share']:.1%}"
            f" with tumor; tumor in {counts['tumor_pixel_share']:.2%} of the pixels\n"
        )
    if excluded:
        sys.stdout.write(f"{'excluded':<11}{len(split.excluded):>5} patients\n")
    if phrase := report.doubtful_masks.phrase:
        sys.stdout.write(f"{phrase}; `python -m ml check` names them\n")
    sys.stdout.write(f"{arguments.out}: seed {split.seed}, data {split.data_sha256[:12]}\n")
    return 0


def _shares(text: str) -> tuple[float, ...]:
    """Numbers between commas; argparse turns ValueError into its own sentence, `make_split` judges the values."""
    return tuple(float(part) for part in text.split(","))


_shares.__name__ = "list of percentages"  # what argparse calls it
