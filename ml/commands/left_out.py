"""How the commands say which files of a folder they left out: how many, why, and which."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.datasets.checking.problems import LeftOut

# Of one file left out and of several, by the codes of `ml.datasets.checking.problems.LEFT_OUT`.
WORDS = {
    "doubled_folder": ("copy of others", "copies of others"),
    "expert_mask": ("expert's mask and no image", "experts' masks and no images"),
    "left_out": ("that is no part of the data set", "that are no part of the data set"),
    "mask_name": ("mask of a name that is not read", "masks of names that are not read"),
    "mask_without_image": ("mask without an image", "masks without an image"),
    "missing_file": ("that is not there to be read", "that are not there to be read"),
    "missing_image": ("image that is named and not there", "images that are named and not there"),
    "missing_mask": ("image without a mask", "images without a mask"),
}


def describe_left_out(left_out: "Sequence[LeftOut]") -> str:
    """One line: "3 files: 1 that is no part of the data set, 2 images without a mask"."""
    counts: Counter[str] = Counter()
    for group in left_out:
        counts[group.code] += group.count
    total = counts.total()
    parts = ", ".join(f"{count:,} {WORDS[code][count > 1]}" for code, count in sorted(counts.items()))
    return f"{total:,} file{'' if total == 1 else 's'}: {parts}"


def write_left_out(left_out: "Sequence[LeftOut]") -> None:
    """The line to standard output, and the names with their reasons to standard error; nothing where there are none."""
    if not left_out:
        return
    sys.stdout.write(f"Left out: {describe_left_out(left_out)}\n")
    for group in left_out:
        sentence = group.sentence
        sys.stderr.write(f"{group.code}: {sentence if sentence.isprintable() else ascii(sentence)}\n")
