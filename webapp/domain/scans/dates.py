"""Dates of examinations, as far as they are known: a day that a person has entered, or a year of the file."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class DateSource(StrEnum):
    """Who says when a study was."""

    ENTERED = "entered"
    FILE = "file"


@dataclass(frozen=True)
class ExamDate:
    """A day, or a year of which the day is not known: `first` to `last`, both within it."""

    first: date
    last: date
    source: DateSource

    @classmethod
    def of_day(cls, day: date) -> "ExamDate":
        """A day that was entered."""
        return cls(day, day, DateSource.ENTERED)

    @classmethod
    def of_year(cls, text: str | None) -> "ExamDate | None":
        """The year that a file states; None where it is none."""
        if not text or not text.isdecimal() or not date.min.year <= int(text) <= date.max.year:
            return None
        return cls(date(int(text), 1, 1), date(int(text), 12, 31), DateSource.FILE)

    @property
    def label(self) -> str:
        """As it is known: 2024-03-05, or 2024."""
        return self.first.isoformat() if self.first == self.last else f"{self.first.year:04}"

    @property
    def middle(self) -> date:
        """Where it stands on an axis of time."""
        return self.first + (self.last - self.first) / 2

    def is_before(self, other: "ExamDate") -> bool:
        """Whether it was surely earlier."""
        return self.last < other.first


def contradiction(entered: date | None, years: Collection[str]) -> str | None:
    """That a day which was entered lies in none of the years that the series state; None where nothing contradicts."""
    if entered is None or not years or f"{entered.year:04}" in years:
        return None
    stated = " and ".join(sorted(years))
    return (
        f"The day that was entered, {entered.isoformat()}, is not in {stated}, the year of its series: correct the day,"
        " unless the export moved the dates of its files."
    )
