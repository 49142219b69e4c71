"""A job's pilot: which maps it is made of, and what it tells of the others."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from disco_rq.inputs.plan import size_of
from disco_rq.model import JobSpec, MapInput
from disco_rq.planning.estimate import Circumstances, Figures, Range, estimate
from disco_rq.planning.pilot import PilotPlan, ToMap, plan_pilot
from disco_rq.planning.suggestions import Seen, suggestions
from disco_rq.store import unreadable
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobRecord
from disco_rq.store.pilots import done_maps

__all__ = ["awaits_resume", "pilot_details", "pilot_facts"]

_NOT_YET = "{}"
_SUFFIX = re.compile(r"((?:\.[A-Za-z][A-Za-z0-9]{0,7}){1,2})$")
"""Of a file's name: ``.csv``, ``.json.gz``; not the number of a part."""


_KNOWN_LATER = (
    *("seconds", "map_seconds", "reduce_seconds", "check_seconds", "check_slot_seconds", "bytes", "records"),
    *("skew", "memory", "bad", "failed"),
)


def pilot_details(maps: Sequence[MapInput], pilot: float) -> dict[str, Any]:
    """What the spec of a job keeps of its pilot; nothing if it has none."""
    if not pilot or not maps:
        return {}
    return {"pilot": plan_pilot(list(map(_to_map, maps)), pilot, secrets.token_hex(8)).pack()}


def _to_map(entry: MapInput) -> ToMap:
    """By the first replicas of all that it reads."""
    first = [part[0] for part in entry.parts]
    suffix = _SUFFIX.search(first[0].url.partition("?")[0].rpartition("/")[2]) if first else None
    sizes = [size_of(input) for input in first]
    kind = suffix[1].lower() if suffix else ""
    return ToMap(kind, None if None in sizes else sum(size for size in sizes if size is not None))


def awaits_resume(record: JobRecord) -> bool:
    """Whether the job's pilot is through, and nobody has said yet that it is to go on."""
    return record.count("paused") == 1 and record.fields.get("pilot", _NOT_YET) != _NOT_YET


def pilot_facts(
    connection: Connection, spec_of: Callable[[], JobSpec], name: str, record: JobRecord
) -> dict[str, Any] | None:
    """What is known of the pilot of a job; None if it has none.

    ``maps`` it is made of, and how many of them are ``done``. Once it is through, else None: the
    ``seconds`` from then on, and of these ``map_seconds`` and ``reduce_seconds``, and ``check_seconds``
    that checks add to the maps, for ``check_slot_seconds`` of all slots together (None: no map is
    checked); ``bytes`` and ``records`` that all maps will have written: each a dict of ``expected``,
    ``low`` and ``high``; ``skew``, the largest partition in times of the mean one (None: no partitions);
    ``memory`` of the task that held most, in bytes; ``bad`` entries; ``failed`` attempts; ``slots`` that
    are reckoned with; ``suggestions``, in words.
    """
    if "pilot" not in record.fields:
        return None
    spec = spec_of()
    told = unreadable.read("the pilot of", record.fields["pilot"], json.loads)
    plan = unreadable.read("the pilot of", spec.details.get("pilot"), PilotPlan.unpack)
    if told is None or plan is None:
        return None
    figures = _figures(connection, name, plan)
    facts: dict[str, Any] = {"maps": len(plan.maps), "done": len(figures)}
    facts |= dict.fromkeys(_KNOWN_LATER)
    facts |= {"slots": None, "suggestions": []}
    if not told or not figures:
        return facts
    return {**facts, **_expected(spec, plan, figures, told)}


def _figures(connection: Connection, name: str, plan: PilotPlan) -> dict[int, Figures]:
    return {
        index: Figures(
            max(done["ended"] - done["started"], 0) / 1000,
            int(done.get("entries", 0)),
            int(done.get("records", 0)),
            int(done.get("bytes", 0)),
            int(done.get("memory", 0)),
            float(done.get("repeats", 0)),
        )
        for index, done in done_maps(connection, name, list(plan.maps)).items()
    }


def _expected(
    spec: JobSpec, plan: PilotPlan, figures: Mapping[int, Figures], told: Mapping[str, Any]
) -> dict[str, Any]:
    slots = max(int(told["slots"]) - int(told["others"]), 1)
    others = spec.nr_maps - len(plan.maps)
    now = Circumstances(
        left=(spec.nr_maps - int(told["done"])) / others if others else 0.0,
        slots=min(slots, spec.max_cores or slots),
        nr_reduces=spec.nr_reduces if spec.has_reduce else 0,
        check=float(spec.to_dict().get("check") or 0),
        bytes=int(told["bytes"]),
        largest_bytes=int(told["largest"]),
    )
    expected = estimate(plan, figures, now)
    facts = {
        what: value._asdict() if isinstance(value, Range) else value
        for what, value in ((what, getattr(expected, what)) for what in asdict(expected))
        if what != "largest_reduce_bytes"
    }
    if not spec.check:
        facts |= dict.fromkeys(("check_seconds", "check_slot_seconds"))
    return {
        **facts,
        "memory": max(it.memory for it in figures.values()),
        "bad": int(told["bad"]),
        "failed": int(told["failed"]),
        "slots": now.slots,
        "suggestions": suggestions(Seen(spec, plan, figures, now, expected)),
    }
