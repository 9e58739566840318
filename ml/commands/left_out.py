"""How the commands say which files of a folder they left out: how many, by code, and which."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.datasets.checking.problems import LeftOut


def describe_left_out(left_out: "Sequence[LeftOut]") -> str:
    """One line: "3 files: 1 left_out, 2 missing_mask"."""
    counts: Counter[str] = Counter()
    for group in left_out:
        counts[group.code] += group.count
    total = counts.total()
    parts = ", ".join(f"{count:,} {code}" for code, count in sorted(counts.items()))
    return f"{total:,} file{'' if total == 1 else 's'}: {parts}"


def write_left_out(left_out: "Sequence[LeftOut]") -> None:
    """The line to standard output, and the names with their reasons to standard error; nothing where there are none."""
    if not left_out:
        return
    sys.stdout.write(f"Left out: {describe_left_out(left_out)}\n")
    for group in left_out:
        sentence = group.sentence
        sys.stderr.write(f"{group.code}: {sentence if sentence.isprintable() else ascii(sentence)}\n")
