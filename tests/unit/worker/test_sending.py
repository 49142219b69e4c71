"""Spans that are still to be sent: for how long a horse may, and for how long a collector is left alone."""

from __future__ import annotations

import os
from typing import Any

import pytest

from disco_rq.worker import horse
from disco_rq.worker.horse import Progress


def test_a_horse_sends_until_it_takes_too_long_or_its_next_task_begins(monkeypatch: Any) -> None:
    progress = Progress()
    assert not progress.is_sending

    progress.begin(3, 10.0)
    progress.begin_sending()
    progress.tell_entries(7)
    assert (progress.is_sending, progress.index, progress.nr_entries) == (True, 3, 7)
    progress.begin(4)
    assert not progress.is_sending

    monkeypatch.setattr(horse, "MAX_SENDING_S", 0.0)
    progress.begin_sending()
    assert not progress.is_sending


def test_a_collector_that_does_not_answer_is_left_alone_by_all_horses_of_a_worker() -> None:
    pytest.importorskip("opentelemetry.sdk")
    from disco_rq.worker.tracing import AGAIN_S, Collector

    collector = Collector()
    assert not collector.is_left_alone
    if os.fork() == 0:
        collector.leave_alone()
        os._exit(0)
    os.wait()

    assert collector.is_left_alone
    collector.has_answered()
    assert not collector.is_left_alone
    assert AGAIN_S > horse.MAX_SENDING_S


def test_a_collector_is_left_alone_from_when_it_is_asked_until_it_answers() -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace.export import SpanExportResult

    from disco_rq.worker import tracing

    collector, seen, answers = tracing.Collector(), [], [True, False]
    spans: Any = ["a span"]

    class Exporter:
        def export(self, _spans: Any) -> Any:
            seen.append(collector.is_left_alone)
            return SpanExportResult.SUCCESS if answers.pop(0) else SpanExportResult.FAILURE

        def shutdown(self) -> None:
            pass

    make: Any = Exporter
    kept = tracing._Kept(collector, make)
    for left_alone_then in (False, True, True):
        kept.on_end(spans[0])
        kept.send()
        assert collector.is_left_alone is left_alone_then
    assert seen == [True, True]  # the third time nobody asked
