"""A data set's cases as they were when they were listed: written into the chunks' rows, read by whoever runs them.

The list is frozen at the check: files that come later are not evaluated, and files that change are noticed.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ml.datasets.case import Case
from ml.datasets.volume_slices import volume_of


@dataclass(frozen=True)
class ListedCase:
    """One case. Paths are below the data set's folder; sums are None where the file could not be read.

    refusal: why the case is not even looked at, with its code; None for nearly all. mask_codes: what is doubtful about
    its mask.
    """

    position: int
    patient: str
    image: str
    mask: str | None = None
    outlines: list[list[float]] | None = None
    grid: list[int] | None = None
    image_sha256: str | None = None
    mask_sha256: str | None = None
    refusal: str | None = None
    refusal_code: str | None = None
    runs: list[str] | None = None
    volume: dict[str, Any] | None = None
    mask_codes: list[str] | None = None

    def case(self, folder: Path) -> Case:
        """The case to read."""
        return Case(
            patient=self.patient,
            image=folder / self.image,
            mask=None if self.mask is None else folder / self.mask,
            outlines=None if self.outlines is None else tuple(tuple(outline) for outline in self.outlines),
            grid=None if self.grid is None else (self.grid[0], self.grid[1]),
            runs=tuple(self.runs or ()),
            volume=volume_of(self.volume, folder),
        )


def listed(position: int, case: Case, folder: Path, mask_codes: Sequence[str] = (), **facts: str | None) -> ListedCase:
    """A case of a folder as it is written down. facts: the sums, or the refusal."""
    return ListedCase(
        position=position,
        patient=case.patient,
        image=case.image.relative_to(folder).as_posix(),
        mask=None if case.mask is None else case.mask.relative_to(folder).as_posix(),
        outlines=None if case.outlines is None else [list(outline) for outline in case.outlines],
        grid=None if case.grid is None else list(case.grid),
        runs=list(case.runs) or None,
        volume=None if case.volume is None else case.volume.to_json(folder),
        mask_codes=list(mask_codes) or None,
        **facts,
    )


# Stands for the volume of the case before: the files of a DICOM series are many, and its slices share them.
_SAME_VOLUME = "same"


_VOLUME_PLACE = [item.name for item in fields(ListedCase)].index("volume")


def encode(cases: Sequence[ListedCase]) -> list[Any]:
    """Plain JSON values."""
    before: Any = None
    values = []
    for case in cases:
        value = list(astuple(case))
        if case.volume is not None and case.volume == before:
            value[_VOLUME_PLACE] = _SAME_VOLUME
        before = case.volume
        values.append(value)
    return values


class UnreadableCases(Exception):
    """A chunk's cases are in a form that this version does not know."""


def decode(values: Sequence[Sequence[Any]]) -> tuple[ListedCase, ...]:
    """The cases of `encode`."""
    found: list[ListedCase] = []
    try:
        for value in values:
            is_same = len(value) > _VOLUME_PLACE and value[_VOLUME_PLACE] == _SAME_VOLUME
            volume = found[-1].volume if is_same else None
            case = ListedCase(*value)
            found.append(replace(case, volume=volume) if is_same else case)
        return tuple(found)
    except (TypeError, IndexError) as error:
        raise UnreadableCases("cases in a form of another version") from error
