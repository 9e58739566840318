"""Traces of jobs, as a collector gets them: one from the upload to the result, without a name in it."""

import importlib.util
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ml.engines import EngineError
from tests.support import dicom_files, volume_files
from tests.support.evaluations import begin, run_all
from tests.support.portal_process import free_port
from tests.support.resources import make_settings, png_bytes
from tests.worker.conftest import BrightnessEngine
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import gathering, joining, lookup, segmentations, splitting
from webapp.domain.scans.grouping import Grouping
from webapp.domain.scans.submission import RunOptions, UploadOptions, submit, submit_run
from webapp.domain.settings import Settings, SettingsError
from webapp.domain.tracing import Traces
from webapp.domain.uploads.receiving import UploadedFile
from worker.jobs.runner import run_next
from worker.process.runtime import Runtime

PATIENT = "Musterfrau_Erika.png"
# OpenTelemetry's: a span that ended in an error.
ERROR = 2


@dataclass
class Collector:
    """An OTLP collector over HTTP. spans: what came; bodies: as it came."""

    port: int
    spans: list[Any] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def of(self, trace: str) -> dict[str, Any]:
        """The spans of a trace, by their names."""
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace}


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector(0)

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.bodies.append(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                found.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def resources(collector: Collector, database_url: str, tmp_path: Path) -> Iterator[Resources]:
    """A portal that sends traces."""
    resources = Resources.open(make_settings(tmp_path, DATABASE_URL=database_url, GLIOSCOPE_TRACES=collector.url))
    yield resources
    resources.close()


def uploaded(resources: Resources) -> str:
    """The id of an uploaded scan."""
    (scan_id,) = submit(resources, [UploadedFile(PATIENT, io.BytesIO(png_bytes()))], UploadOptions()).scan_ids
    return scan_id


def newest_run(resources: Resources, scan_id: str) -> str:
    with resources.database.read() as session:
        return segmentations.runs(session, scan_id)[0].id


def attributes(span: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


def test_one_trace_leads_from_the_upload_through_the_queue_to_the_result(
    resources: Resources, runtime: Runtime, collector: Collector
) -> None:
    scan_id = uploaded(resources)
    run_next(runtime)
    again = submit_run(resources, scan_id, RunOptions(threshold=0.3))
    run_next(runtime)
    resources.traces.close()
    with resources.database.read() as session:
        run = lookup.get(session, scan_id).displayed
        first = next(item.id for item in segmentations.runs(session, scan_id) if item.id != again)
    assert run is not None and run.id == again
    spans = collector.of(first)
    assert spans.keys() == {"upload", "queue", "predict", "segmentation"}
    top = spans.pop("upload")
    assert (top.span_id.hex(), top.parent_span_id) == (first[:16], b"")
    assert {span.parent_span_id for span in spans.values()} == {top.span_id}
    assert top.start_time_unix_nano < spans["predict"].start_time_unix_nano
    assert spans["queue"].end_time_unix_nano == spans["segmentation"].start_time_unix_nano
    assert spans["predict"].end_time_unix_nano <= spans["segmentation"].end_time_unix_nano
    assert attributes(top) == {"glioscope.scan": scan_id}
    assert attributes(spans["segmentation"])["glioscope.attempt"] == 1
    assert collector.of(again).keys() == {"another run", "queue", "segmentation"}
    assert not [body for body in collector.bodies if b"Musterfrau" in body]


def test_every_way_to_a_new_run_begins_its_trace(resources: Resources, collector: Collector) -> None:
    shape = (28, 32, 24)
    affine = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), shape)
    head = volume_files.head(affine, shape, "uint16")

    def sent(*files: tuple[str, bytes], **options: Any) -> tuple[str, ...]:
        given = [UploadedFile(name, io.BytesIO(data)) for name, data in files]
        return submit(resources, given, UploadOptions(**options)).scan_ids

    numbered = [(f"slice_{number}.png", png_bytes()) for number in range(3)]
    began = {"upload": [*sent(*numbered, group=Grouping.STACK)]}
    began["upload"] += sent(*((f"{place}.dcm", data) for place, data in enumerate(dicom_files.series(head, affine))))
    flair, t1 = (sent((f"{name}.nii.gz", volume_files.nifti(head, affine)))[0] for name in ("flair", "t1"))
    singles = sent(*numbered[:2])
    runs = {scan_id: newest_run(resources, scan_id) for scan_id in (*began["upload"], flair, t1, *singles)}
    began["upload"] += (flair, t1, *singles)
    began["stack"] = [gathering.gather(resources, singles)]
    runs[began["stack"][0]] = newest_run(resources, began["stack"][0])
    began["split"] = [*splitting.split(resources, began["stack"][0])]
    began["join"] = [joining.join(resources, flair, joining.Choice(flair, t1, None))]
    for scan_id in (*began["split"], *began["join"]):
        runs[scan_id] = newest_run(resources, scan_id)
    # A double click is one job, whose trace began already.
    assert submit_run(resources, flair, RunOptions()) == runs[flair]
    resources.traces.close()
    for name, scan_ids in began.items():
        for scan_id in scan_ids:
            [top] = [span for span in collector.spans if span.trace_id.hex() == runs[scan_id]]
            assert (top.name, top.span_id.hex(), top.parent_span_id) == (name, runs[scan_id][:16], b"")


def test_a_run_that_failed_says_its_code(
    resources: Resources, runtime: Runtime, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_model: str) -> BrightnessEngine:
        raise EngineError("no weights")

    monkeypatch.setattr(runtime, "engine", refuse)
    run_id = newest_run(resources, uploaded(resources))
    run_next(runtime)
    resources.traces.close()
    status = collector.of(run_id)["segmentation"].status
    assert (status.code, status.message) == (ERROR, "model_unavailable")


def test_an_evaluation_is_one_trace(resources: Resources, runtime: Runtime, collector: Collector, data: Path) -> None:
    evaluation_id = begin(resources, data)
    assert run_all(runtime, evaluation_id).status is Status.SUCCEEDED
    resources.traces.close()
    names = [span.name for span in collector.spans if span.trace_id.hex() == evaluation_id]
    assert names.count("evaluation") == 1 and names.count("evaluation_chunk") >= 3


def test_a_collector_that_is_away_stops_nothing() -> None:
    traces = Traces(f"http://127.0.0.1:{free_port()}/v1/traces")
    traces.begin("0123456789abcdef" * 2)
    traces.close()


def test_without_the_packages_the_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "opentelemetry" else found(name))
    with pytest.raises(SettingsError, match=r"pip install -r requirements-traces\.txt"):
        Settings.from_environment({"GLIOSCOPE_TRACES": "http://127.0.0.1:4318/v1/traces"})
    assert not Traces(Settings.from_environment({}).traces).is_on
