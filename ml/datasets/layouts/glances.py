"""What a few pictures show where names do not tell images from masks; read in sandboxed processes.

Nothing follows from one file alone: a slice may be black all over, a mask a picture by mistake.
"""

from collections.abc import Sequence
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.file_checks import FileCheck, check_files
from ml.datasets.file_names import is_text
from ml.datasets.layouts.tree import LinkOutError, Tree

# Of many pictures so many are read.
_MOST_READ = 6
# BraTS has four labels; slices of MRI with so few gray levels are those outside the head.
_MOST_LABELS = 8
# What a reader says of an image with a channel behind its colors.
TRANSPARENT = "alpha_removed"
OF_ALPHA = (
    "have an alpha channel that is transparent in places, and that is no mask here: what is transparent is black. If it"
    " is the mask, save it as `NAME_mask` beside the image (in Python:"
    ' `Image.open("1.png").getchannel("A").save("1_mask.png")`) and the image without it (`.convert("RGB")`).'
)


def masks_of_two(tree: Tree, firsts: Sequence[Path], seconds: Sequence[Path]) -> int | None:
    """Which of two groups of pictures, 0 or 1, are masks of the other by their pixels; None where these do not tell."""
    groups = _look(tree, firsts, seconds)
    for place in (0, 1):
        if _are_masks(groups[place]) and _are_images(groups[1 - place]):
            return place
    return None


def count_transparent(tree: Tree, images: Sequence[Path]) -> tuple[int, int]:
    """Of how many images a part is transparent, and how many were read."""
    (found,) = _look(tree, images)
    return sum(TRANSPARENT in one.image_notes for one in found), len(found)


def _are_masks(group: Sequence[FileCheck]) -> bool:
    """Whether all have a few values alone, and one at least has tumor."""
    counts = [one.value_count if one.mask_error is None else None for one in group]
    return all(count is not None and count <= _MOST_LABELS for count in counts) and any(
        (one or 0) > 1 for one in counts
    )


def _are_images(group: Sequence[FileCheck]) -> bool:
    """Whether most have more gray levels than labels are; a lossy file with gray is no mask that can be read."""
    many = [one for one in group if one.image_error is None and (one.value_count or _MOST_LABELS + 1) > _MOST_LABELS]
    return 2 * len(many) > len(group)


def _look(tree: Tree, *groups: Sequence[Path]) -> list[list[FileCheck]]:
    """Some files of each group, from first to last, each read as an image and as a mask; none where one leads out."""
    chosen = [
        [path for path in group[:: max(-(-len(group) // _MOST_READ), 1)] if is_text(str(path))] for group in groups
    ]
    try:
        for path in (path for group in chosen for path in group):
            tree.check(path)
    except LinkOutError:
        return [[] for _ in groups]
    checks = check_files([Case("", path, path) for group in chosen for path in group], processes=1)
    return [[next(checks) for _ in group] for group in chosen]
