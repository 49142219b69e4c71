"""What a client tells of jobs and nodes, as dicts and texts for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from disco_rq.machine.escaping import escaped
from disco_rq.model import PHASES
from disco_rq.packing import misfit
from disco_rq.redact import redact
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobRecord, JobStore
from disco_rq.store.viewing import ViewStore

__all__ = ["describe_death", "job_facts", "node_facts"]


def job_facts(store: JobStore, name: str, record: JobRecord) -> dict[str, Any]:
    """A job in numbers, without its results."""
    suspended, waits = store.held_up(name) if record.status == "active" else (False, "")
    return {
        "name": name,
        "timestamp": record.count("submitted") / 1000,
        "ended": record.count("ended") / 1000 if "ended" in record.fields else None,
        "active": record.status,
        "paused": record.status == "active" and record.count("paused") == 1,
        "suspended": suspended,
        "waits": waits,
        "mapi": record.phase("map"),
        "redi": record.phase("reduce"),
        "reduce": record.count("nr_reduces") > 0,
        "inputs": [list(map(redact, entry.urls())) for entry in store.inputs(name, 100)],
        "nodes": store.nodes(name),
        "owner": record.fields.get("owner", ""),
        "priority": record.count("priority"),
        "counters": store.counters(name),
        "msgs_dropped": record.count("msgs_dropped"),
        "copies": record.count("copies"),
        "bad": record.count("bad"),
        "kept": record.count("kept"),
        "retry_of": record.fields.get("retry_of"),
        "retried_as": record.fields.get("retried_as"),
        "reused": record.count("reused"),
        "reuse": record.reuse,
        "pilot": None,
        "check": check_facts(record),
        "entries": {phase: record.count(f"{phase}:entries") for phase in PHASES},
        "records": {phase: record.count(f"{phase}:records") for phase in PHASES},
        "bytes": {phase: record.count(f"{phase}:bytes") for phase in PHASES},
        "cause": record.cause,
    }


def check_facts(record: JobRecord) -> dict[str, Any] | None:
    """How far the checks of a job's maps are, and what they cost; None if none is checked."""
    if "checks" not in record.fields:
        return None
    unchecked = record.count("unchecked")
    return {
        "maps": record.count("checks"),
        "done": record.count("check:done"),
        "unchecked": unchecked,
        "seconds": record.count("check:ms") / 1000,
    }


def node_facts(connection: Connection, secret: Sequence[str]) -> list[dict[str, Any]]:
    """Each node that was seen and is not forgotten, and how it fared. ``secret``: fingerprints of it here."""
    return [
        {
            "node": node.name,
            "state": node.state,
            "host": node.about.get("host", ""),
            "max_workers": len(node.slots),
            "job_ok": int(node.about.get("done", 0)),
            "data_error": int(node.about.get("data_error", 0)),
            "error": int(node.about.get("error", 0)),
            "lost": int(node.about.get("lost", 0)),
            "blacklisted": node.blacklisted,
            "draining": node.draining,
            "closed": node.closed,
            "misfit": misfit(secret, node.about.get("secret")) if node.slots else "",
            "labels": node.labels,
        }
        for node in ViewStore(connection).cluster().nodes
    ]


def describe_death(name: str, cause: Mapping[str, Any] | None) -> str:
    """Why a job is dead: one line that names task, attempt, node and error; the user's traceback below it.

    An interpreter shows it on a terminal as it is, so it moves nothing there.
    """
    cause = cause or {"message": "the cause was not told"}
    where = ""
    if cause.get("task"):
        where = f"{cause['task']}, attempt {cause['attempt']} on {cause['node']}: "
    lines = [f"job {name} is dead: {where}{cause['message']}"]
    earlier = [failure for failure in cause.get("failures", []) if failure["attempt"] != cause["attempt"]]
    lines += [f"  before, attempt {f['attempt']} on {f['node']}: {f['message']}" for f in earlier]
    if cause.get("traceback"):
        lines.append(cause["traceback"].rstrip())
    return escaped("\n".join(lines))
