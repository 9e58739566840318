"""CVAT's labelmap.txt beside `SegmentationClass`: which label each color of a mask is.

A mask's tumor is all that is not black, so every label but the background must be tumor, and the background black
(https://docs.cvat.ai/docs/dataset_management/formats/format-smask). Other files are refused, never guessed.
"""

from collections.abc import Iterator
from pathlib import Path

from ml.datasets.file_names import LABEL_MAP, name_key, shown
from ml.datasets.layouts.categories import is_tumor
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import UnknownLayoutError
from ml.datasets.mask_names import CLASS_FOLDER
from ml.scans.scan import EMPTY

_MOST_BYTES = 2**20
_BLACK = ("0", "0", "0")
_REMEDY = "Export the set as COCO 1.0, whose categories are told apart, or masks of tumor alone."


def check_label_map(tree: Tree, folder: Path) -> None:
    """Raises UnknownLayoutError where a color of the folder's masks would be read as what it is not."""
    path = next((path for path in tree.listing(folder).files if name_key(path.name) == LABEL_MAP), None)
    if path is None or tree.folder(folder, [CLASS_FOLDER]) is None:
        return
    tree.check(path)
    for label, color in _labels(folder, path):
        if is_tumor(label) and color == _BLACK:
            raise UnknownLayoutError(folder, f"Its {LABEL_MAP} paints `{label}` black, as the background. {_REMEDY}")
        if not is_tumor(label) and color != _BLACK:
            text = f"Its {LABEL_MAP} paints `{label}` in a color, and all that is not black is tumor here. {_REMEDY}"
            raise UnknownLayoutError(folder, text)


def _labels(folder: Path, path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and color of each line "label:r,g,b:parts:actions"."""
    try:
        if not path.stat().st_size:
            raise UnknownLayoutError(folder, f"Its {LABEL_MAP} {EMPTY}.")
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UnknownLayoutError(folder, f"Its {LABEL_MAP} cannot be read as text; export it again.") from error
    for line in lines:
        label, _, rest = line.partition(":")
        if label.strip() and not label.lstrip().startswith("#"):
            yield shown(label.strip())[:80], tuple(part.strip() for part in rest.partition(":")[0].split(","))
