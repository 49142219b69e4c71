"""Traces: a job, its phases and its attempts are spans below the client's, at a collector on loopback."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from disco_rq import JobError, result_iterator
from disco_rq.model import PHASES
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

ERROR = 2  # of the protocol's status


class Collector:
    """Takes what is sent by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.takes_s = 0.0
        spans, collector = self.spans, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                time.sleep(collector.takes_s)
                told = ExportTraceServiceRequest.FromString(
                    self.rfile.read(int(self.headers["Content-Length"]))
                )
                spans.extend(
                    span for of in told.resource_spans for some in of.scope_spans for span in some.spans
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def named(self, name: str, job: str) -> list[Any]:
        return [span for span in self.spans if span.name == name and attributes(span)["disco.job"] == job]


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


def once(line: str, params: Any) -> Iterator[tuple[str, int]]:
    from pathlib import Path

    from opentelemetry import trace

    from disco_rq.runtime import data_err

    marker = Path(params["dir"]) / line
    if line == "bad" and not marker.exists():
        marker.touch()
        data_err("not this time")
    with trace.get_tracer("mine").start_as_current_span("of the user"):
        yield line, 1


def total(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for key, value in pairs:
        if params.get("dies"):
            raise ValueError("no such sum")
        yield key, value


def test_a_job_its_phases_and_attempts_are_spans_below_the_clients(
    nodes: NodeCluster, collector: Collector, tmp_path: Any
) -> None:
    port = collector.server.server_address[1]
    nodes.environment |= {
        "DISCO_RQ_OTEL": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    tracer = TracerProvider().get_tracer("client")
    given: dict[str, Any] = {"map": once, "reduce": total, "nr_reduces": 1}
    with tracer.start_as_current_span("nightly") as client:
        job = nodes.disco.new_job(
            "traced", ["raw://good", "raw://bad"], params={"dir": str(tmp_path)}, **given
        )
        job.wait(timeout=60)
    [whole] = wait_until(lambda: collector.named("traced", job.name))
    phases = wait_until(
        lambda: (
            [*collector.named("map", job.name), *collector.named("reduce", job.name)][:2]
            if collector.named("reduce", job.name)
            else None
        )
    )
    attempts = wait_until(
        lambda: (found := collector.named("map task", job.name)) and len(found) == 3 and found
    )
    [reduce] = wait_until(lambda: collector.named("reduce task", job.name))

    # one trace: the client's span, the job, its phases, their attempts, and the user's own spans in these
    trace_id = client.get_span_context().trace_id.to_bytes(16, "big")
    assert {span.trace_id for span in [whole, *phases, *attempts, reduce]} == {trace_id}
    assert whole.parent_span_id == client.get_span_context().span_id.to_bytes(8, "big")
    assert {span.parent_span_id for span in phases} == {whole.span_id}
    assert {span.parent_span_id for span in attempts} == {phases[0].span_id}
    assert reduce.parent_span_id == phases[1].span_id
    assert attributes(whole)["disco.status"] == "ready"
    own = wait_until(lambda: [span for span in collector.spans if span.name == "of the user"])
    assert {span.parent_span_id for span in own} <= {span.span_id for span in attempts}
    # the attempt that failed says so, and why
    [failed] = [span for span in attempts if span.status.code == ERROR]
    assert attributes(failed)["disco.attempt"] == 1
    assert "not this time" in failed.status.message
    [exception] = failed.events
    assert attributes(exception)["exception.type"].endswith("DataError")
    # times are those of the work
    assert all(whole.start_time_unix_nano <= span.start_time_unix_nano + 10**9 for span in attempts)

    # a job without a client's span has a trace of its own, and a dead one is an error with its cause
    dead = nodes.disco.new_job("dies", ["raw://x"], params={"dir": str(tmp_path), "dies": True}, **given)
    with pytest.raises(JobError):
        dead.wait(timeout=60)
    [span] = wait_until(lambda: collector.named("dies", dead.name))
    assert span.status.code == ERROR
    assert "no such sum" in span.status.message
    assert span.parent_span_id == b""
    assert span.trace_id != trace_id


def test_a_job_that_is_over_before_its_spans_are_sent_loses_none(
    nodes: NodeCluster, collector: Collector
) -> None:
    nodes.environment |= {
        "DISCO_RQ_OTEL": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server.server_address[1]}",
    }
    collector.takes_s = 0.2  # more than a worker waits before it looks whether the job is over
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    given: dict[str, Any] = {"map": alone, "reduce": total, "params": {"dies": False}}
    small = nodes.disco.new_job("small", ["raw://a"], nr_reduces=1, **given)
    small.wait(timeout=30)
    wide = nodes.disco.new_job("wide", [f"raw://{i}" for i in range(8)], nr_reduces=3, **given)
    wide.wait(timeout=30)
    dead = nodes.disco.new_job("dead", ["raw://a"], nr_reduces=1, **given | {"params": {"dies": True}})
    with pytest.raises(JobError):
        dead.wait(timeout=30)

    def arrived() -> list[list[int]]:
        names = [job.name for job in (small, wide, dead)]
        return [[len(collector.named(f"{phase} task", name)) for phase in PHASES] for name in names]

    wait_until(lambda: arrived() == [[1, 1], [8, 3], [1, 1]])


def alone(line: str, params: Any) -> Iterator[tuple[str, int]]:
    yield line, 1


def test_where_it_is_off_nothing_of_it_is_imported() -> None:
    # redis-py imports the API by itself where that is installed
    program = (
        "import sys, disco_rq, disco_rq.worker.worker, disco_rq.worker.execution, disco_rq.master.master;"
        "ours = [n for n in sys.modules if n.startswith('disco_rq.') and n.endswith('.tracing')];"
        "theirs = ('opentelemetry.sdk.trace', 'opentelemetry.exporter');"
        "print(*ours, *(n for n in sys.modules if n.startswith(theirs)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["disco_rq.machine.tracing"], done.stderr


def test_a_collector_that_does_not_answer_costs_no_task(nodes: NodeCluster) -> None:
    nodes.environment |= {"DISCO_RQ_OTEL": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    # of which each task imports a module that came with it
    files = {f"of_{i}.py": b"N = %d" % i for i in range(20)}
    job = nodes.disco.new_job("alone", [f"raw://{i}" for i in range(20)], map=importing, required_files=files)

    assert sorted(result_iterator(job.wait(timeout=30))) == [(i, 1) for i in range(20)]
    wait_until(lambda: "spans are lost: no collector takes them" in nodes.nodes["n1"].said)


def importing(line: str, params: Any) -> Iterator[tuple[int, int]]:
    import importlib

    yield importlib.import_module(f"of_{line}").N, 1
