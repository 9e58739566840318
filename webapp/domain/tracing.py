"""Traces of jobs (OpenTelemetry, off by default): from the upload through the queue to the result.

A job's own id is its trace's, and its first half that of the trace's first span: nothing is added to a row or a
message, and a worker of another machine finds the trace by the job alone. A trace holds ids, codes and times, no names.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Tracer

# How long a span waits for others before all are sent together.
SEND_EVERY_MS = 500
SERVICE = "glioscope"


# Name and beginning of what is being done for somebody.
_asked: ContextVar[tuple[str, int] | None] = ContextVar("asked", default=None)


@contextmanager
def asked(name: str) -> Iterator[None]:
    """What a person or program asks for: traces of the jobs that it queues begin here, under this name.

    Of several around each other the outermost counts. Also a decorator.
    """
    if _asked.get() is not None:
        yield
        return
    token = _asked.set((name, time.time_ns()))
    try:
        yield
    finally:
        _asked.reset(token)


class Traces:
    """Sends spans to a collector in a thread of its own; without an address it does nothing and imports nothing.

    A collector that is away costs spans and lines of the log, never a request or a job.
    """

    def __init__(self, address: str) -> None:
        """address: where OTLP over HTTP is taken, `http://HOST:4318/v1/traces`, or empty."""
        self._address = address
        self._lock = threading.Lock()

    @property
    def is_on(self) -> bool:
        """Whether spans are sent anywhere."""
        return bool(self._address)

    def begin(self, trace: str, **attributes: str | int) -> None:
        """The first span of a job's trace: what was asked for (`asked`), until it was in the queue; it ends now.

        trace: the job's id.
        """
        name, began_ns = _asked.get() or (SERVICE, time.time_ns())
        self._record(trace, name, began_ns, time.time_ns(), None, attributes, is_first=True)

    def add(
        self, trace: str, name: str, began_ns: int, ended_ns: int, *, error: str | None = None, **attributes: str | int
    ) -> None:
        """A span below the first one. error: the code with which it ended."""
        self._record(trace, name, began_ns, ended_ns, error, attributes, is_first=False)

    def close(self) -> None:
        """Send what is left."""
        if "_tracer" in self.__dict__:
            self._provider.shutdown()

    def _record(
        self,
        trace: str,
        name: str,
        began_ns: int,
        ended_ns: int,
        error: str | None,
        attributes: dict[str, str | int],
        *,
        is_first: bool,
    ) -> None:
        if not self._address:
            return
        from opentelemetry import trace as api
        from opentelemetry.context import Context

        own = {f"{SERVICE}.{key}": value for key, value in attributes.items()}
        trace_id, first_id = int(trace, 16), int(trace[:16], 16)
        with self._lock:
            parent = Context()
            if is_first:
                self._ids.next = (trace_id, first_id)
            else:
                first = api.SpanContext(trace_id, first_id, is_remote=True, trace_flags=api.TraceFlags(1))
                parent = api.set_span_in_context(api.NonRecordingSpan(first), parent)
            span = self._tracer.start_span(name, parent, attributes=own, start_time=began_ns)
        if error is not None:
            span.set_status(api.StatusCode.ERROR, error)
        span.end(ended_ns)

    @cached_property
    def _ids(self) -> Any:
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class Ids(RandomIdGenerator):
            """A first span's ids are the job's; all others are random."""

            next: tuple[int, int] | None = None

            def generate_trace_id(self) -> int:
                return self.next[0] if self.next else super().generate_trace_id()

            def generate_span_id(self) -> int:
                found = self.next[1] if self.next else super().generate_span_id()
                self.next = None
                return found

        return Ids()

    @cached_property
    def _provider(self) -> Any:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider(resource=Resource({"service.name": SERVICE}), id_generator=self._ids)
        provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(self._address, timeout=5), schedule_delay_millis=SEND_EVERY_MS)
        )
        return provider

    @cached_property
    def _tracer(self) -> "Tracer":
        """Made with the first span, in the process that serves: threads do not outlive a fork."""
        tracer: Tracer = self._provider.get_tracer(SERVICE)
        return tracer
