"""`python -m ml check`: is a data set sound, and what is in it? Loads no torch."""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ml.commands.left_out import describe_left_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.datasets import Analysis, Problem, Report
    from ml.datasets.layouts.coco import Category

_EPILOG = "Exit status: 0 where the data set can be used, 1 where it has problems or cannot be listed."
# Of a warning, which may be of every file.
_FILES_SHOWN = 3


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `check`."""
    parser = subparsers.add_parser("check", help="check images and masks of a data set", epilog=_EPILOG)
    parser.add_argument("folder", type=Path, help="the data set (layouts: docs/datasets.md)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 1 where there are problems."""
    from tqdm import tqdm

    from ml.datasets import check

    # None: no bar where standard error is not a terminal.
    progress = partial(tqdm, desc="Checking", unit=" slices", disable=None, leave=False)
    report = check(arguments.folder, progress=lambda items, total: progress(items, total=total))
    if arguments.json:
        sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(_describe(report)) + "\n")
    return 0 if report.is_sound else 1


def _describe(report: "Report") -> list[str]:
    """The report in lines: the problems first, then what is in the data set, then the verdict."""
    lines = []
    for problem in report.problems:
        lines.append(f"{problem.code}: {', '.join(map(_printable, problem.files))}")
        lines.append(f"    {problem.message}")
    kinds = _by_code(report.warnings)
    for warnings in kinds:
        files = list(dict.fromkeys(_printable(name) for warning in warnings for name in warning.files))
        more = f" and {len(files) - _FILES_SHOWN:,} more (all with --json)" if len(files) > _FILES_SHOWN else ""
        lines.append(f"{warnings[0].code}: {', '.join(files[:_FILES_SHOWN])}{more}")
        lines.append(f"    {warnings[0].message}")
    if lines:
        lines.append("")
    lines.extend(_describe_analysis(report.layout, report.analysis))
    if report.sides:
        sides = ", ".join(f"{len(patients):,} {side}" for side, patients in report.sides.items())
        lines.append(f"Divided    by its folders, patients: {sides}")
    if report.categories:
        lines.append(f"Categories {', '.join(map(_describe_category, report.categories))}")
    if report.left_out:
        lines.append(f"Left out   {describe_left_out(report.left_out)}")
    if report.is_sound:
        lines.append(f"Digest     {report.data_sha256}")
        count = len(kinds)
        look = f"The data set can be used; {count:,} warning{'s' if count > 1 else ''} above: look before you trust it."
        lines.append(look if count else "The data set is sound.")
    else:
        count = len(report.problems)
        problems = f"{count:,} problem{'s' if count > 1 else ''}"
        lines.append(f"The data set has {problems}; the figures are of the slices that can be used.")
    return lines


def _by_code(warnings: "Sequence[Problem]") -> "list[list[Problem]]":
    """Warnings with one code and sentence together: it may be of every file."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for warning in warnings:
        groups.setdefault((warning.code, warning.message), []).append(warning)
    return list(groups.values())


def _describe_category(category: "Category") -> str:
    count = category.annotations
    name = _printable(category.name)
    return f"{name} ({count:,} annotation{'' if count == 1 else 's'}, {'' if category.is_tumor else 'not '}tumor)"


def _describe_analysis(layout: str, analysis: "Analysis") -> list[str]:
    sizes = ", ".join(f"{count:,} of {size} pixels" for size, count in analysis.image_sizes.items())
    lines = [
        f"Layout     {layout}",
        f"Patients   {analysis.patients:,}, {analysis.tumor_patients:,} with tumor",
        f"Slices     {analysis.slices:,}: {analysis.tumor_slices:,} with tumor ({analysis.tumor_slice_share:.1%}),"
        f" {analysis.empty_masks:,} with an empty mask",
        f"Sizes      {sizes or 'none'}",
        f"Tumor      {analysis.tumor_pixel_share:.2%} of all pixels",
    ]
    if analysis.areas:
        quantiles = ", ".join(f"{area.quantile:.0%} {area.pixels:,.0f}" for area in analysis.areas)
        small, large = analysis.size_bounds
        lines += [
            f"Areas      of tumor slices, quantiles in pixels: {quantiles}",
            f"By size    {analysis.sizes['small']:,} small (below {small:.1%} of the slice),"
            f" {analysis.sizes['medium']:,} medium, {analysis.sizes['large']:,} large (from {large:.1%})",
        ]
    return lines


def _printable(name: str) -> str:
    """A file name that cannot move a terminal's cursor, nor break its encoding."""
    return name if name.isprintable() else ascii(name)
