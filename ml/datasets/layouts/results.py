"""What a model answered, beside the scans: by their names neither scans nor experts' masks."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ml.datasets.file_names import name_key
from ml.datasets.mask_names import result_word

OF_MODEL = (
    "A model's answer or an overlay by its name (`_pred`, `_heatmap`, `_overlay`), beside the image of the rest of it:"
    " neither a scan nor an expert's mask. Rename it if it is one of these."
)
OF_PREDICT = (
    "A picture that `python -m ml predict` wrote: a model's mask, cut-out or overlay of a scan, and none itself."
)
# Its folders; a file of one name in each of them is no chance.
_PREDICTED = re.compile(r"((?:.*/)?)(masks|cutouts|overlays)/(.+\.png)", re.DOTALL)
_PREDICTED_VOLUME = re.compile(r"((?:.*/)?)volumes/.+\.nii\.gz", re.DOTALL)


def results_beside(files: Iterable[Path]) -> set[Path]:
    """Of files those that are called as a model's answer for an image in their folder (`0_predict` beside `0`)."""
    named = {(path.parent, name_key(path.stem)): path for path in files}
    words = {path: result_word(path.stem) for path in named.values()}
    return {path for path, word in words.items() if word and (path.parent, name_key(path.stem[: -len(word)])) in named}


def find_predicted(paths: Sequence[str]) -> set[int]:
    """The places of pictures that `predict` wrote of a scan, by their names and their folders', and of the masks of
    volumes beside them."""
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for place, path in enumerate(paths):
        if one := _PREDICTED.fullmatch(path):
            found[one[1], one[3]][one[2]] = place
    whole = {key: kinds for key, kinds in found.items() if len(kinds) == 3}
    bases = {base for base, _ in whole}
    volumes = [_PREDICTED_VOLUME.fullmatch(path) for path in paths]
    return {place for kinds in whole.values() for place in kinds.values()} | {
        place for place, one in enumerate(volumes) if one and one[1] in bases
    }
