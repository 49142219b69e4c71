"""What the master sees of the cluster: jobs, nodes, leases, and the control stream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple, cast, get_args

import msgpack

from disco_rq.model import PHASES, JobSpec, TaskId
from disco_rq.outputs.addresses import preferred_node
from disco_rq.planning.labels import Labels, labels_of
from disco_rq.store import keys, unreadable
from disco_rq.store.attempts import add_event, unpack_input
from disco_rq.store.clock import server_ms
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import PROCESS_ENDED, closed_nodes, live_slots, node_names
from disco_rq.store.taskstate import Lease, TaskState, attempt_field, task_of

SAMPLE = 50
"""As many durations of a phase tell a new master how long its tasks take."""


TaskEventKind = Literal["done", "failed", "unclaimed", "refused", "lost"]


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """What the control stream says of a job or a node. Empty where a kind has no such field."""

    kind: str  # submitted, changed (paused or resumed, or it is to be read again), ended, forgotten, nodes
    job: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """What the control stream says of an attempt of a task."""

    kind: TaskEventKind
    job: str
    task: TaskId
    attempt: int
    node: str = ""
    duration_ms: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """An active job, whole, as a new master finds it."""

    spec: JobSpec
    submitted_ms: int
    owner: str
    paused: bool
    tasks: Mapping[TaskId, TaskState]  # without those never tried
    failures: Mapping[TaskId, Sequence[Mapping[str, Any]]]
    preferred: Mapping[int, str]  # index of a map -> node that has its input
    # Second attempts of tasks that lag; waiting: ended, the number is taken.
    copies: Mapping[TaskId, TaskState]
    pilot: frozenset[int] | None  # the maps of its pilot that are not done; None: it has none, or it is over
    durations_s: Mapping[TaskId, float]  # task -> of some that are done


class ExpiredLease(NamedTuple):
    lease: Lease
    process_ended: bool  # so its node told, which saw it


class NodesTold(NamedTuple):
    labels: dict[str, Labels]  # of those that have some
    apart: dict[str, str]  # why what this master puts into its queue is not found; of older nodes unknown


class ClusterStore:
    """Reads for the master."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis
        self._lives = self._uptime_s = 0

    def silent_for_s(self) -> float:
        """How long ago it was that the server took nothing: it was away, another one, or full."""
        return self._connection.silent_for_s

    def now_ms(self) -> int:
        return server_ms(self._connection)

    # -- the control stream

    def control_end(self) -> str:
        """The id after which new events come."""
        last: Any = self._redis.xrevrange(keys.CONTROL, count=1)
        return last[0][0].decode() if last else "0-0"

    def read_control(self, after: str, block_ms: int) -> tuple[str, list[ControlEvent | TaskEvent]]:
        """Events after an id, oldest first; waits for the first one. Returns the new id with them."""
        answer: Any = self._redis.xread({keys.CONTROL: after}, count=1000, block=block_ms)
        if not answer:
            return after, []
        entries = answer[0][1] if isinstance(answer, list) else answer[keys.CONTROL.encode()][0]
        told = unreadable.readable("what the control stream tells,", entries, _control_events)
        events = [event for some in told for event in some]
        return entries[-1][0].decode(), events

    # -- jobs and nodes

    def active_jobs(self) -> set[str]:
        members: Any = self._redis.smembers(keys.ACTIVE)
        return set(unreadable.names("active job", members))

    def known_jobs(self) -> set[str]:
        """Every job that was submitted, and not cleaned or purged since."""
        members: Any = self._redis.zrange(keys.JOBS, 0, -1)
        return set(unreadable.names("job", members))

    def snapshot(self, job_name: str) -> JobSnapshot | None:
        """An active job, read in one transaction; None if it has ended or gone.

        Raises one of ``UNREADABLE`` if there is something in it that this version does not understand.
        """
        job = keys.JobKeys(job_name)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hmget(job.job, "status", "submitted", "paused", "owner")
        pipe.get(job.spec)
        pipe.hgetall(job.tasks)
        pipe.hgetall(job.failures)
        pipe.hgetall(job.copies)
        pipe.smembers(job.pilot)
        found = pipe.execute(raise_on_error=False)
        for answer in found:
            if unreadable.is_wrong_type(answer):
                raise ValueError("one of its keys is of another type")
            if isinstance(answer, Exception):
                raise answer
        (status, submitted, paused, owner), spec_data, tasks, failures, copies, pilot = found
        if status != b"active" or spec_data is None:
            return None
        spec = JobSpec.from_dict(msgpack.unpackb(spec_data))
        states = {task_of(task): TaskState.parse(state) for task, state in tasks.items()}
        return JobSnapshot(
            spec=spec,
            submitted_ms=int(submitted),
            owner=(owner or b"").decode("utf-8", "replace"),
            paused=paused == b"1",
            tasks=states,
            failures={task_of(task): json.loads(listed) for task, listed in failures.items()},
            preferred=_preferred(self._connection, job) if spec.details.get("on_nodes") else {},
            pilot=frozenset(task_of(task).index for task in pilot) or None,
            copies={task_of(task): TaskState.parse(state) for task, state in copies.items()},
            durations_s=self._durations_s(job, states),
        )

    def _durations_s(self, job: keys.JobKeys, states: Mapping[TaskId, TaskState]) -> dict[TaskId, float]:
        """How long some tasks took that are done: a sample of each phase, first come."""
        asked: list[TaskId] = []
        for phase in (*PHASES, "check"):
            done = (task for task, state in states.items() if state.state == "done" and task.phase == phase)
            asked += islice(done, SAMPLE)
        if not asked:
            return {}
        fields = [attempt_field(task, states[task].attempt) for task in asked]
        records: Any = self._redis.hmget(job.attempts, fields)
        told = {task: json.loads(record) for task, record in zip(asked, records, strict=True) if record}
        return {task: (record["ended"] - record["started"]) / 1000 for task, record in told.items()}

    def partition_sizes(self, job_name: str) -> dict[int, int]:
        return partition_sizes(self._connection, job_name)

    def slots(self, now_ms: int, *, forget: bool = True) -> dict[str, int]:
        """Node -> workers that are alive. Forgets the dead ones; without ``forget`` they count as well."""
        if forget:
            self._redis.zremrangebyscore(keys.SLOTS, "-inf", now_ms)
        return live_slots(self._connection, now_ms if forget else 0)

    def nodes(self) -> list[str]:
        """Every node that was seen and is not forgotten."""
        return node_names(self._connection)

    def steered(self) -> tuple[set[str], set[str]]:
        """The nodes that people have blacklisted, and those that are to drain."""
        members: list[Any] = [self._redis.smembers(key) for key in (keys.BLACKLIST, keys.DRAINING)]
        blacklisted, draining = (set(unreadable.names("steered node", found)) for found in members)
        return blacklisted, draining

    def closed(self) -> dict[str, str]:
        """Node -> why it takes no tasks now, as it said itself."""
        return closed_nodes(self._connection)

    def told(self, nodes: Sequence[str]) -> NodesTold:
        """What these nodes have told of themselves that a master has to know."""
        pipe = self._redis.pipeline(transaction=False)
        for node in nodes:
            pipe.hmget(keys.node(node), "labels", "rq_prefix")
        told = NodesTold({}, {})
        for node, answer in zip(nodes, unreadable.answers(pipe) if nodes else [], strict=True):
            record, prefix = answer or (None, None)
            labels = record and unreadable.read(f"the labels of node {node},", record, labels_of)
            if labels:
                told.labels[node] = labels
            if prefix and (theirs := prefix.decode("utf-8", "replace")) != keys.rq_keys():
                told.apart[node] = (
                    f"its keys of RQ begin with {theirs}, the master's with {keys.rq_keys()} (RQ_KEY_PREFIX)"
                )
        return told

    def event(self, job_name: str, text: str) -> None:
        """A line of the master's in a job's history."""
        unreadable.answer(lambda: add_event(self._connection, job_name, "master", text))

    def server(self) -> tuple[str, int]:
        """(run id, seconds since its start) of the server: with a new id it may have lost a second."""
        info: Any = self._redis.info("server")
        uptime_s = int(info["uptime_in_seconds"])
        self._lives += uptime_s < self._uptime_s
        self._uptime_s = uptime_s
        # Dragonfly tells no run id: there its life counts, as far as was seen.
        return info.get("run_id") or f"life {self._lives}", uptime_s

    def expired_leases(self, now_ms: int) -> list[ExpiredLease]:
        """The attempts whose lease has run out, or whose worker's end was told.

        What is no lease goes: it would stand before those that are.
        """
        members: Any = self._redis.zrangebyscore(
            keys.LEASES, "-inf", now_ms, start=0, num=1000, withscores=True
        )
        expired = []
        for member, score in members:
            lease = unreadable.read("lease", member, Lease.parse)
            if lease is None:
                self._redis.zrem(keys.LEASES, member)
            else:
                expired.append(ExpiredLease(lease, score == PROCESS_ENDED))
        return expired

    def task_state(self, job_name: str, task: TaskId, attempt: int | None = None) -> TaskState | None:
        """The state of a task, or of that attempt of it while it is the task's own or its copy."""
        [states] = self.states([(job_name, task)])
        if attempt is None:
            return states[0]
        return next((state for state in states if state and state.attempt == attempt), None)

    def states(self, tasks: Sequence[tuple[str, TaskId]]) -> list[tuple[TaskState | None, TaskState | None]]:
        """Of each (job, task) its state, and that of its copy, in one round trip."""
        pipe = self._redis.pipeline(transaction=True)
        for job_name, task in tasks:
            job = keys.JobKeys(job_name)
            pipe.hget(job.tasks, str(task))
            pipe.hget(job.copies, str(task))
        texts = unreadable.answers(pipe)
        found = [unreadable.read("task", text, TaskState.parse) if text else None for text in texts]
        return list(zip(found[::2], found[1::2], strict=True))


def partition_sizes(connection: Connection, job_name: str) -> dict[int, int]:
    """Partition -> bytes that the committed maps wrote for it so far; those with none are left out."""
    key = keys.JobKeys(job_name).partitions
    found: Any = unreadable.answer(lambda: connection.redis.hgetall(key)) or {}
    return dict(
        unreadable.readable("size of a partition", found.items(), lambda one: (int(one[0]), int(one[1])))
    )


def _control_events(entry: tuple[bytes, Mapping[bytes, bytes]]) -> Sequence[ControlEvent | TaskEvent]:
    """What one entry of the stream tells: several tasks at once where a batch of them was committed.

    Where a job has tasks of which it cannot be read what became of them, the job is to be read again.
    """
    _, fields = entry
    kind = fields[b"k"].decode()
    job, node = fields.get(b"j", b"").decode(), fields.get(b"n", b"").decode()
    if kind not in get_args(TaskEventKind):
        return [ControlEvent(kind, job, node)]
    try:
        return _task_events(cast("TaskEventKind", kind), job, node, fields)
    except unreadable.UNREADABLE as error:
        unreadable.leave_out("what the control stream tells,", entry, error)
        return [ControlEvent("changed", job)]


def _task_events(
    kind: TaskEventKind, job: str, node: str, fields: Mapping[bytes, bytes]
) -> Sequence[TaskEvent]:
    tasks, attempts = fields[b"t"].split(b" "), fields[b"a"].split(b" ")
    durations = fields[b"ms"].split(b" ") if b"ms" in fields else [b"0"] * len(tasks)
    why = fields.get(b"w", b"").decode("utf-8", "replace")
    return [
        TaskEvent(kind, job, task_of(task), int(attempt), node, int(duration_ms), why)
        for task, attempt, duration_ms in zip(tasks, attempts, durations, strict=True)
    ]


def _preferred(connection: Connection, job: keys.JobKeys) -> dict[int, str]:
    """Index of a map -> the node that has its input."""
    preferred = {}
    inputs: Any = connection.redis.hgetall(job.inputs)
    for index, packed in inputs.items():
        nodes = [preferred_node(url) for url in unpack_input(packed).urls()]
        if nodes[0] is not None:
            preferred[int(index)] = nodes[0]
    return preferred
