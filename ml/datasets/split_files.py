"""A split as a JSON file, tied to its data by their digest; and lists of patients as text."""

import codecs
import json
import logging
import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ml.atomic_files import write_text
from ml.datasets.case import DatasetError
from ml.datasets.digest import digest_of
from ml.datasets.layouts.search import find_layout
from ml.datasets.splits import SIDES, Split
from ml.datasets.time_points import person_of

FORMAT = "glioscope-split-1"
_MAX_LIST_BYTES = 1_000_000
# Of a division made by hand or by another program: its keys, and the sides that they are.
_OWN_KEYS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "excluded": "excluded",
}
_OWN_FORM = '{"train": [...], "validation": [...], "test": [...]}'

logger = logging.getLogger(__name__)


def write_split(split: Split, path: Path) -> None:
    """Write the file whole or not at all; an older one is replaced. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, **asdict(split)}, indent=1) + "\n"
    write_text(path, text)


def read_split(path: Path, folder: Path | None = None) -> Split:
    """Read a split; with `folder`, its data must have the digest that the split was made of.

    With `folder` also a division of one's own, whose object has lists of patients and no format; who is in none of
    them is excluded. Raises DatasetError where the file is neither, a patient, or a person at two times, is on two
    sides, a name is no patient of the data, or the data are others.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as JSON ({error}); make it with `python -m ml split`.") from error
    is_own = isinstance(document, dict) and "format" not in document and folder is not None
    if not is_own and (not isinstance(document, dict) or document.get("format") != FORMAT):
        raise DatasetError(
            f"{path} is not a split of the format {FORMAT}; make it with `python -m ml split`, or write {_OWN_FORM}"
            " with names of patients."
        )
    split = _of_own(document, path) if is_own else _decode(document, path)
    names = _names(split)
    doubled = next((name for name in sorted(set(names)) if names.count(name) > 1), None)
    if doubled is not None:
        remedy = "leave it on one" if is_own else "make it again with `python -m ml split`"
        raise DatasetError(f"{path} has the patient {doubled} on two sides; {remedy}.")
    _check_persons(split, path)
    return split if folder is None else _of_data(split, path, folder, is_own=is_own)


def _of_data(split: Split, path: Path, folder: Path, *, is_own: bool) -> Split:
    """The split, held against its data. Who is on no side is named in the log. Raises DatasetError."""
    layout = find_layout(folder)
    found = digest_of(layout.folder, layout.cases)
    if not is_own and found != split.data_sha256:
        raise DatasetError(
            f"{path} was made of other data: its digest is {split.data_sha256[:12]} and that of {folder} is"
            f" {found[:12]}; give the folder it was made of, or make a new split."
        )
    named, known = set(_names(split)), {case.patient for case in layout.cases}
    if unknown := sorted(named - known):
        raise DatasetError(
            f"{path} names {_listed(unknown)}, who {'is no patient' if len(unknown) == 1 else 'are no patients'} of"
            f" {folder}; correct the names (patients there are called as {min(known)})."
        )
    left = tuple(sorted(known - named))
    if left:
        logger.warning("%s names %d of %d patients; left out: %s.", path, len(named), len(known), _listed(left))
    return replace(split, data_sha256=found, excluded=left + split.excluded) if is_own else split


def _names(split: Split) -> list[str]:
    return [name for side in (*(getattr(split, side) for side in SIDES), *split.folds, split.excluded) for name in side]


def _listed(names: Iterable[str]) -> str:
    """The first names, and how many there are more."""
    first, rest = list(names)[:5], list(names)[5:]
    return ", ".join(first) + (f" and {len(rest)} more" if rest else "")


def _check_persons(split: Split, path: Path) -> None:
    """Raises DatasetError where a person is on two sides, at different times."""
    sides: dict[str, int] = {}
    for number, side in enumerate((split.train, split.validation, split.test, *split.folds)):
        for patient in side:
            if sides.setdefault(person_of(patient), number) != number:
                raise DatasetError(
                    f"{path} has the patient {person_of(patient)} on two sides, at different times; make it again with"
                    " `python -m ml split`."
                )


def read_patients(path: Path) -> tuple[str, ...]:
    """Names of patients, one a line, each once. Raises DatasetError.

    Empty lines do not count, nor does a comment: `#` at the start of a line or after a space, and all that follows.
    """
    try:
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise DatasetError(f"{path} has more than {_MAX_LIST_BYTES:,} bytes; give a list with one patient a line.")
        data = path.read_bytes()
        # Windows programs write a byte order mark, and its PowerShell UTF-16.
        encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        lines = data.decode(encoding).splitlines()
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read ({error.strerror}); give a text file with one patient a line."
        ) from error
    except ValueError as error:
        raise DatasetError(
            f"{path} is no text in UTF-8 or UTF-16; save it as UTF-8, with one patient a line."
        ) from error
    # `ls -d */` writes folders with a slash.
    found = (re.sub(r"(^|\s)#.*", "", line).strip().rstrip("/\\") for line in lines)
    names = tuple(dict.fromkeys(name for name in found if name))
    if not names:
        raise DatasetError(f"{path} names no patient; give a text file with one patient a line.")
    return names


def _of_own(document: dict[str, Any], path: Path) -> Split:
    """A division that names patients and nothing else. Raises DatasetError."""
    sides: dict[str, tuple[str, ...]] = {}
    for key, value in document.items():
        side = _OWN_KEYS.get(key.lower())
        if side is None or side in sides or not _is_list_of_names(value):
            raise DatasetError(
                f"{path}: {key[:40]!r} is no list of one side's patients; make it {_OWN_FORM} with patients' names, or"
                " with `python -m ml split`."
            )
        sides[side] = tuple(sorted(value))
    train, validation, test = (sides.get(side, ()) for side in SIDES)
    return Split("", 1, train, validation, test, excluded=sides.get("excluded", ()))


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _decode(document: dict[str, Any], path: Path) -> Split:
    def names(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not _is_list_of_names(value):
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
