"""A split as a JSON file, tied to its data by their digest; and lists of patients as text."""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml.datasets.case import DatasetError
from ml.datasets.digest import digest_of
from ml.datasets.layouts.layout import find_layout
from ml.datasets.splits import SIDES, Split

FORMAT = "glioscope-split-1"


def write_split(split: Split, path: Path) -> None:
    """Write the file whole or not at all; an older one is replaced. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, **asdict(split)}, indent=1) + "\n"
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.partial-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # mkstemp's file is its owner's alone
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_split(path: Path, folder: Path | None = None) -> Split:
    """Read a split; with `folder`, its data must have the digest that the split was made of.

    Raises DatasetError where the file is no split, a patient is on two sides, or the data are others.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as JSON ({error}); make it with `python -m ml split`.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DatasetError(f"{path} is not a split of the format {FORMAT}; make it with `python -m ml split`.")
    split = _decode(document, path)
    names = [
        name for side in (*(getattr(split, side) for side in SIDES), *split.folds, split.excluded) for name in side
    ]
    doubled = next((name for name in sorted(set(names)) if names.count(name) > 1), None)
    if doubled is not None:
        raise DatasetError(f"{path} has the patient {doubled} on two sides; make it again with `python -m ml split`.")
    if folder is not None:
        found = digest_of(folder, find_layout(folder).cases)
        if found != split.data_sha256:
            raise DatasetError(
                f"{path} was made of other data: its digest is {split.data_sha256[:12]} and that of {folder} is"
                f" {found[:12]}; give the folder it was made of, or make a new split."
            )
    return split


def read_patients(path: Path) -> tuple[str, ...]:
    """Names of patients, one a line; empty lines and lines that start with `#` do not count. Raises DatasetError."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); give a text file with one patient a line.") from error
    names = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not names:
        raise DatasetError(f"{path} names no patient; give a text file with one patient a line.")
    return names


def _decode(document: dict[str, Any], path: Path) -> Split:
    def names(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError("a side is not a list of names")
        return tuple(value)

    try:
        shares = document["shares"]
        return Split(
            data_sha256=str(document["data_sha256"]),
            seed=int(document["seed"]),
            **{side: names(document[side]) for side in SIDES},
            folds=tuple(names(fold) for fold in document["folds"]),
            excluded=names(document["excluded"]),
            shares=None if shares is None else tuple(float(share) for share in shares),
            counts=dict(document["counts"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is damaged ({error!r}); make it again with `python -m ml split`.") from error
