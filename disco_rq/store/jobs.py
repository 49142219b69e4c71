"""What a client asks and tells about jobs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgpack
from redis.client import Pipeline

from disco_rq.errors import BadSignature, JobError, NoMaster, OOBNotFound, UnknownJob
from disco_rq.model import JobSpec, JobStatus, MapInput, TaskId
from disco_rq.packing import HEAD_BYTES, JobSeal, Signer, check_spec
from disco_rq.redact import redact
from disco_rq.store import keys, unreadable
from disco_rq.store.adoption import Adoption, adopt_call
from disco_rq.store.attempts import read_oob
from disco_rq.store.connection import HISTORY, Connection
from disco_rq.store.deaths import cause_of
from disco_rq.store.inputheads import input_heads
from disco_rq.store.nodes import is_suspended
from disco_rq.store.submitting import submit_call
from disco_rq.store.taskstate import Lease, TaskState, attempt_field, attempt_of, task_of
from disco_rq.store.together import together_if_not_full

log = logging.getLogger("disco_rq.store")

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
_UNKNOWN = _HANDED_BACK | {"outcome": "", "error": "its record cannot be read"}


class JobRecord(NamedTuple):
    """A job's hash, decoded: its numbers as they are in Redis, and its counts."""

    status: JobStatus
    fields: dict[str, str]

    def count(self, name: str) -> int:
        return unreadable.number(self.fields.get(name)) or 0

    def phase(self, phase: str) -> list[int]:
        """``[waiting, running, done, failed]``."""
        return [self.count(f"{phase}:{state}") for state in ("waiting", "running", "done", "failed")]

    @property
    def reuse(self) -> dict[str, int] | None:
        """Why maps of it are run that might be another job's, and how many; None: it does not want that."""
        return reuse_of(self.fields)

    @property
    def cause(self) -> dict[str, Any] | None:
        return cause_of(self.fields)


def reuse_of(fields: Mapping[str, str]) -> dict[str, int] | None:
    """The same, of the fields of a job's hash."""
    told = fields.get("reuse")
    return unreadable.read("why maps are run,", told, lambda text: dict(json.loads(text))) if told else None


class JobStore:
    """Submit jobs, read them, end and forget them. Methods raise ``UnknownJob`` where a job must be there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis

    def submit(
        self,
        spec: JobSpec,
        pack: bytes,
        inputs: Sequence[MapInput],
        seal: JobSeal | None = None,
        adoptions: Sequence[Adoption] = (),
    ) -> str | None:
        """Make the job exist, in one transition, with what it adopts. ``seal`` signs the inputs.

        Returns its name; that of another job where this one is to be unique, and that one is the same; None
        where the name is taken. Raises ``NoMaster``.
        """
        submit, token = submit_call(spec, pack, inputs, seal or JobSeal(spec.name, None))
        began, has_warned = time.monotonic(), False
        none_leads = f"no master leads the cluster at {self._connection.address}"
        adopt = [adopt_call(spec, token, adoption) for adoption in adoptions]
        while True:
            answer: bytes
            if adopt:
                answer = self._connection.run_together([submit, *adopt], copied=True)[0]
            else:
                answer = self._connection.run(*submit, copied=True)
            if answer != b"nomaster":
                other = answer.decode().removeprefix("is ") if answer.startswith(b"is ") else None
                return spec.name if answer == b"ok" else other
            waited_s = time.monotonic() - began
            if waited_s > MASTER_PATIENCE_S:
                raise NoMaster(f"{none_leads}: start 'disco-rq master'")
            if waited_s > MASTER_SILENCE_S and not has_warned:
                has_warned = True
                about = {"action": "wait"}
                log.warning("%s: waiting up to %.0f s for one", none_leads, MASTER_PATIENCE_S, extra=about)
            time.sleep(0.05)

    def record(self, name: str) -> JobRecord:
        fields: Any = unreadable.answer(lambda: self._redis.hgetall(keys.JobKeys(name).job))
        if fields == {}:
            raise UnknownJob(f"unknown job {name!r}")
        decoded = unreadable.lines(fields)
        if (status := decoded.get("status")) not in ("active", "ready", "dead"):
            raise UnknownJob(f"job {name!r} cannot be read: its record is altered, or of another version")
        return JobRecord(cast("JobStatus", status), decoded)

    def statuses(self, names: Iterable[str]) -> list[JobStatus | None]:
        """The status of each job, None for an unknown one, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hget(keys.JobKeys(name).job, "status")
        known: dict[bytes | None, JobStatus] = {b"active": "active", b"ready": "ready", b"dead": "dead"}
        return [known.get(status) for status in unreadable.answers(pipe)]

    def spec(self, name: str) -> JobSpec:
        key = keys.JobKeys(name).spec
        packed: Any = unreadable.answer(lambda: self._redis.get(key))
        if packed is None and not self._redis.exists(key):
            raise UnknownJob(f"unknown job {name!r}")
        spec = unreadable.read("the spec", packed, lambda text: JobSpec.from_dict(msgpack.unpackb(text)))
        if spec is None:
            raise UnknownJob(f"job {name!r} cannot be read: its spec is altered, or of another version")
        return spec

    def signed_spec(self, name: str, signer: Signer) -> JobSpec:
        """The spec, as its client has signed it where there is a secret. ``BadSignature``; ``UnknownJob``."""
        job = keys.JobKeys(name)

        def both(pipe: Pipeline) -> None:
            pipe.get(job.spec)
            pipe.getrange(job.pack, 0, HEAD_BYTES - 1)

        packed, head = together_if_not_full(self._redis, both)
        if packed is None:
            raise UnknownJob(f"unknown job {name!r}")
        if signer.signs:
            check_spec(head or b"", signer.seal(name), spec=packed)
        return JobSpec.from_dict(msgpack.unpackb(packed))

    def outputs(self, name: str) -> dict[TaskId, str]:
        """Task -> address of its committed output. Not checked: whoever acts upon one does that.

        ``BadSignature`` if there is one of no task.
        """
        found: Any = self._redis.hgetall(keys.JobKeys(name).outputs)
        for task, address in found.items():
            if unreadable.read("the output of", task, task_of) is None:
                where, what = redact(address.decode(errors="replace")), task.decode(errors="replace")
                raise BadSignature(f"{where} is not an output of {what} of {name}")
        return _by_task(found)

    def outputs_of_tasks(self, name: str) -> dict[TaskId, str]:
        """The same, without those of no task."""
        return _by_task(self._redis.hgetall(keys.JobKeys(name).outputs))

    def inputs(self, name: str, most: int) -> list[MapInput]:
        """The first inputs, in order, as ``input_heads`` tells them."""
        return [entry for _, entry in input_heads(self._connection, name, range(most))]

    def job_list(self, most: int = -1) -> list[tuple[str, float]]:
        """(name, seconds since 1970 of its submission), newest first."""
        entries: Any = unreadable.answer(
            lambda: self._redis.zrange(keys.JOBS, 0, most, desc=True, withscores=True)
        )
        found = unreadable.readable("job", entries, lambda entry: (entry[0].decode(), entry[1] / 1000))
        return [entry for entry in found if entry[0]]

    def counters(self, name: str) -> dict[str, int]:
        key = keys.JobKeys(name).counters
        return unreadable.fields(
            f"a counter of {name},",
            lambda: self._redis.hgetall(key),
            lambda one: (one[0].decode(), int(one[1])),
        )

    def nodes(self, name: str) -> list[str]:
        """The nodes that ran tasks of the job, sorted."""
        key = keys.JobKeys(name).nodes
        return sorted(
            unreadable.names(f"node of {name}", unreadable.answer(lambda: self._redis.smembers(key)))
        )

    def attempts(self, name: str) -> dict[tuple[TaskId, int], dict[str, Any]]:
        """(task, number) of each attempt that has ended -> how."""
        key = keys.JobKeys(name).attempts
        return unreadable.fields(
            f"an attempt of {name},",
            lambda: self._redis.hgetall(key),
            lambda one: (attempt_of(one[0]), dict(json.loads(one[1]))),
        )

    def story(self, name: str, task: TaskId) -> list[dict[str, Any]]:
        """The attempts of a task, oldest first, each as it ended, or as it is.

        Of those that were handed back from a queue, before they began, nothing is recorded but their number.
        """
        job = keys.JobKeys(name)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(job.tasks, str(task))
        pipe.hget(job.copies, str(task))
        pipe.hget(job.job, "status")
        *found, status = unreadable.answers(pipe)
        states = unreadable.readable(f"{task} of {name},", filter(None, found), TaskState.parse)
        numbers = range(1, max((state.attempt for state in states), default=0) + 1)
        fields = [attempt_field(task, n) for n in numbers]
        ended: Any = unreadable.answer(lambda: self._redis.hmget(job.attempts, fields)) if fields else []
        ended = ended or [None] * len(fields)

        def record_of(record: bytes) -> dict[str, Any]:
            known = dict(json.loads(record))
            return known if known.keys() >= {"outcome", "started", "ended"} else {**_UNKNOWN, **known}

        what = f"an attempt of {task} of {name},"
        told = [
            {
                "attempt": n,
                **((unreadable.read(what, record, record_of) or _UNKNOWN) if record else _HANDED_BACK),
            }
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

    # -- OOB results

    def oob_list(self, name: str) -> list[str]:
        """The committed keys, sorted. Raises ``OOBNotFound`` for an unknown job."""
        self._known(name)
        oob = keys.JobKeys(name).oob
        return sorted(
            unreadable.names(f"OOB key of {name}", unreadable.answer(lambda: self._redis.hkeys(oob)))
        )

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
            pipe.xadd(job.events, event, maxlen=HISTORY, approximate=True)

        # So that it never brings back a job that is forgotten meanwhile.
        self._redis.transaction(change, job.job)

    def held_up(self, name: str) -> tuple[bool, str]:
        """Whether all workers of this Redis were told to take nothing; and for what an active job waits that
        cannot go on, empty if it does.
        """
        told: Any = unreadable.answer(lambda: self._redis.hget(keys.WAITING, name))
        return is_suspended(self._redis), told.decode("utf-8", "replace") if told else ""

    def running(self) -> list[Lease]:
        """The attempts that run now."""
        members: Any = unreadable.answer(lambda: self._redis.zrange(keys.LEASES, 0, -1))
        return unreadable.readable("lease", members, Lease.parse)


def _by_task(outputs: Any) -> dict[TaskId, str]:
    return dict(
        unreadable.readable(
            "the output of", outputs.items(), lambda one: (task_of(one[0]), one[1].decode(errors="replace"))
        )
    )
