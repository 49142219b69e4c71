"""The cluster and its jobs as the web page shows them: from counters, never by a look at each task."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from redis.exceptions import NoPermissionError, ResponseError

from disco_rq.errors import UnknownJob
from disco_rq.model import NODE_NAME, PHASES, TaskId
from disco_rq.planning.labels import Labels, labels_of
from disco_rq.planning.owners import Portions, portions_of
from disco_rq.store import keys, unreadable
from disco_rq.store.attempts import LEASE_MS
from disco_rq.store.clock import ms_of, server_ms
from disco_rq.store.cluster import partition_sizes
from disco_rq.store.connection import Connection
from disco_rq.store.deaths import cause_of
from disco_rq.store.nodes import SUSPENDED, about_of, closed_of, has_left, is_suspended, node_names
from disco_rq.store.taskstate import Lease, Slot, TaskState, task_of

MOST_LEASES = 5_000
"""What a cluster runs is looked up for so many attempts; beyond, slots may look idle that are not."""
NodeState = Literal["alive", "closed", "draining", "drained", "blacklisted", "left", "gone"]

LIFE = re.compile(r"-[0-9a-f]{6}$")
"""Each life of a slot's worker has a word of its own behind the slot's name."""

STATUSES = {b"active", b"ready", b"dead"}
NOBODY = Portions()
HEAD_FIELDS = (
    *("status", "paused", "owner", "priority", "submitted", "ended", "nr_maps", "nr_reduces"),
    *(f"{phase}:{state}" for phase in PHASES for state in ("waiting", "running", "done", "failed")),
    *("check:waiting", "check:running", "check:done"),
)


def _portions(told: Mapping[bytes, bytes] | None) -> Portions:
    texts = unreadable.lines(told or {})
    shares, slots = texts.get("shares", ""), texts.get("slots", "")
    return unreadable.read("how slots are dealt,", shares, lambda _: portions_of(shares, slots)) or NOBODY


def slot_of(worker: str) -> str:
    """The name of a worker's slot: the same in all lives of the worker."""
    return LIFE.sub("", worker)


class Held(NamedTuple):
    """What a slot has claimed: a batch of a job's attempts, of which it runs one."""

    job: str
    first_task: TaskId
    tasks: int
    since_ms: int


class SlotView(NamedTuple):
    worker: str
    seen_ms: int  # when its last sign of life was
    held: Held | None


class NodeView(NamedTuple):
    name: str
    about: dict[str, str]
    slots: list[SlotView]  # alive
    blacklisted: bool
    draining: bool
    closed: str  # why it takes no tasks of its own accord; "" if it does, or is gone
    queued: int  # batches in its queue

    @property
    def labels(self) -> Labels:
        told = self.about.get("labels") or "{}"
        return unreadable.read(f"the labels of node {self.name},", told, labels_of) or {}

    @property
    def state(self) -> NodeState:
        """In one word: what keeps tasks from it, if anything does."""
        if not self.slots:
            return "left" if has_left(self.about) else "gone"
        if self.blacklisted:
            return "blacklisted"
        if self.draining:
            return "draining" if self.queued or any(slot.held for slot in self.slots) else "drained"
        return "closed" if self.closed else "alive"


class ClusterView(NamedTuple):
    now_ms: int
    master: str
    leads: bool
    nodes: list[NodeView]
    active: list[str]
    jobs: int
    suspended: bool  # by ``rq suspend``
    portions: Portions = NOBODY  # how the master deals slots among owners


class JobHead(NamedTuple):
    """A job's hash, or the part of it that lists show."""

    name: str
    fields: dict[str, str]

    @property
    def is_ready(self) -> bool:
        return self.fields["status"] == "ready"

    @property
    def is_dead(self) -> bool:
        return self.fields["status"] == "dead"

    def count(self, field: str) -> int:
        return unreadable.number(self.fields.get(field)) or 0

    def moment(self, field: str) -> int | None:
        return unreadable.number(self.fields.get(field))


class JobView(NamedTuple):
    head: JobHead
    now_ms: int
    counters: dict[str, int]
    nodes: list[str]
    oob: int
    last_event: str
    suspended: bool  # it is active, and no worker takes anything
    waits: str  # for what, if it cannot go on
    in_batches: dict[str, int]  # of each phase, tasks that a slot holds beside the one that it runs


class ViewStore:
    """Reads for the page. Methods raise ``UnknownJob`` where a job must be there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis

    # -- the cluster

    def cluster(self) -> ClusterView:
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        pipe.get(keys.MASTER)
        pipe.exists(keys.LEADER)
        pipe.smembers(keys.NODES)
        pipe.zrange(keys.SLOTS, 0, -1, withscores=True)
        pipe.smembers(keys.BLACKLIST)
        pipe.smembers(keys.DRAINING)
        pipe.zrange(keys.LEASES, 0, MOST_LEASES - 1)
        pipe.smembers(keys.ACTIVE)
        pipe.zcard(keys.JOBS)
        pipe.hgetall(keys.CLOSED)
        pipe.hgetall(keys.OWNERS)
        found = unreadable.answers(pipe)
        moment, master, leads, nodes, slots, black, draining, leases, active, jobs, causes, dealt = found
        suspended = is_suspended(self._redis)
        closed = closed_of(causes)
        now_ms, held = ms_of(moment), self._held(leases)
        alive: dict[str, list[SlotView]] = {}
        for member, lease_end in slots or ():
            slot = unreadable.read("slot", member, Slot.parse)
            if slot is not None and lease_end > now_ms:
                alive.setdefault(slot.node, []).append(
                    SlotView(slot.worker, int(lease_end) - LEASE_MS, held.get(slot))
                )
        known = {name for name in unreadable.names("node", nodes) if NODE_NAME.fullmatch(name)}
        names = sorted(known | alive.keys(), key=natural)
        for name in names:
            pipe.hgetall(keys.node(name))
            pipe.llen(keys.rq_list(name))
        of_nodes = unreadable.answers(pipe)
        shut = set(unreadable.names("node", black)), set(unreadable.names("node", draining))
        views = [
            NodeView(
                name=name,
                about=about_of(of_nodes[2 * i]),
                slots=sorted(alive.get(name, []), key=lambda slot: natural(slot.worker)),
                blacklisted=name in shut[0],
                draining=name in shut[1],
                closed=closed.get(name, SUSPENDED if suspended else "") if name in alive else "",
                queued=of_nodes[2 * i + 1] or 0,
            )
            for i, name in enumerate(names)
        ]
        active_names = sorted(unreadable.names("active job", active))
        address = master.decode("utf-8", "replace") if master else ""
        return ClusterView(
            now_ms, address, bool(leads), views, active_names, jobs or 0, suspended, _portions(dealt)
        )

    def waiting(self) -> dict[str, str]:
        """Active job -> what it waits for, of those that cannot go on, as the master that leads tells it.
        Empty for a user of Redis who may not look.
        """
        try:
            return unreadable.lines(unreadable.answer(lambda: self._redis.hgetall(keys.WAITING)))
        except NoPermissionError:
            return {}

    def _held(self, leases: Iterable[bytes] | None) -> dict[tuple[str, str], Held]:
        """(node, worker) -> what it has claimed."""
        tasks: dict[str, set[TaskId]] = {}
        for lease in unreadable.readable("lease", leases, Lease.parse):
            tasks.setdefault(lease.job, set()).add(lease.task)
        pipe = self._redis.pipeline(transaction=False)
        asked = [(job, sorted(wanted)) for job, wanted in tasks.items()]
        for job, wanted in asked:
            fields = list(map(str, wanted))
            pipe.hmget(keys.JobKeys(job).tasks, fields)
            pipe.hmget(keys.JobKeys(job).copies, fields)
        states = unreadable.answers(pipe) if asked else []
        held: dict[tuple[str, str], Held] = {}
        for i, (job, wanted) in enumerate(asked):
            for task, text in [
                *zip(wanted, states[2 * i] or (), strict=False),
                *zip(wanted, states[2 * i + 1] or (), strict=False),
            ]:
                state = unreadable.read("task", text, TaskState.parse) if text else None
                if state is None or state.state != "running":
                    continue
                place = state.node, state.worker
                before = held.get(place)
                held[place] = (
                    before._replace(tasks=before.tasks + 1) if before else Held(job, task, 1, state.since_ms)
                )
        return held

    def node_names(self) -> set[str]:
        """Every node that was seen and is not forgotten."""
        return set(node_names(self._connection))

    def totals(self) -> dict[str, int]:
        """What was counted since the cluster began."""
        found: Any = unreadable.answer(lambda: self._redis.hgetall(keys.TOTALS))
        return _numbers("total", found)

    def pilot_left(self, name: str) -> int:
        """How many maps of a job's pilot are not done; 0: it has none, or it is over."""
        left: Any = unreadable.answer(lambda: self._redis.scard(keys.JobKeys(name).pilot))
        return left or 0

    def default_user(self) -> Mapping[str, Any] | None:
        """What ACL GETUSER tells of the user ``default``; None where this one may not look, or no ACL is."""
        try:
            found: Any = self._redis.acl_getuser("default")
        except ResponseError:
            return None
        return dict(found)

    def round_trip_s(self) -> float:
        """How long Redis takes to answer nothing."""
        began = time.perf_counter()
        self._redis.ping()
        return time.perf_counter() - began

    def memory(self) -> tuple[int, int]:
        """Bytes that Redis holds, and its ``maxmemory``; 0: it has none."""
        info: Any = self._redis.info("memory")
        return int(info["used_memory"]), int(info["maxmemory"])

    # -- jobs

    def job_names(self, first: int, last: int) -> list[str]:
        """From the newest (0) on, both ends included."""
        found: Any = unreadable.answer(lambda: self._redis.zrange(keys.JOBS, first, last, desc=True))
        return unreadable.names("job", found)

    def nr_jobs(self) -> int:
        return int(unreadable.answer(lambda: self._redis.zcard(keys.JOBS)) or 0)

    def heads(self, names: Sequence[str]) -> list[JobHead]:
        """The heads of those jobs that are there, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hmget(keys.JobKeys(name).job, HEAD_FIELDS)
        heads = []
        for name, values in zip(names, unreadable.answers(pipe) if names else [], strict=True):
            if values is not None and values[0] in STATUSES:
                kept = [pair for pair in zip(HEAD_FIELDS, values, strict=True) if pair[1] is not None]
                fields = {field: value.decode("utf-8", "replace") for field, value in kept}
                heads.append(JobHead(name, fields))
        return heads

    def causes(self, names: Sequence[str]) -> dict[str, str]:
        """Why jobs died, of those that did: the message alone."""
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hget(keys.JobKeys(name).job, "cause")
        told = zip(names, unreadable.answers(pipe) if names else [], strict=True)
        found = {name: cause_of({"cause": text.decode("utf-8", "replace")}) for name, text in told if text}
        return {name: str(cause["message"]) for name, cause in found.items() if cause}

    def ended_before(self, age_s: float) -> list[str]:
        """The jobs that ended so long ago, by the server's clock; those submitted first come first."""
        latest = server_ms(self._connection) - int(age_s * 1000)
        # Submitted before that, too.
        found: Any = unreadable.answer(lambda: self._redis.zrangebyscore(keys.JOBS, "-inf", latest))
        names = unreadable.names("job", found)
        heads = [
            head for first in range(0, len(names), 1000) for head in self.heads(names[first : first + 1000])
        ]
        return [head.name for head in heads if (head.moment("ended") or latest + 1) <= latest]

    def head(self, name: str) -> JobHead:
        found = self.heads([name])
        if not found:
            raise UnknownJob(f"unknown job {name!r}")
        return found[0]

    def job(self, name: str) -> JobView:
        job = keys.JobKeys(name)
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        pipe.hgetall(job.job)
        pipe.hgetall(job.counters)
        pipe.smembers(job.nodes)
        pipe.hlen(job.oob)
        pipe.xrevrange(job.events, count=1)
        pipe.hget(keys.WAITING, name)
        moment, fields, counters, nodes, oob, last, waits = unreadable.answers(pipe)
        if not fields or fields.get(b"status") not in STATUSES:
            raise UnknownJob(f"unknown job {name!r}")
        head = JobHead(name, unreadable.lines(fields))
        runs = not head.is_ready and not head.is_dead and any(head.count(f"{it}:running") for it in PHASES)
        return JobView(
            head=head,
            now_ms=ms_of(moment),
            counters=dict(sorted(_numbers("counter", counters).items())),
            nodes=sorted(unreadable.names("node", nodes), key=natural),
            oob=oob or 0,
            last_event=last[0][0].decode() if last else "0-0",
            suspended=fields[b"status"] == b"active" and is_suspended(self._redis),
            waits=waits.decode("utf-8", "replace") if waits and fields[b"status"] == b"active" else "",
            in_batches=self._in_batches(name) if runs else {},
        )

    def _in_batches(self, name: str) -> dict[str, int]:
        leases: Any = unreadable.answer(lambda: self._redis.zrange(keys.LEASES, 0, MOST_LEASES - 1))
        mine = f"{name} ".encode()
        found: dict[str, int] = {}
        for held in self._held([lease for lease in leases or () if lease.startswith(mine)]).values():
            phase = held.first_task.phase
            found[phase] = found.get(phase, 0) + held.tasks - 1
        return found

    def partitions(self, name: str) -> dict[int, int]:
        return partition_sizes(self._connection, name)

    def failures(
        self, name: str, most: int, most_bytes: int
    ) -> tuple[dict[TaskId, list[dict[str, Any]]], bool]:
        """Task -> its failures, oldest first, of at most about so many tasks, that take about so many bytes
        as they are kept; and whether there are more.
        """
        key = keys.JobKeys(name).failures
        found: dict[TaskId, list[dict[str, Any]]] = {}
        cursor: Any = 0
        read_bytes = 0
        while len(found) < most and read_bytes < most_bytes:
            scanned: Any = unreadable.answer(partial(self._redis.hscan, key, cursor, count=1000))
            cursor, batch = scanned or (0, {})
            read_bytes += sum(map(len, batch.values()))
            found |= dict(unreadable.readable("failure", batch.items(), _failures_of))
            if not cursor:
                return found, False
        return found, True


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts ``n2`` before ``n10``."""
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", text))


def _numbers(what: str, fields: dict[bytes, bytes] | None) -> dict[str, int]:
    return dict(
        unreadable.readable(what, unreadable.lines(fields).items(), lambda one: (one[0], int(one[1])))
    )


def _failures_of(entry: tuple[bytes, bytes]) -> tuple[TaskId, list[dict[str, Any]]]:
    task, listed = entry
    return task_of(task), json.loads(listed)
