"""A new metric is one entry in the registry: every output has it then. And every entry is documented."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.metrics.registry import (
    DATA_SET_METRICS,
    PATIENT_METRICS,
    PREDICTED_PATIENT_METRICS,
    SIZE_METRICS,
    SLICE_METRICS,
    VOLUME_METRICS,
)
from tests.ml.reports.test_pdf import words_of
from webapp.domain.settings import PROJECT_ROOT


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a portal whose registry has one metric more of each level leaves."""
    folder = tmp_path_factory.mktemp("made_up")
    subprocess.run([sys.executable, "-m", "tests.support.made_up_metrics", str(folder)], cwd=PROJECT_ROOT, check=True)
    return folder


def answer(outputs: Path, name: str) -> Any:
    return json.loads((outputs / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("file", "name", "value"), [("metrics", "made_up_slice", "0.25"), ("patients", "made_up_patient", "0.25")]
)
def test_tables_have_a_column_more(outputs: Path, file: str, name: str, value: str) -> None:
    with (outputs / f"{file}.csv").open(newline="") as table:
        assert {row[name] for row in csv.DictReader(table)} == {value}


def test_the_report_has_it_as_json(outputs: Path) -> None:
    report = answer(outputs, "report")
    assert report["summary"]["made_up_whole"] == 0.4375
    assert (report["intervals"]["made_up_whole"], report["aggregation"]["made_up_whole"]) == ([0.25, 0.5], "made up")
    assert {patient["made_up_patient"] for patient in report["patients"]} == {0.25}
    assert {size["made_up_size"] for size in report["by_size"]} == {0.625}


def test_the_report_has_it_for_people(outputs: Path) -> None:
    page = (outputs / "report.html").read_text()
    paper = words_of((outputs / "report.pdf").read_bytes())
    for label, value in (("Made-up of all", "0.4375"), ("made-up of patients", "0.25"), ("made-up of sizes", "0.625")):
        assert label in page and f"<td>{value}</td>" in page, label
        assert value in paper, label
    assert "0.2500 to 0.5000" in page and "Made-up" in paper


def test_the_api_has_it_and_says_so(outputs: Path) -> None:
    assert {case["made_up_slice"] for case in answer(outputs, "cases")["cases"]} == {0.25}
    assert {patient["made_up_patient"] for patient in answer(outputs, "patients")["patients"]} == {0.25}
    assert answer(outputs, "evaluation")["summary"]["made_up_whole"] == 0.4375
    schemas = answer(outputs, "openapi")["components"]["schemas"]
    assert schemas["Case"]["properties"]["made_up_slice"] == {
        "type": ["number", "null"],
        "description": "made up",
    }
    assert "made_up_patient" in schemas["Patient"]["properties"]


def test_the_pages_have_it(outputs: Path) -> None:
    page, case = ((outputs / name).read_text() for name in ("page.html", "case.html"))
    for head, cell in (
        ("Made-up of patients, px", "0.25"),
        ("Made-up of slices", "0.250"),
        ("Made-up of sizes", "0.625"),
    ):
        assert f'<th scope="col" class="number">{head}</th>' in page and f'<td class="number">{cell}</td>' in page, head
    assert re.search(
        r"Made-up of all</th><td class=\"number\">0\.4375</td><td class=\"number\">0\.2500 to 0\.5000", page
    )
    assert re.search(r"<dt>Made-up of slices</dt><dd><span data-fact=\"\w+\">0\.250</span>", case)


def test_names_are_of_one_metric_each() -> None:
    for metrics in (SLICE_METRICS, PATIENT_METRICS, PREDICTED_PATIENT_METRICS, SIZE_METRICS, DATA_SET_METRICS):
        names = [metric.name for metric in metrics]
        assert len(names) == len(set(names))


def test_every_metric_is_documented() -> None:
    text = (PROJECT_ROOT / "docs" / "evaluation.md").read_text()
    every = (
        *SLICE_METRICS,
        *PATIENT_METRICS,
        *VOLUME_METRICS,
        *PREDICTED_PATIENT_METRICS,
        *SIZE_METRICS,
        *DATA_SET_METRICS,
    )
    assert [metric.name for metric in every if f"`{metric.name}`" not in text] == []
