"""Tables beside volumes' masks that say what their labels are: BIDS' `_dseg.tsv`, color tables of 3D Slicer, label
descriptions of ITK-SNAP.

Every label above 0 is tumor here, and a table does not say which labels a mask has: one that calls a label as
something else is said beside the figures, and nothing is left out of a mask.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import is_label_table, name_key, shown, suffix_of
from ml.datasets.layouts.categories import is_tumor
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.left_out import relative
from ml.datasets.layouts.tree import LinkOutError, Tree

_MOST_BYTES = 2**18
# Tables of more labels are those of a program's or an atlas' colors (FreeSurferColorLUT.txt, 3D Slicer's generic ones),
# of which no mask has all.
_MOST_LABELS = 64
# Columns of the number and the name: of BIDS (bids-specification.readthedocs.io, segmentations), and of 3D Slicer's.
_COLUMNS = (("index", "name"), ("labelvalue", "name"))
# "1 tumor 128 174 128 255" of 3D Slicer's .ctbl; `1 255 0 0 1 1 1 "Tumor"` of ITK-SNAP.
_SLICER = re.compile(r"([0-9]+)\s+(\S+)(?:\s+[0-9]+){3,4}")
_SNAP = re.compile(r'([0-9]+)(?:\s+[0-9]+){3}\s+[0-9.]+\s+[01]\s+[01]\s+"(.*)"')
_NAMES_SHOWN = 4


def find_label_tables(tree: Tree, folder: Path, layout: Layout) -> Iterator[Problem]:
    """Where tables beside the masks of volumes name labels that are no tumor."""
    if not layout.volumes or not layout.has_truth:
        return
    others = {
        path: names
        for _, listing in tree.walk(folder)
        for path in listing.files
        if is_label_table(path.name) and (names := _others(tree, path))
    }
    if not others:
        return
    first, names = next(iter(others.items()))
    labels = ", ".join(f"{name} is {number}" for number, name in list(names.items())[:_NAMES_SHOWN])
    count = len(others)
    text = (
        f"{f'{count:,} tables of labels name' if count > 1 else 'A table of labels names'} some that are no tumor"
        f" ({shown(relative(first, folder))}: {shown(labels)}), and every label above 0 counts as tumor: write 0 in"
        " their place where masks have them."
    )
    yield Problem("other_labels", tuple(shown(relative(path, folder)) for path in others), text)


def _others(tree: Tree, path: Path) -> dict[int, str]:
    """The labels above 0 of a table that are no tumor by their names; none of what cannot be read."""
    with suppress(OSError, ValueError, csv.Error, LinkOutError):
        tree.check(path)
        if path.stat().st_size <= _MOST_BYTES:
            labels = dict(_labels(path))
            if len(labels) <= _MOST_LABELS:
                return {number: name for number, name in labels.items() if number and not is_tumor(name)}
    return {}


def _labels(path: Path) -> Iterator[tuple[int, str]]:
    """The numbers and names of a table's labels. Raises OSError, ValueError and csv.Error."""
    lines = path.read_bytes().decode("utf-8-sig", "replace").splitlines()
    suffix = suffix_of(path.name)
    if suffix in (".tsv", ".csv"):
        yield from _of_columns(list(csv.reader(lines, delimiter="\t" if suffix == ".tsv" else ",")))
        return
    for line in lines:
        if found := _SNAP.fullmatch(line.strip()) or _SLICER.fullmatch(line.strip()):
            yield int(found[1]), found[2].replace("_", " ")


def _of_columns(rows: Sequence[Sequence[str]]) -> Iterator[tuple[int, str]]:
    """Of a table with a line of columns. Raises ValueError where a number is none."""
    columns = [name_key(cell.strip()) for cell in rows[0]] if rows else []
    for number, name in _COLUMNS:
        if number in columns and name in columns:
            places = columns.index(number), columns.index(name)
            yield from ((int(row[places[0]]), row[places[1]].strip()) for row in rows[1:] if len(row) > max(places))
            return
