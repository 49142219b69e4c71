"""Traces of jobs, as OpenTelemetry has them: their ids, and whether there are any.

A job is a trace of its own, or a part of its client's. All ids follow from its name and from the span in
which it was submitted, so that a master and workers agree without asking each other. Where tracing is off,
nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

import re
import sys
from hashlib import sha256
from importlib.util import find_spec
from typing import NamedTuple

from disco_rq.errors import SettingsError

__all__ = ["TRACEPARENT", "JobTrace", "carried", "check_installed"]

TRACEPARENT = "traceparent"
"""Of the details of a job's spec: the span in which it was submitted, as W3C writes it."""
_WRITTEN = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def carried() -> dict[str, str]:
    """What a job's spec says of the span that is open here; nothing in a program that has no tracing."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return {}
    span = api.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {TRACEPARENT: f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"}


def check_installed(*, wanted: bool) -> None:
    """``SettingsError`` where tracing is to be on, and cannot be."""
    if not wanted:
        return
    try:
        missing = [name for name in PACKAGES if find_spec(name) is None]
    except ModuleNotFoundError:  # a parent of one
        missing = ["opentelemetry"]
    if missing:
        raise SettingsError(f"DISCO_RQ_OTEL=on needs {missing[0]}: pip install 'disco-rq[otel]'")


class JobTrace(NamedTuple):
    """Where the spans of a job belong."""

    job: str
    trace_id: int
    parent_id: int  # of the span in which it was submitted; 0: none
    flags: int  # of W3C: 1 is that the trace is recorded

    @classmethod
    def of(cls, job: str, traceparent: object = None) -> JobTrace:
        """``traceparent``: as the spec of the job has it. What is none counts as none."""
        told = _WRITTEN.fullmatch(traceparent) if isinstance(traceparent, str) else None
        if told is None:
            return cls(job, _digest(job, 16), 0, 1)
        return cls(job, int(told[1], 16), int(told[2], 16), int(told[3], 16))

    def span_id(self, phase: str = "") -> int:
        """Of the job itself, or of one of its phases."""
        return _digest(f"{self.job} {phase}", 8)


def _digest(text: str, size: int) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:size], "big") or 1
