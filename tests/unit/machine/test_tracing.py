"""The ids of a job's spans: the same for master and workers, below the client's span where there is one."""

from __future__ import annotations

import pytest

from disco_rq.machine.tracing import JobTrace, carried

JOB = "words@20261129-200000-abcd"


def test_ids_follow_from_the_name_and_from_the_clients_span() -> None:
    told = f"00-{5:032x}-{7:016x}-01"

    assert JobTrace.of(JOB, told) == JobTrace.of(JOB, told) == (JOB, 5, 7, 1)
    assert JobTrace.of(JOB, told).span_id("map") == JobTrace.of(JOB).span_id("map")
    assert len({JobTrace.of(JOB).span_id(phase) for phase in ("", "map", "reduce")}) == 3
    assert 0 < JobTrace.of(JOB).span_id() < 1 << 64


@pytest.mark.parametrize("told", [None, "", "00-xyz", 5, f"01-{5:032x}-{7:016x}-01", b"00"])
def test_what_is_no_traceparent_counts_as_none(told: object) -> None:
    trace = JobTrace.of(JOB, told)

    assert (trace.parent_id, trace.flags) == (0, 1)
    assert 0 < trace.trace_id < 1 << 128


def test_a_client_tells_the_span_that_is_open() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace")

    assert carried() == {}
    with sdk.TracerProvider().get_tracer("test").start_as_current_span("mine") as span:
        told = carried()["traceparent"]
    assert JobTrace.of(JOB, told)[1:3] == (span.get_span_context().trace_id, span.get_span_context().span_id)
