"""Every metric that is shown anywhere, once: CSV, JSON, HTML, PDF, API, pages and the database take it from here.

A new metric is one entry in one of the lists, in the order in which tables have it, and one test. Each list is of one
level of aggregation: a slice (`slices`), slices of a patient, of a scan or of one tumor size (`groups`), a volume, the
whole data set. A number of a slice or a patient that is no quality, a count of pixels or the engine's seconds, is an
entry as well.
"""

from typing import Any

from ml.metrics.registry.data_set import DATA_SET_METRICS
from ml.metrics.registry.groups import PATIENT_METRICS, PREDICTED_PATIENT_METRICS, SCAN_METRICS, SIZE_METRICS
from ml.metrics.registry.metric import (
    EVERYWHERE,
    DataSetMetric,
    GroupMetric,
    Metric,
    Output,
    SliceMetric,
    VolumeMetric,
    shown_in,
)
from ml.metrics.registry.slices import HD95_RULE, SLICE_METRICS
from ml.metrics.registry.volumes import VOLUME_METRICS
from ml.metrics.slices import Value

__all__ = [
    "DATA_SET_METRICS",
    "EVERYWHERE",
    "HD95_RULE",
    "PATIENT_METRICS",
    "PREDICTED_PATIENT_METRICS",
    "SCAN_METRICS",
    "SIZE_METRICS",
    "SLICE_METRICS",
    "VOLUME_METRICS",
    "DataSetMetric",
    "GroupMetric",
    "Metric",
    "Output",
    "SliceMetric",
    "VolumeMetric",
    "patient_metrics",
    "shown_in",
]


def patient_metrics(output: Output, *, has_volumes: bool) -> tuple[Metric[Any, Value], ...]:
    """The metrics of patients with expert masks that an output has, those of volumes last."""
    return (*shown_in(PATIENT_METRICS, output), *shown_in(VOLUME_METRICS, output, has_volumes=has_volumes))
