"""The metrics of cases and patients in JSON and on pages, all of them from the registry."""

from typing import Any, ClassVar

from markupsafe import Markup, escape
from marshmallow import fields

from ml.metrics import registry
from ml.metrics.agreement import SLICE_AGREEMENT
from ml.metrics.registry import PREDICTED_PATIENT_METRICS, SIZE_METRICS, SLICE_METRICS, Metric, Output, shown_in
from ml.metrics.slices import Value
from webapp.domain.evaluations.models import EvaluationCase, EvaluationPatient
from webapp.schemas.fields import AnswerSchema, Rounded

_UNDEFINED = Markup('<span class="muted" aria-label="not defined">–</span>')
# As in report.json: more are noise.
_DIGITS = 6


class _Count(fields.Integer):
    """A whole number, as it is: of a page with thousands, checking each again took a tenth of its time."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> Any:
        return value


CASE_METRICS = shown_in(SLICE_METRICS, Output.API)
# One list for both kinds of evaluation: what one of them does not have is null.
_OF_PATIENTS: tuple[Metric[Any, Value], ...] = (
    *PREDICTED_PATIENT_METRICS,
    *registry.PATIENT_METRICS,
    *registry.VOLUME_METRICS,
)
PATIENT_METRICS = tuple({metric.name: metric for metric in shown_in(_OF_PATIENTS, Output.API)}.values())


class MetricsSchema(AnswerSchema):
    """A schema of rows with metrics: a page of 500 cases has ten thousand values, so they are looked up directly."""

    class Meta:
        """include: the metrics, by name."""

        include: ClassVar[dict[str, fields.Field[Any]]] = {}

    def get_attribute(self, obj: EvaluationCase | EvaluationPatient, attr: str, default: Any) -> Any:
        """A metric by its name in the registry, anything else from the row."""
        return obj.metric(attr) if attr in self.Meta.include else getattr(obj, attr, default)


def case_fields() -> dict[str, fields.Field[Any]]:
    """How a case's metrics stand in OpenAPI; a case that failed has none."""
    return {metric.name: _field(metric, is_nullable=True) for metric in CASE_METRICS}


def patient_fields() -> dict[str, fields.Field[Any]]:
    """How a patient's metrics stand in OpenAPI; counts that need no expert mask are always there."""
    every = {metric.name for metric in registry.PATIENT_METRICS} & {item.name for item in PREDICTED_PATIENT_METRICS}
    return {metric.name: _field(metric, is_nullable=metric.name not in every) for metric in PATIENT_METRICS}


def slice_agreement_fields() -> dict[str, fields.Field[Any]]:
    """How the metrics of a scan's slice beside an expert's mask stand in OpenAPI."""
    return {metric.name: _field(metric, is_nullable=metric.digits > 0) for metric in SLICE_AGREEMENT}


def scan_agreement_fields() -> dict[str, fields.Field[Any]]:
    """How the metrics of all slices of a scan beside an expert's masks stand in OpenAPI."""
    return {metric.name: _field(metric, is_nullable=metric.digits > 0) for metric in registry.SCAN_METRICS}


def agreement_rows() -> list[tuple[Metric[Any, Any] | None, Metric[Any, Any]]]:
    """The metrics of a scan's page beside an expert's mask: each of one slice, None where it has none, and of all."""
    of_slice = {metric.name: metric for metric in SLICE_AGREEMENT}
    return [(of_slice.get(metric.name), metric) for metric in shown_in(registry.SCAN_METRICS, Output.CASE_PAGE)]


def case_columns(*, has_truth: bool) -> list[Metric[Any, Any]]:
    """The metrics of the pages' table of cases: Dice first, since the table is sorted by it."""
    shown = shown_in(SLICE_METRICS, Output.TABLE, has_truth=has_truth)
    return sorted(shown, key=lambda metric: metric.name != "dice")


def case_facts(*, has_truth: bool) -> list[Metric[Any, Any]]:
    """The metrics of a case's own page: those of its quality first, counts and probabilities after them."""
    shown = shown_in(SLICE_METRICS, Output.CASE_PAGE, has_truth=has_truth)
    return sorted(shown, key=lambda metric: not metric.needs_truth or not metric.digits)


def patient_columns(*, has_truth: bool, has_volumes: bool) -> tuple[Metric[Any, Any], ...]:
    """The metrics of the pages' table of patients."""
    if not has_truth:
        return shown_in(PREDICTED_PATIENT_METRICS, Output.TABLE)
    return registry.patient_metrics(Output.TABLE, has_volumes=has_volumes)


def size_columns() -> tuple[Metric[Any, Any], ...]:
    """The metrics of the pages' table by tumor size."""
    return shown_in(SIZE_METRICS, Output.TABLE)


def data_set_metrics() -> dict[str, Metric[Any, Any]]:
    """The metrics of a whole data set, by name."""
    return {metric.name: metric for metric in shown_in(registry.DATA_SET_METRICS, Output.TABLE)}


def comparison_metrics() -> tuple[Metric[Any, Any], ...]:
    """The metrics of the page that compares two evaluations."""
    return shown_in(registry.DATA_SET_METRICS, Output.COMPARISON)


def label(name: str) -> str:
    """A data set's metric as people write it; one that the registry does not have, an older card's, by its name."""
    known = {metric.name: metric.label for metric in registry.DATA_SET_METRICS}
    return known.get(name) or name.replace("_", " ").capitalize()


def shown(value: Value, metric: Metric[Any, Any]) -> Markup:
    """A metric's value in a cell: a call for each of thousands, so not a macro."""
    return _UNDEFINED if value is None else escape(metric.format(value, ""))


def head(metric: Metric[Any, Any]) -> str:
    """A metric's name above a column, with its unit."""
    label = metric.label[:1].upper() + metric.label[1:]
    return f"{label}, {metric.unit}" if metric.unit else label


def _field(metric: Metric[Any, Any], *, is_nullable: bool) -> fields.Field[Any]:
    metadata = {"description": metric.description} if metric.description else {}
    options: dict[str, Any] = {"required": not is_nullable, "allow_none": is_nullable, "metadata": metadata}
    return Rounded(_DIGITS, **options) if metric.digits else _Count(**options)
