"""A portal whose registry has one metric more of each level, in a process of its own: lists are read at import.

`python -m tests.support.made_up_metrics FOLDER` evaluates a small data set there, with masks, and writes what shows the
metrics: the report's files, pages as .html, the API's answers as .json.
"""

import json
import sys
from pathlib import Path

from ml.metrics import registry
from ml.metrics.data_set import Estimate
from ml.metrics.registry import Metric

SLICE: registry.SliceMetric = Metric("made_up_slice", "made-up of slices", lambda one: 0.25, description="made up")
PATIENT: registry.GroupMetric = Metric(
    "made_up_patient", "made-up of patients", lambda group: group.mean("made_up_slice"), unit="px", digits=2
)
SIZE: registry.GroupMetric = Metric("made_up_size", "made-up of sizes", lambda group: 0.625)
DATA_SET: registry.DataSetMetric = Metric(
    "made_up_whole", "Made-up of all", lambda slices: Estimate(0.4375, (0.25, 0.5)), digits=4, aggregation="made up"
)


def main(folder: Path) -> None:
    """Add the metrics, then import what reads the registry."""
    registry.SLICE_METRICS += (SLICE,)
    registry.PATIENT_METRICS += (PATIENT,)
    registry.SIZE_METRICS += (SIZE,)
    registry.DATA_SET_METRICS += (DATA_SET,)

    from tests.support.evaluations import begin, run_all, write_data_set
    from tests.support.resources import make_settings
    from tests.worker.conftest import BrightnessEngine
    from webapp.context import EXTENSION
    from webapp.domain.database import migration
    from webapp.factory import create_app
    from worker.process.runtime import Runtime

    settings = make_settings(folder)
    migration.upgrade(settings.database_url)
    app = create_app(settings)
    resources = app.extensions[EXTENSION]
    runtime, engine = Runtime(resources), BrightnessEngine()
    runtime.engine = lambda model: engine  # type: ignore[method-assign]  # the fake at the border
    try:
        evaluation_id = begin(resources, write_data_set(settings.evaluation_roots[0] / "set"))
        assert run_all(runtime, evaluation_id).status.value == "succeeded"
    finally:
        runtime.case_reader.close()
        resources.close()
    client, api = app.test_client(), f"/api/v1/evaluations/{evaluation_id}"
    for name in ("metrics.csv", "patients.csv", "report.json", "report.html", "report.pdf"):
        (folder / name).write_bytes(client.get(f"{api}/{name}").data)
    for name, path in (("page", f"/evaluations/{evaluation_id}"), ("case", f"/evaluations/{evaluation_id}/cases/0")):
        (folder / f"{name}.html").write_text(client.get(path).text)
    for name, path in (
        ("cases", f"{api}/cases"),
        ("patients", f"{api}/patients"),
        ("evaluation", api),
        ("openapi", "/api/v1/openapi.json"),
    ):
        (folder / f"{name}.json").write_text(json.dumps(client.get(path).json))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
