"""What a client asks and tells about jobs."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgpack
from redis.client import Pipeline

from disco_rq.errors import JobError, NoMaster, OOBNotFound, RedisFull, UnknownJob
from disco_rq.model import JobSpec, JobStatus, MapInput
from disco_rq.store import keys
from disco_rq.store.attempts import pack_input, read_oob, unpack_input
from disco_rq.store.connection import MAX_BLOCK_S, Connection
from disco_rq.store.taskstate import Lease, TaskState

log = logging.getLogger("disco_rq.store")

MAX_BLOCK_MS = int(MAX_BLOCK_S * 1000)
MASTER_PATIENCE_S = 12.0
"""For how long a submit waits for a master: one lease, so that a take-over is not noticed."""
MASTER_SILENCE_S = 0.5
"""For how long it says nothing of that."""


_HANDED_BACK: dict[str, Any] = {
    "node": "",
    "worker": "",
    "started": None,
    "ended": None,
    "outcome": "release",
    "error": "handed back before it began",
}


class Event(NamedTuple):
    """A line of a job's history. ``timestamp``: seconds since 1970, of the Redis server."""

    offset: str
    timestamp: float
    host: str
    message: str
    by_job: bool  # a message of the job itself, not of the system


class JobRecord(NamedTuple):
    """A job's hash, decoded: its numbers as they are in Redis, and its counts."""

    status: JobStatus
    fields: dict[str, str]

    def count(self, name: str) -> int:
        return int(self.fields.get(name, 0))

    def phase(self, phase: str) -> list[int]:
        """``[waiting, running, done, failed]``."""
        return [self.count(f"{phase}:{state}") for state in ("waiting", "running", "done", "failed")]

    @property
    def cause(self) -> dict[str, Any] | None:
        return json.loads(self.fields["cause"]) if "cause" in self.fields else None


class JobStore:
    """Submit jobs, read them, end and forget them. Methods raise ``UnknownJob`` where a job must be there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis

    def submit(self, spec: JobSpec, pack: bytes, inputs: Sequence[MapInput]) -> bool:
        """Make the job exist, in one transition. False: the name is taken. Raises ``NoMaster``."""
        job = keys.JobKeys(spec.name)
        # The server's own msgpack knows the format's older strings only.
        packed_inputs = msgpack.packb([pack_input(entry) for entry in inputs], use_bin_type=False)
        reduces = spec.nr_reduces if spec.has_reduce else 0
        script_keys = [
            keys.LEADER,
            keys.JOBS,
            keys.ACTIVE,
            keys.CONTROL,
            job.job,
            job.spec,
            job.pack,
            job.inputs,
        ]
        args: list[Any] = [
            spec.name,
            msgpack.packb(spec.to_dict()),
            pack,
            spec.owner,
            spec.priority,
            spec.nr_maps,
            reduces,
        ]
        args += [packed_inputs, int(not inputs), secrets.token_hex(8)]
        args.append("" if spec.gc_after is None else spec.gc_after)
        began, told = time.monotonic(), False
        none_leads = f"no master leads the cluster at {self._connection.address}"
        while True:
            answer = self._connection.run("submit_job", [*script_keys, job.events], args, copied=True)
            if answer != b"nomaster":
                return bool(answer == b"ok")
            waited_s = time.monotonic() - began
            if waited_s > MASTER_PATIENCE_S:
                raise NoMaster(f"{none_leads}: start 'disco-rq master'")
            if waited_s > MASTER_SILENCE_S and not told:
                told = True
                about = {"action": "wait"}
                log.warning("%s: waiting up to %.0f s for one", none_leads, MASTER_PATIENCE_S, extra=about)
            time.sleep(0.05)

    def record(self, name: str) -> JobRecord:
        fields: Any = self._redis.hgetall(keys.JobKeys(name).job)
        if not fields:
            raise UnknownJob(f"unknown job {name!r}")
        decoded = {field.decode(): value.decode() for field, value in fields.items()}
        return JobRecord(decoded["status"], decoded)

    def statuses(self, names: Iterable[str]) -> list[JobStatus | None]:
        """The status of each job, None for an unknown one, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hget(keys.JobKeys(name).job, "status")
        return [status.decode() if status else None for status in pipe.execute()]

    def spec(self, name: str) -> JobSpec:
        packed: Any = self._redis.get(keys.JobKeys(name).spec)
        if packed is None:
            raise UnknownJob(f"unknown job {name!r}")
        return JobSpec.from_dict(msgpack.unpackb(packed))

    def outputs(self, name: str) -> dict[str, str]:
        """Task -> address of its committed output."""
        outputs: Any = self._redis.hgetall(keys.JobKeys(name).outputs)
        return {task.decode(): address.decode() for task, address in outputs.items()}

    def inputs(self, name: str, most: int) -> list[MapInput]:
        """The first inputs, in order."""
        packed: Any = self._redis.hmget(keys.JobKeys(name).inputs, [str(i) for i in range(most)])
        return [unpack_input(entry) for entry in packed if entry is not None]

    def job_list(self, most: int = -1) -> list[tuple[str, float]]:
        """(name, seconds since 1970 of its submission), newest first."""
        entries: Any = self._redis.zrange(keys.JOBS, 0, most, desc=True, withscores=True)
        return [(name.decode(), score / 1000) for name, score in entries]

    def counters(self, name: str) -> dict[str, int]:
        counters: Any = self._redis.hgetall(keys.JobKeys(name).counters)
        return {counter.decode(): int(value) for counter, value in counters.items()}

    def nodes(self, name: str) -> list[str]:
        """The nodes that ran tasks of the job, sorted."""
        members: Any = self._redis.smembers(keys.JobKeys(name).nodes)
        return sorted(member.decode() for member in members)

    def attempts(self, name: str) -> dict[str, dict[str, Any]]:
        """Attempt (``map:3/1``) -> how it ended."""
        attempts: Any = self._redis.hgetall(keys.JobKeys(name).attempts)
        return {attempt.decode(): json.loads(record) for attempt, record in attempts.items()}

    def story(self, name: str, task: str) -> list[dict[str, Any]]:
        """The attempts of a task, oldest first, each as it ended, or as it is.

        Of those that were handed back from a queue, before they began, nothing is recorded but their number.
        """
        job = keys.JobKeys(name)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(job.tasks, task)
        pipe.hget(job.copies, task)
        pipe.hget(job.job, "status")
        *found, status = pipe.execute()
        states = [TaskState.parse(state) for state in found if state]
        numbers = range(1, max((state.attempt for state in states), default=0) + 1)
        ended: Any = self._redis.hmget(job.attempts, [f"{task}/{n}" for n in numbers]) if numbers else []
        told = [
            {"attempt": n, **(json.loads(record) if record else _HANDED_BACK)}
            for n, record in zip(numbers, ended, strict=True)
        ]
        for it in states:
            if it.state in ("queued", "running") and ended[it.attempt - 1] is None:
                told[it.attempt - 1] = {
                    "attempt": it.attempt,
                    "node": it.node,
                    "worker": "" if it.worker == "-" else it.worker,
                    "started": it.since_ms if it.state == "running" else None,
                    "ended": None,
                    "outcome": "stopped" if it.state == "queued" and status != b"active" else it.state,
                }
        return told

    # -- history

    def events(self, name: str, after: str = "0-0", most: int | None = None) -> list[Event]:
        entries: Any = self._redis.xrange(keys.JobKeys(name).events, min=f"({after}", count=most)
        return [event_of(entry) for entry in entries]

    def last_event(self, name: str) -> Event | None:
        entries: Any = self._redis.xrevrange(keys.JobKeys(name).events, count=1)
        return event_of(entries[0]) if entries else None

    def wait_events(self, after: dict[str, str], block_ms: int) -> dict[str, list[Event]]:
        """Wait for new lines in the histories of several jobs; job -> its lines.

        Empty when none came in time, or in the longest time that one answer may take: look again then.
        """
        streams: Any = {keys.JobKeys(name).events: offset for name, offset in after.items()}
        names = {keys.JobKeys(name).events: name for name in after}
        answer: Any = self._redis.xread(streams, block=max(1, min(block_ms, MAX_BLOCK_MS))) or {}
        found = answer.items() if isinstance(answer, dict) else answer
        events = {}
        for stream, entries in found:
            batch = entries[0] if isinstance(answer, dict) else entries
            events[names[stream.decode()]] = [event_of(entry) for entry in batch]
        return events

    # -- OOB results

    def oob_list(self, name: str) -> list[str]:
        """The committed keys, sorted. Raises ``OOBNotFound`` for an unknown job."""
        self._known(name)
        found: Any = self._redis.hkeys(keys.JobKeys(name).oob)
        return sorted(key.decode() for key in found)

    def oob_get(self, name: str, key: str) -> Any:
        """A committed result. Raises ``OOBNotFound`` for an unknown job or key."""
        self._known(name)
        try:
            return read_oob(self._connection, name, key)
        except KeyError:
            raise OOBNotFound(f"job {name} has no OOB result {key!r}") from None

    def _known(self, name: str) -> None:
        if not self._redis.exists(keys.JobKeys(name).job):
            raise OOBNotFound(f"unknown job {name!r}")

    # -- steering

    def set_paused(self, name: str, paused: bool) -> None:
        """Hold new tasks back, or no more. Raises ``UnknownJob``; ``JobError`` if the job has ended."""
        job = keys.JobKeys(name)
        told = "Job is paused: nothing new starts" if paused else "Job goes on"

        def change(pipe: Pipeline) -> None:
            status: Any = pipe.hget(job.job, "status")
            if status is None:
                raise UnknownJob(f"unknown job {name!r}")
            if status != b"active":
                raise JobError(f"job {name} has ended: it is {status.decode()}")
            pipe.multi()
            pipe.hset(job.job, "paused", int(paused))
            pipe.xadd(keys.CONTROL, {"k": "changed", "j": name})
            event: Any = {"h": "client", "k": "sys", "m": told}
            pipe.xadd(job.events, event, maxlen=10_000, approximate=True)

        # So that it never brings back a job that is forgotten meanwhile.
        self._redis.transaction(change, job.job)

    def running(self) -> list[dict[str, Any]]:
        """The attempts that run now: job, task, attempt."""
        members: Any = self._redis.zrange(keys.LEASES, 0, -1)
        return [Lease.parse(member)._asdict() for member in members]

    # -- the end

    def kill(self, name: str, why: str) -> str:
        """End an active job. Returns the status that it had, ``""`` for an unknown one."""
        job = keys.JobKeys(name)
        cause = json.dumps({"message": why, "task": "", "node": "", "attempt": 0, "traceback": "", "url": ""})
        answer: bytes = self._connection.run(
            "kill_job",
            [job.job, keys.ACTIVE, keys.CONTROL, job.events],
            [name, cause, f"Job is dead. {why}"],
            copied=True,
        )
        return answer.decode()

    def forget(self, name: str) -> None:
        """Delete every record of an ended job. Idempotent."""
        job = keys.JobKeys(name)
        # The job's own hash goes first: without it no attempt can be claimed any more, so those that may have
        # staged results are the ones that run now; and once the tasks are gone nothing can be committed or
        # put.
        self._redis.delete(job.job)
        tasks: Any = self._redis.hgetall(job.tasks)
        copies: Any = self._redis.hgetall(job.copies)
        states = [
            (task.decode(), TaskState.parse(state))
            for attempts in (tasks, copies)
            for task, state in attempts.items()
        ]
        running = [Lease(name, task, state.attempt) for task, state in states if state.state == "running"]
        staged = [job.staged(lease.task) for lease in running]
        pipe = self._redis.pipeline(transaction=True)
        pipe.unlink(job.tasks, *staged)
        pipe.unlink(*job.records())
        pipe.zrem(keys.JOBS, name)
        pipe.zrem(keys.LEASES, name, *(lease.member for lease in running))
        pipe.execute()
        # Not in the transaction, which a full server would refuse for it: the deletion is what makes room.
        # Without the event RQ's own records of the job stay until they expire.
        with contextlib.suppress(RedisFull):
            self._redis.xadd(keys.CONTROL, {"k": "forgotten", "j": name})

    def purge(self, name: str) -> list[str]:
        """End a job, delete its records, and ask the nodes, which are returned, for its files."""
        self.kill(name, "it was purged")
        try:
            asked = self.ask_purge(name)  # first, so that no file is left without a record of what to do
        except RedisFull:
            # The job has ended: all but what leads to its results, files and other records makes room.
            job = keys.JobKeys(name)
            needed = {job.job, job.nodes, job.tasks, job.copies, job.outputs}
            self._redis.unlink(*(key for key in job.records() if key not in needed))
            asked = self.ask_purge(name)
        self.forget(name)
        with contextlib.suppress(RedisFull):
            self.wake_nodes(asked)
        return asked

    def overdue(self, gc_after_s: float | None) -> list[str]:
        """The jobs that ended longer ago than their own ``gc_after``, or than the cluster's."""
        seconds, _ = self._redis.time()
        listed = [name for name, _ in self.job_list()]
        pipe = self._redis.pipeline(transaction=False)
        for name in listed:
            pipe.hmget(keys.JobKeys(name).job, "ended", "gc_after")
        answer = []
        for name, (ended, own) in zip(listed, pipe.execute(), strict=True):
            patience_s = float(own) if own else gc_after_s
            if ended and patience_s is not None and int(seconds) - int(ended) / 1000 > patience_s:
                answer.append(name)
        return answer

    def half_forgotten(self) -> list[str]:
        """The jobs that are listed and have no record: whoever forgot them was killed in the middle."""
        listed = [name for name, _ in self.job_list()]
        pipe = self._redis.pipeline(transaction=False)
        for name in listed:
            pipe.exists(keys.JobKeys(name).job)
        return [name for name, exists in zip(listed, pipe.execute(), strict=True) if not exists]

    def ask_purge(self, name: str) -> list[str]:
        """Note for every node that has files of an ended job that it is to delete them. Returns the nodes.

        For a job of which nothing is known, it may have been cleaned, that is every node.
        """
        job = keys.JobKeys(name)
        pipe = self._redis.pipeline(transaction=True)
        pipe.exists(job.job)
        pipe.smembers(job.nodes)
        pipe.smembers(keys.NODES)
        is_known, of_job, every = pipe.execute()
        # Not every node: one that is away for good would be asked for ever more. Nor one that was forgotten.
        nodes = sorted(member.decode() for member in (of_job & every if is_known else every))
        pipe = self._redis.pipeline(transaction=True)
        for node in nodes:
            pipe.sadd(keys.purges(node), name)
        pipe.execute()
        return nodes

    def wake_nodes(self, nodes: Sequence[str]) -> None:
        """Let the nodes look for what they are asked at once, not only with their next lease."""
        pipe = self._redis.pipeline(transaction=True)
        for node in nodes:
            pipe.rpush(keys.wake(node), "purge")
            pipe.expire(keys.wake(node), 60)
        pipe.execute()

    def purge_done(self, name: str, nodes: Sequence[str]) -> bool:
        """True when those nodes have deleted the files of the job."""
        pipe = self._redis.pipeline(transaction=False)
        for node in nodes:
            pipe.sismember(keys.purges(node), name)
        return not any(pipe.execute())


def event_of(entry: tuple[bytes, dict[bytes, bytes]]) -> Event:
    """A line of a job's history as Redis tells it."""
    offset, fields = entry
    return Event(
        offset=offset.decode(),
        timestamp=int(offset.partition(b"-")[0]) / 1000,
        host=fields[b"h"].decode(),
        message=fields[b"m"].decode("utf-8", "replace"),
        by_job=fields[b"k"] == b"msg",
    )
