"""What an entry of the registry is: a metric at one level of aggregation, and where it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Generic, TypeVar

from ml.metrics.data_set import DataSetSlices, Estimate
from ml.metrics.slices import SliceComparison, SliceGroup, Value
from ml.metrics.volumes import VolumeComparison

Source = TypeVar("Source")
Result = TypeVar("Result")


class Output(Flag):
    """Where a metric may be shown. `report.json` and the database have every one."""

    CSV = auto()  # metrics.csv, patients.csv
    API = auto()
    TABLE = auto()  # the tables of an evaluation's page
    CASE_PAGE = auto()
    HTML = auto()  # report.html
    PDF = auto()
    COMPARISON = auto()  # the page of two evaluations; of a data set's metrics alone


EVERYWHERE = Output.CSV | Output.API | Output.TABLE | Output.CASE_PAGE | Output.HTML | Output.PDF


@dataclass(frozen=True)
class Metric(Generic[Source, Result]):
    """One metric at one level of aggregation.

    name: the key in CSV, JSON and the database; label: a table's head, in lower case but for names.
    unit: empty for shares from 0 to 1 and counts; digits: after the point, for people; 0 where it is a count.
    needs_truth: whether it is defined only beside an expert's mask. needs_volume: whether it is there only where a
    patient is a volume whose millimeters are known. description: what a reader of the API must know.
    aggregation: how it was added up, in words; of a group's, where that is not its table's rule.
    """

    name: str
    label: str
    compute: Callable[[Source], Result]
    unit: str = ""
    digits: int = 3
    needs_truth: bool = True
    needs_volume: bool = False
    shown: Output = EVERYWHERE
    description: str = ""
    aggregation: str = ""

    def format(self, value: Value, undefined: str) -> str:
        """The value for people; `undefined` where nothing defines it."""
        if value is None:
            return undefined
        return f"{value:.{self.digits}f}" if self.digits else f"{value:,.0f}"


SliceMetric = Metric[SliceComparison, Value]
GroupMetric = Metric[SliceGroup, Value]
VolumeMetric = Metric[VolumeComparison, Value]
DataSetMetric = Metric[DataSetSlices, Estimate]


def shown_in(
    metrics: Sequence[Metric[Source, Result]], output: Output, *, has_truth: bool = True, has_volumes: bool = True
) -> tuple[Metric[Source, Result], ...]:
    """The metrics of a list that an output has; without expert masks or volumes, those that need none."""
    return tuple(
        metric
        for metric in metrics
        if output in metric.shown and (has_truth or not metric.needs_truth) and (has_volumes or not metric.needs_volume)
    )
