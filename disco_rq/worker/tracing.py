"""Spans of attempts, made in a horse, and sent between its batches: no thread is there beside a task.

Only imported where tracing is on: by a worker, ahead of its horses.
"""

from __future__ import annotations

import logging
import mmap
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from disco_rq.attempt.stored import InputsMissing
from disco_rq.errors import ConnectionLost, OtherVersion
from disco_rq.machine.tracing import TRACEPARENT, JobTrace
from disco_rq.model import JobSpec
from disco_rq.runtime import Overtaken
from disco_rq.store.attempts import Attempt, Commit
from disco_rq.version import __version__

__all__ = ["AttemptTraces", "Collector", "traces_of"]

log = logging.getLogger("disco_rq.execution")

SEND_S = 2.0
"""For how long a collector is waited for, between two batches ..."""
AGAIN_S = 30.0
"""... and, once it did not answer, how long all horses of a worker leave it alone. Spans of that time are
lost, tasks are not.
"""
MOST_KEPT = 2000
ENDINGS: dict[type[BaseException], str] = {
    Overtaken: "overtaken",
    InputsMissing: "release",
    OtherVersion: "refuse",
    ConnectionLost: "lost",
}
"""Ends of attempts that are no failures of their tasks."""


def traces_of(node: str) -> Callable[[], AttemptTraces]:
    """For the horses of this worker, which need not import again what is imported here."""
    OTLPSpanExporter().shutdown()  # imports most of what it needs only now
    return partial(AttemptTraces, node, Collector())


class Collector:
    """What a worker and its horses know of it, in memory that they share: until when it is left alone."""

    _UNTIL = struct.Struct("d")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def is_left_alone(self) -> bool:
        return time.monotonic() < float(self._UNTIL.unpack_from(self._memory)[0])

    def leave_alone(self) -> None:
        self._UNTIL.pack_into(self._memory, 0, time.monotonic() + AGAIN_S)

    def has_answered(self) -> None:
        self._UNTIL.pack_into(self._memory, 0, 0.0)


class AttemptTraces:
    """Of one process. Also what user code makes of OpenTelemetry in a task, and redis-py's own
    instrumentation where it is installed, come below the attempt.
    """

    def __init__(
        self, node: str, collector: Collector, exporter: Callable[[], SpanExporter] | None = None
    ) -> None:
        self._kept = _Kept(collector, exporter or (lambda: OTLPSpanExporter(timeout=SEND_S)))
        resource = Resource.create(
            {"service.name": "disco-rq", "service.version": __version__, "service.instance.id": node}
        )
        # What is no part of a job's trace, such as a worker's own commands, is none at all.
        provider = TracerProvider(resource=resource, sampler=ParentBased(root=ALWAYS_OFF))
        provider.add_span_processor(self._kept)
        trace.set_tracer_provider(provider)
        self._tracer = provider.get_tracer("disco_rq", __version__)
        if find_spec("opentelemetry.instrumentation") and find_spec("opentelemetry.instrumentation.redis"):
            from opentelemetry.instrumentation.redis import RedisInstrumentor

            RedisInstrumentor().instrument(tracer_provider=provider)

    def run(self, attempt: Attempt, load: Callable[[], JobSpec], work: Callable[[], Commit]) -> Commit:
        """What ``work`` returns or raises. ``load`` gives the spec of the attempt's job."""
        spec = None
        with suppress(Exception):  # a job that cannot be loaded: ``work`` meets and tells it
            spec = load()
        where = JobTrace.of(attempt.job, spec.details.get(TRACEPARENT) if spec else None)
        phase = attempt.task.phase
        above = SpanContext(
            where.trace_id,
            where.span_id("map" if phase == "check" else phase),
            is_remote=True,
            trace_flags=TraceFlags(where.flags),
        )
        told: dict[str, Any] = {
            "disco.job": attempt.job,
            "disco.task": str(attempt.task),
            "disco.attempt": attempt.number,
            "disco.node": attempt.node,
            "disco.worker": attempt.worker,
        }
        with self._tracer.start_as_current_span(
            f"{phase} task",
            trace.set_span_in_context(NonRecordingSpan(above)),
            attributes=told,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                commit = work()
            except BaseException as error:
                outcome = next((name for kind, name in ENDINGS.items() if isinstance(error, kind)), "")
                if outcome:
                    span.set_attribute("disco.outcome", outcome)
                else:
                    span.record_exception(error)
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"[:1000]))
                raise
            span.set_attributes(
                {
                    "disco.entries": commit.result.entries_in,
                    "disco.records": commit.result.records_out,
                    "disco.bytes": commit.result.bytes_out,
                }
            )
            return commit

    def send(self) -> None:
        """Between two batches: what was kept."""
        self._kept.send()


class _Kept(SpanProcessor):
    """Spans that have ended, until they are sent."""

    def __init__(self, collector: Collector, exporter: Callable[[], SpanExporter]) -> None:
        self._collector, self._exporter = collector, exporter
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        if len(self._spans) < MOST_KEPT:
            self._spans.append(span)

    def send(self) -> None:
        spans, self._spans = self._spans, []
        if not spans or self._collector.is_left_alone:
            return
        # First: a process that is ended here, since its host's name is not found for long, tells nothing.
        self._collector.leave_alone()
        exporter = self._exporter()  # its connection is not left open beside a task
        try:
            sent = exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001  a collector costs no task
            log.info("spans are not sent: %s", error, extra={"action": "trace"})
            sent = False
        finally:
            exporter.shutdown()
        if sent:
            self._collector.has_answered()
        else:
            log.warning(
                "%d spans are lost: no collector takes them; the next try is in %d s",
                *(len(spans), AGAIN_S),
                extra={"action": "trace"},
            )
