"""Spans of jobs and their phases, made by the master that leads when a job has ended.

Only imported where tracing is on. They are sent by a thread of their own; a master waits for no collector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from disco_rq.machine.tracing import JobTrace
from disco_rq.model import PHASES
from disco_rq.store.connection import Connection
from disco_rq.store.ended import EndedJob, ended_job
from disco_rq.version import __version__

__all__ = ["JobTraces", "spans_of"]

_SCOPE = InstrumentationScope("disco_rq", __version__)
_MS = 1_000_000  # nanoseconds


class JobTraces:
    """Of one master."""

    def __init__(self, connection: Connection, exporter: SpanExporter | None = None) -> None:
        self._connection = connection
        self._resource = Resource.create({"service.name": "disco-rq", "service.version": __version__})
        self._processor = BatchSpanProcessor(exporter or OTLPSpanExporter())

    def ended(self, name: str) -> None:
        """A job is over: its span and those of its phases."""
        job = ended_job(self._connection, name)
        for span in spans_of(job, self._resource) if job is not None else ():
            self._processor.on_end(span)

    def close(self) -> None:
        """Send what is left, for some seconds at most."""
        self._processor.shutdown()


def spans_of(job: EndedJob, resource: Resource) -> Iterator[ReadableSpan]:
    """The job's span first. Failures of its tasks that counted are events of it: the process of an attempt
    that was killed could not tell it.
    """
    where = JobTrace.of(job.name, job.traceparent)
    flags = TraceFlags(where.flags)

    def context(span_id: int) -> SpanContext:
        return SpanContext(where.trace_id, span_id, is_remote=False, trace_flags=flags)

    own = context(where.span_id())
    told: dict[str, str | int] = {"disco.job": job.name, "disco.status": job.status, "disco.owner": job.owner}
    events = [
        Event("attempt failed", _attributes(failure), timestamp=int(failure.get("at", job.ended)) * _MS)
        for failure in job.failures
    ]
    yield ReadableSpan(
        job.name.partition("@")[0],
        own,
        parent=context(where.parent_id) if where.parent_id else None,
        resource=resource,
        attributes=told,
        events=events,
        status=Status(StatusCode.ERROR, job.cause) if job.status == "dead" else Status(StatusCode.OK),
        start_time=job.submitted * _MS,
        end_time=job.ended * _MS,
        instrumentation_scope=_SCOPE,
    )
    for phase in PHASES:
        started = job.number(f"{phase}:started")
        if started is None:
            continue
        counted = {
            f"disco.{what}": job.number(f"{phase}:{what}") or 0 for what in ("done", "failed", "records")
        }
        yield ReadableSpan(
            phase,
            context(where.span_id(phase)),
            parent=own,
            resource=resource,
            attributes={"disco.job": job.name, **counted},
            start_time=started * _MS,
            end_time=(job.number(f"{phase}:ended") or job.ended) * _MS,
            instrumentation_scope=_SCOPE,
        )


def _attributes(failure: Mapping[str, object]) -> dict[str, str]:
    shown = ("task", "attempt", "node", "kind", "message")
    return {f"disco.{name}": str(failure[name])[:1000] for name in shown if name in failure}
