"""What the API tells of a job's pilot."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from disco_rq.client.piloting import pilot_facts
from disco_rq.views.asked import OfJob
from disco_rq.views.sources import Sources

__all__ = ["Pilot", "PilotRange", "pilot"]


class PilotRange(Struct):
    """What is expected, and between what it lies in nine of ten jobs."""

    expected: float
    low: float
    high: float


class Pilot(Struct):
    """``maps`` it is made of (0: the job has none), and how many of them are ``done``. All else is null until
    it is through: ``seconds`` from then on, of these ``check_seconds`` that checks add, for
    ``check_slot_seconds`` of slots (null: none is checked), ``bytes`` and ``records`` that all maps will have
    written, ``skew`` (the largest partition in times of the mean one, null where there are none), ``memory``
    of the task that held most, ``slots`` that are reckoned with.
    """

    maps: int = 0
    done: int = 0
    seconds: PilotRange | None = None
    map_seconds: PilotRange | None = None
    reduce_seconds: PilotRange | None = None
    check_seconds: PilotRange | None = None
    check_slot_seconds: PilotRange | None = None
    bytes: PilotRange | None = None
    records: PilotRange | None = None
    skew: float | None = None
    memory: int | None = None
    bad: int | None = None
    failed: int | None = None
    slots: int | None = None
    suggestions: list[str] = []


def pilot(sources: Sources, asked: OfJob) -> Pilot:
    record = sources.jobs.record(asked.job)
    facts = pilot_facts(sources.connection, lambda: sources.jobs.spec(asked.job), asked.job, record)
    return Pilot() if facts is None else msgspec.convert(facts, Pilot)
