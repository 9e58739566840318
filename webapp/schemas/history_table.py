"""The history as a table: its columns, each from a scan's JSON."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Described = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of the CSV. value: of a scan and its shown run, as the API describes them."""

    name: str
    value: Callable[[Described, Described], object]


def _of_scan(name: str) -> Column:
    return Column(name, lambda scan, run: scan[name])


def _of_run(name: str) -> Column:
    return Column(name, lambda scan, run: run.get(name))


def _patient(scan: Described) -> str | None:
    """The pseudonym of its series, else who was entered for its study."""
    return (scan["series"] or {}).get("patient") or (scan["study"] or {}).get("patient")


def _exam_date(scan: Described) -> str | None:
    """The day that was entered for its study, else the year of its series."""
    return (scan["study"] or {}).get("date") or (scan["series"] or {}).get("date")


COLUMNS = (
    _of_scan("id"),
    _of_scan("filename"),
    Column("study", lambda scan, run: scan["study"] and scan["study"]["name"]),
    Column("patient", lambda scan, run: _patient(scan)),
    Column("exam_date", lambda scan, run: _exam_date(scan)),
    _of_scan("created_at"),
    _of_scan("format"),
    _of_scan("width"),
    _of_scan("height"),
    _of_scan("slice_count"),
    _of_run("status"),
    _of_run("verdict"),
    _of_run("tumor_pixels"),
    _of_run("uncounted_pixels"),
    _of_run("total_pixels"),
    _of_run("coverage_percent"),
    _of_run("head_pixels"),
    _of_run("head_coverage_percent"),
    _of_run("mean_confidence"),
    _of_run("rim_width_pixels"),
    _of_run("max_probability"),
    _of_run("area_mm2"),
    _of_run("volume_mm3"),
    _of_run("model"),
    _of_run("model_version"),
    _of_run("threshold"),
    _of_run("min_tumor_pixels"),
    Column("warnings", lambda scan, run: " ".join(warning["code"] for warning in run.get("warnings", ()))),
    Column("error", lambda scan, run: run["error"]["code"] if run.get("error") else None),
    _of_scan("sha256"),
)


def table_rows(scans: Iterable[Described], *, with_head: bool) -> bytes:
    """Rows of the CSV in UTF-8, a scan each. What a spreadsheet would run as a formula is quoted."""
    from ml.reports.csv import ALL_DIGITS, TableWriter  # with the evaluation's modules, which few processes need

    text = io.StringIO()
    writer = TableWriter(text, [column.name for column in COLUMNS], ALL_DIGITS)
    if not with_head:
        text.seek(0)
        text.truncate()
    for scan in scans:
        run = scan["segmentation"] or {}
        writer.write(column.value(scan, run) for column in COLUMNS)
    return text.getvalue().encode()
