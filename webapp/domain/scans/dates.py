"""Dates of examinations, as far as they are known: a day that a person has entered, or a year of the file."""

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
