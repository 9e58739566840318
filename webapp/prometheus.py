"""Prometheus metrics: request latency by route, jobs by state, the queue's age, the stages' times, stuck jobs."""

import time
from collections.abc import Iterator

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from webapp.context import resources
from webapp.domain.errors import PortalError
from webapp.domain.monitoring import statistics
from webapp.domain.networks import node_status
from webapp.domain.networks.node_status import Count, NodeStatus

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class PortalCollector(Collector):
    """Figures that live in the database, read when they are asked for."""

    def collect(self) -> Iterator[Metric]:
        """One family a figure; where the database is away, only that it is."""
        try:
            figures = statistics.read(resources())
        except PortalError:
            yield GaugeMetricFamily("glioscope_database_up", "Whether the database answers", 0)
            return
        yield GaugeMetricFamily("glioscope_database_up", "Whether the database answers", 1)
        jobs = GaugeMetricFamily("glioscope_jobs", "Segmentations by state", labels=["status"])
        for status, count in figures.jobs_by_status.items():
            jobs.add_metric([status], count)
        yield jobs
        chunks = GaugeMetricFamily("glioscope_evaluation_chunks", "Chunks of evaluations by state", labels=["status"])
        for status, count in figures.chunks_by_status.items():
            chunks.add_metric([status], count)
        yield chunks
        yield GaugeMetricFamily(
            "glioscope_queue_age_seconds", "How long the oldest queued job has waited", figures.queue_age_s
        )
        yield GaugeMetricFamily(
            "glioscope_evaluation_queue_age_seconds",
            "How long the oldest queued chunk of an evaluation has waited",
            figures.evaluation_queue_age_s,
        )
        yield GaugeMetricFamily(
            "glioscope_stuck_jobs", "Jobs running more than a minute past their lease", figures.stuck_jobs
        )
        yield GaugeMetricFamily(
            "glioscope_waiting_jobs", "Jobs put back for a fault of the machine or lost data", figures.waiting_jobs
        )
        yield GaugeMetricFamily("glioscope_live_workers", "Workers that are ready", figures.live_workers)
        serving = GaugeMetricFamily("glioscope_queue_workers", "Workers that are ready, by queue", labels=["queue"])
        for queue, count in figures.queue_workers.items():
            serving.add_metric([queue], count)
        yield serving
        stages = GaugeMetricFamily(
            "glioscope_stage_seconds",
            f"Time of each stage of an upload and its run over the last {statistics.STAGE_SAMPLE} of them",
            labels=["stage", "quantile"],
        )
        for (stage, quantile), seconds in figures.stage_seconds.items():
            stages.add_metric([stage, quantile], seconds)
        yield stages
        if resources().settings.dicom_node == "on":
            yield from _dicom_node(node_status.read(resources().settings))


def _dicom_node(status: NodeStatus) -> Iterator[Metric]:
    """What the DICOM node last wrote of itself."""
    yield GaugeMetricFamily("glioscope_dicom_up", "Whether the DICOM node lives", int(status.is_fresh))
    studies = GaugeMetricFamily("glioscope_dicom_studies", "Studies in the DICOM node's spool", labels=["state"])
    for state, count in status.by_state().items():
        studies.add_metric([state], count)
    yield studies
    yield GaugeMetricFamily("glioscope_dicom_spool_bytes", "Bytes of instances in the spool", status.spool_bytes)
    yield GaugeMetricFamily(
        "glioscope_dicom_oldest_study_seconds",
        "How long ago the oldest complete study in the spool began to arrive",
        max(0.0, time.time() - status.oldest_at) if status.oldest_at else 0.0,
    )
    if status.heard_at:  # before the first one there is nothing to be silent since
        yield GaugeMetricFamily(
            "glioscope_dicom_silent_seconds",
            "How long ago a peer was last let in",
            max(0.0, time.time() - status.heard_at),
        )
    events = CounterMetricFamily("glioscope_dicom_events", "What the DICOM node counts", labels=["event"])
    for event in Count:
        events.add_metric([event.value], status.counts.get(event.value, 0))
    yield events


def register(app: Flask) -> None:
    """Time every request, and serve /metrics."""
    registry = CollectorRegistry(auto_describe=False)
    latency = Histogram(
        "glioscope_request_seconds",
        "Request latency by route",
        ["method", "route", "status"],
        buckets=BUCKETS_S,
        registry=registry,
    )
    registry.register(PortalCollector())

    def start() -> None:
        g.started_s = time.perf_counter()

    def observe(response: Response) -> Response:
        # The rule and not the path: no id or name becomes a label.
        route = request.url_rule.rule if request.url_rule is not None else "none"
        seconds = time.perf_counter() - g.get("started_s", time.perf_counter())
        # A client may send any word as its method: it would be a new series each time.
        method = request.method if request.method in METHODS else "other"
        latency.labels(method, route, str(response.status_code)).observe(seconds)
        return response

    app.before_request(start)
    app.after_request(observe)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
