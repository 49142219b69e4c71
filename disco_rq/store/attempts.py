"""What a worker tells Redis about the attempts that it runs."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple

import msgpack

from disco_rq.model import (
    LEASE_S,
    MSG_QUOTA,
    OOB_BYTES,
    OOB_KEY,
    OOB_QUOTA,
    JobSpec,
    MapInput,
    StageResult,
    TaskId,
    readable,
)
from disco_rq.oobvalues import untyped
from disco_rq.packing.signing import TASK_SIGNATURE_BYTES, TaskSeal
from disco_rq.records.digest import changed_partitions
from disco_rq.store import keys
from disco_rq.store.connection import HISTORY, Connection
from disco_rq.store.line import Arg
from disco_rq.store.taskstate import TaskState, task_args, task_of

LEASE_MS = int(LEASE_S * 1000)
MOST_WRITES = 10_000
"""OOB results and counters that one commit may write, of all the attempts in it."""
OVER_QUOTA = 2
"""What ``put_oob.lua`` answers to a put over the quota."""

FailureKind = Literal["data", "lost", "error", "fatal", "release", "refuse"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a task, as its worker holds it."""

    job: str
    task: TaskId
    number: int  # from 1
    node: str
    worker: str

    def __str__(self) -> str:
        return f"{self.task}/{self.number}"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, in the words that the user will read."""

    message: str  # one line: type and text of the error
    traceback: str = ""  # the user's frames
    url: str | None = None  # the input at fault
    left_out: str = ""  # what the attempt has left out, where that is more than the job may

    def pack(self) -> str:
        texts = {"message": self.message, "traceback": self.traceback, "url": self.url or ""}
        if self.left_out:
            texts["left_out"] = self.left_out
        return json.dumps({what: readable(text) for what, text in texts.items()})


@dataclass(frozen=True, slots=True)
class Commit:
    """What an attempt leaves when it counts."""

    attempt: Attempt
    address: str
    duration_ms: int
    result: StageResult
    puts: int = 0
    """How many OOB results it has put: a server that was made the master may know of fewer."""
    put_bytes: int = 0
    is_result: bool = False
    """Nothing makes it again: it is on the disk before it counts, where a node is told so."""
    ended_s: float | None = None
    """When it ended, by ``time.monotonic()``; None: now."""
    changes_seen: int = 0
    """Of a reduce: how often maps had come back different in its partition when it asked for the outputs."""
    oob_changes_seen: int | None = None
    """Of a reduce: how often OOB results of maps had been replaced when it first read one; None: never."""
    difference: str = ""
    """Of a map that was made again: how it differs from its first output, as far as its worker knows."""

    @property
    def weight(self) -> float:
        """For how long Redis will be at it, as a part of what one commit may take: 1 is all of it."""
        return self.put_bytes / OOB_BYTES + (self.puts + len(self.result.counters)) / MOST_WRITES


class AttemptStore:
    """Claim, renew, commit and fail attempts; put OOB results; send messages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def job(self, name: str) -> tuple[JobSpec, bytes] | None:
        """The spec and the function pack of a job, or None if it was purged."""
        job = keys.JobKeys(name)
        spec, pack = self._connection.read("MGET", job.spec, job.pack)
        if spec is None or pack is None:
            return None
        return JobSpec.from_dict(msgpack.unpackb(spec)), pack

    def claim(
        self, job_name: str, batch: str, worker: str, tasks: Sequence[tuple[TaskId, int]]
    ) -> list[MapInput | Literal["reduce"] | None]:
        """Take the attempts of a batch. For each: its input, ``"reduce"``, or None if it is not ours."""
        job = keys.JobKeys(job_name)
        answer = self._connection.run(
            "claim_attempts",
            [job.job, job.tasks, keys.LEASES, job.inputs, keys.CONTROL, job.nodes, job.copies],
            [job_name, batch, worker, LEASE_MS, *task_args(tasks)],
        )
        return [None if packed is None else unpack_input(packed) if packed else "reduce" for packed in answer]

    def unclaim(self, job_name: str, batch: str, tasks: Sequence[tuple[TaskId, int]]) -> None:
        """Hand back those attempts of a batch that nobody has claimed: they were not made."""
        if tasks:
            self._connection.run(
                "unclaim_attempts",
                [keys.JobKeys(job_name).tasks, keys.CONTROL],
                [job_name, batch, *task_args(tasks)],
            )

    def renew(
        self, node: str, worker: str, job_name: str = "", tasks: Sequence[tuple[TaskId, int]] = ()
    ) -> set[TaskId]:
        """Keep the worker's slot and its attempts alive. Returns the tasks that are not its any more."""
        slot: list[Arg] = [f"{node} {worker}", LEASE_MS]
        if not tasks:
            self._connection.run("renew_leases", [keys.SLOTS, keys.LEASES, keys.node(node)], slot)
            return set()
        job = keys.JobKeys(job_name)
        lost = self._connection.run(
            "renew_leases",
            [keys.SLOTS, keys.LEASES, keys.node(node), job.job, job.tasks, job.copies],
            [*slot, job_name, worker, *task_args(tasks)],
        )
        return set(map(task_of, lost))

    def commit(self, commits: Sequence[Commit]) -> list[str]:
        """Make attempts count, those of one batch in one transition, or in several if they have put much.

        ``ok``, ``over`` (the job ended), ``overtaken``, ``incomplete`` (not all that it put is there), or
        ``stale`` (a map that it has read came back different) for each.
        """
        batches: list[list[int]] = []
        weights: dict[tuple[str, str, str], float] = {}
        latest: dict[tuple[str, str, str], list[int]] = {}
        for i, commit in enumerate(commits):
            attempt = commit.attempt
            kind = attempt.job, attempt.task.phase, attempt.node
            weights[kind] = weights.get(kind, 0.0) + commit.weight
            if kind not in latest or weights[kind] > 1:
                latest[kind], weights[kind] = [], commit.weight
                batches.append(latest[kind])
            latest[kind].append(i)
        answers = self._connection.run_many(_commit_call([commits[i] for i in batch]) for batch in batches)
        told = dict(zip(chain(*batches), chain(*answers), strict=True))
        return [told[i].decode() for i in range(len(commits))]

    def is_given_again(self, attempt: Attempt) -> bool:
        """Whether the same attempt is now for another worker of its node, so that its files have the names of
        ours: a failover had lost that it was given before.
        """
        tasks = keys.JobKeys(attempt.job).tasks
        state: bytes | None = self._connection.read("HGET", tasks, str(attempt.task))
        if state is None:
            return False
        now = TaskState.parse(state)
        return (now.attempt, now.node) == (attempt.number, attempt.node) and now.worker != attempt.worker

    def fail(self, attempt: Attempt, kind: FailureKind, failure: Failure, *, survives: int) -> str:
        """End an attempt without a result. Returns ``retry``, ``dead``, ``over`` or ``overtaken``."""
        answer: bytes = self._connection.run(*fail_call(attempt, kind, failure, survives=survives))
        return answer.decode()

    def lose_output(
        self, reader: Attempt, task: TaskId, address: str, failure: Failure, *, survives: int
    ) -> str:
        """The output of a map cannot be read: let it be made again. ``lost``, ``kept``, ``dead``, or ``copy``
        (the reader is one: nothing was done).
        """
        job = keys.JobKeys(reader.job)
        node = address.removeprefix("disco://").partition("/")[0]
        answer: bytes = self._connection.run(
            "lose_output",
            [
                *(job.job, job.tasks, job.failures, job.outputs, job.events, keys.CONTROL, keys.ACTIVE),
                *(keys.node(node), job.remade, job.copies, job.given, job.attempts),
                *(keys.ENDS, keys.UNIQUE),
            ],
            [
                *(reader.job, str(task), address, failure.pack(), survives),
                *(str(reader.task), reader.number, reader.worker),
            ],
        )
        return answer.decode()

    def contradicted(self, attempt: Attempt, digests: bytes) -> tuple[int, str] | None:
        """Of a map that was committed before: the first partition in which a reduce that is done has read
        another output than this one, and where that one lay ("": nobody knows). None if there is none.
        """
        job = keys.JobKeys(attempt.job)
        before, listed = self._connection.read_together(
            ("HGET", job.digests, str(attempt.task)), ("HGET", job.failures, str(attempt.task))
        )
        changed = changed_partitions(before or b"", digests)
        if not changed:
            return None
        reduces: Any = self._connection.redis.hmget(job.tasks, [f"reduce:{number}" for number in changed])
        read = [
            number
            for number, state in zip(changed, reduces, strict=True)
            if state and TaskState.parse(state).state == "done"
        ]
        lost = [failure.get("url") or "" for failure in json.loads(listed or "[]")]
        return (read[0], lost[-1] if lost else "") if read else None

    def failed_inputs(self, job_name: str, task: TaskId) -> list[str]:
        """The address that was at fault for each failure of the task so far; empty where it is not known."""
        listed = self._connection.read("HGET", keys.JobKeys(job_name).failures, str(task))
        return [failure.get("url") or "" for failure in json.loads(listed)] if listed else []

    def put(self, attempt: Attempt, key: str, typed_value: bytes, count: int) -> int:
        """Stage an OOB result, the ``count``-th of the attempt. Codes: see ``put_oob.lua``."""
        job = keys.JobKeys(attempt.job)
        code: int = self._connection.run(
            "put_oob",
            [
                *(job.tasks, job.oob, job.oob_owners, job.staged(attempt.task), job.quota, job.remade),
                job.copies,
            ],
            [str(attempt.task), attempt.number, attempt.worker, key, typed_value, count, OOB_QUOTA],
        )
        if code == OVER_QUOTA:
            self._connection.redis.hincrby(keys.TOTALS, "oob_refused", 1)
        return code

    def take_back(self, attempt: Attempt, keys_put: Sequence[str]) -> None:
        """OOB results that the attempt has put are as if it had not."""
        job = keys.JobKeys(attempt.job)
        self._connection.run(
            "take_back_oob",
            [job.tasks, job.oob, job.oob_owners, job.staged(attempt.task), job.quota, job.copies],
            [str(attempt.task), attempt.number, attempt.worker, *keys_put],
        )

    def bad_elsewhere(self, attempt: Attempt) -> int:
        """Bad entries that the other tasks of its job have left out, as far as these are committed."""
        job = keys.JobKeys(attempt.job)
        bad, own = self._connection.read_together(
            ("HGET", job.job, "bad"), ("HGET", job.bad, str(attempt.task))
        )
        return int(bad or 0) - (int(json.loads(own)["n"]) if own else 0)

    def message(self, job_name: str, host: str, text: str) -> int:
        """A message of the job. Codes: see ``send_message.lua``."""
        job = keys.JobKeys(job_name)
        token = secrets.token_hex(4)  # the same when it is asked again after a lost answer
        code: int = self._connection.run(
            "send_message", [job.job, job.quota, job.events, keys.TOTALS], [host, text, MSG_QUOTA, token]
        )
        return code

    def event(self, job_name: str, host: str, text: str) -> None:
        """A line of the system's own in a job's history; counts against no quota."""
        add_event(self._connection, job_name, host, text)

    def inputs(self, job_name: str) -> dict[int, MapInput]:
        """What every reduce of a job with a reduce only reads, in order. Not checked."""
        packed = dict(_fields(self._connection.read("HGETALL", keys.JobKeys(job_name).inputs)))
        return {int(index): unpack_input(packed[index]) for index in sorted(packed, key=int)}

    def written_for(self, job_name: str, partition: int) -> tuple[int | None, int, int]:
        """Of the committed maps: bytes in that partition, None where one that was made again may have others;
        how many there are; and how often such maps have come back different in that partition.
        """
        job = keys.JobKeys(job_name)
        size, is_remade, done, changes = self._connection.read_together(
            ("HGET", job.partitions, str(partition)),
            ("EXISTS", job.remade),
            ("HGET", job.job, "map:done"),
            ("HGET", job.digests, f"changed {partition}"),
        )
        return None if is_remade else int(size or 0), int(done or 0), int(changes or 0)

    def map_outputs(self, job_name: str, partition: int = 0) -> tuple[dict[int, str], int]:
        """Index of each map -> address of its committed output; and how often maps that were made again have
        come back different in that partition.
        """
        job = keys.JobKeys(job_name)
        outputs, changes = self._connection.read_together(
            ("HGETALL", job.outputs), ("HGET", job.digests, f"changed {partition}")
        )
        written = {task_of(field): address.decode() for field, address in _fields(outputs)}
        of_maps = {task.index: address for task, address in written.items() if task.phase == "map"}
        return of_maps, int(changes or 0)


def pack_input(task_input: MapInput) -> bytes:
    """The input of a map as bytes. File names need not be UTF-8, nor text that they came out of."""
    return bytes(msgpack.packb(task_input.pack(), unicode_errors="surrogatepass"))


def seal_input(task_input: MapInput, index: int, seal: TaskSeal) -> bytes:
    """The same as Redis keeps it: its signature comes first."""
    packed = pack_input(task_input)
    return seal.sign_input(index, packed) + packed


def unpack_input(sealed: bytes) -> MapInput:
    """What ``seal_input`` made. Not checked: whoever acts upon it calls ``check_input``."""
    signature, packed = sealed[:TASK_SIGNATURE_BYTES], sealed[TASK_SIGNATURE_BYTES:]
    return MapInput.unpack(msgpack.unpackb(packed, unicode_errors="surrogatepass"), signature)


def check_input(task_input: MapInput, index: int, seal: TaskSeal) -> None:
    """``BadSignature`` if it is not what the client has signed for this index."""
    seal.check_input(index, pack_input(task_input), task_input.signature)


def add_event(connection: Connection, job_name: str, host: str, text: str) -> None:
    """A line of the system's own in a job's history, if the job is still there."""
    connection.redis.xadd(
        keys.JobKeys(job_name).events,
        {"h": host, "k": "sys", "m": text},
        maxlen=HISTORY,
        approximate=True,
        nomkstream=True,
    )


def _commit_call(commits: Sequence[Commit]) -> tuple[str, list[str], list[Any]]:
    """Of attempts of the same job, phase and node."""
    first = commits[0].attempt
    job = keys.JobKeys(first.job)
    script_keys = [
        *(job.job, job.tasks, job.attempts, job.outputs, keys.LEASES, job.oob, job.oob_types, job.counters),
        *(job.quota, job.events, keys.CONTROL, keys.ACTIVE, keys.node(first.node), job.oob_owners),
        *(job.remade, job.partitions, job.copies, job.digests, job.given),
        *(job.bad, job.bad_causes, job.pilot, keys.SLOTS, job.commits, keys.ENDS, keys.UNIQUE),
        *(job.staged(commit.attempt.task) for commit in commits),
    ]
    args: list[Any] = [first.job]
    for commit in commits:
        attempt, result = commit.attempt, commit.result
        record = {
            "node": attempt.node,
            "worker": attempt.worker,
            "outcome": "done",
            "entries": result.entries_in,
            "records": result.records_out,
            "bytes": result.bytes_out,
            "put": commit.puts,
        }
        if result.memory:
            record |= {"memory": result.memory, "repeats": round(result.repeats, 1)}
        args += [str(attempt.task), attempt.number, attempt.worker, commit.address, json.dumps(record)]
        ago_s = 0.0 if commit.ended_s is None else time.monotonic() - commit.ended_s
        args += [commit.duration_ms, round(ago_s * 1000)]
        args += [result.entries_in, result.records_out, result.bytes_out, commit.puts]
        args += [commit.changes_seen if attempt.task.phase == "reduce" else result.digests, result.ranges]
        args += ["" if commit.oob_changes_seen is None else commit.oob_changes_seen, commit.difference]
        args.append(result.left_out)
        args += [len(result.counters), len(result.partition_bytes)]
        args += [*_flat(result.counters.items()), *_flat(result.partition_bytes.items())]
    return "commit_attempts", script_keys, args


def fail_call(
    attempt: Attempt,
    kind: FailureKind,
    failure: Failure,
    *,
    survives: int,
    leader: str = "",
) -> tuple[str, list[str], list[Any]]:
    """The call of ``fail_attempt.lua``; the master makes it too, with its token as ``leader``."""
    job = keys.JobKeys(attempt.job)
    script_keys = [
        *(keys.LEADER, job.job, job.tasks, job.failures, job.attempts, keys.LEASES, job.staged(attempt.task)),
        *(job.oob_owners, job.quota, job.events, keys.CONTROL, keys.ACTIVE, keys.node(attempt.node), job.oob),
        *(job.copies, job.bad, job.bad_causes, keys.ENDS, keys.UNIQUE),
    ]
    args = [leader, attempt.job, str(attempt.task), attempt.number, attempt.worker or "*", kind]
    return "fail_attempt", script_keys, [*args, failure.pack(), survives]


def _fields(answer: Any) -> Iterable[tuple[bytes, bytes]]:
    """What ``HGETALL`` gives, by either protocol."""
    return answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)


def _flat(pairs: Iterable[tuple[str | int, int]]) -> list[Arg]:
    return [part for pair in pairs for part in pair]


class FoundOOB(NamedTuple):
    """One committed OOB result, or that there is none, at one moment."""

    value: Any
    owner: TaskId | None  # the task that has put it; None if there is none
    changes: int  # how often OOB results of maps had been replaced then


def read_oob(connection: Connection, job_name: str, key: str) -> Any:
    """One committed OOB result, as the type that was put; ``KeyError`` if there is none."""
    if not isinstance(key, str):
        raise KeyError(key)
    found = find_oob(connection, job_name, key)
    if found.owner is None:
        raise KeyError(key)
    return found.value


def find_oob(connection: Connection, job_name: str, key: str) -> FoundOOB:
    """The same, for whoever goes on with it."""
    if not OOB_KEY.fullmatch(key):
        raise KeyError(key)
    job = keys.JobKeys(job_name)
    pipe = connection.redis.pipeline(transaction=True)
    pipe.hget(job.oob, key)
    pipe.hget(job.oob_types, key)
    pipe.hget(job.oob_owners, key)
    pipe.hget(job.given, "replaced")
    value, letter, owner, changes = pipe.execute()
    if value is None:
        return FoundOOB(None, None, int(changes or 0))
    return FoundOOB(untyped(letter, value), task_of(owner), int(changes or 0))
