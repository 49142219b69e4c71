"""Tasks of other jobs that count as those of a new one: what there is to be adopted, and the call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgpack

from disco_rq.model import PHASES, JobSpec, TaskId
from disco_rq.outputs.addresses import job_of
from disco_rq.outputs.adopted import runs_of
from disco_rq.store import keys, unreadable
from disco_rq.store.connection import Connection
from disco_rq.store.line import Arg
from disco_rq.store.taskstate import task_of

__all__ = ["Adoption", "AdoptionStore", "Kept", "adopt_call", "release_source"]

AT_ONCE = 1000
"""Tasks that the script looks at together."""


class Kept(NamedTuple):
    """A task that is adopted."""

    task: TaskId
    source: TaskId  # in the other job
    address: str  # of its output
    copy: str = ""  # where this job has its own of a saved one


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a new job adopts of one other job (the source)."""

    source: str
    tasks: Sequence[Kept]  # maps first
    counted_as: Literal["kept", "reused"] = "kept"
    ranges: bytes = b""  # of keys, as the new job has them; empty: none
    ranges_digest: str = ""
    told: str = ""  # a line for the source's history

    def owners(self) -> list[str]:
        """The jobs whose outputs these are: of what the source has adopted itself, others."""
        found = {job_of(kept.address) for kept in self.tasks}
        return sorted({self.source, *(job for job in found if job is not None)})


def adopt_call(spec: JobSpec, token: str, adoption: Adoption) -> tuple[str, list[str], list[Any]]:
    """The call of ``adopt_tasks.lua`` behind the one of ``submit_job.lua`` with that token."""
    new, old = keys.JobKeys(spec.name), keys.JobKeys(adoption.source)
    owners = adoption.owners()
    script_keys = [
        *(new.job, new.tasks, new.attempts, new.outputs, new.digests, new.given, new.bad, new.bad_causes),
        *(new.oob, new.oob_types, new.oob_owners, new.counters, new.partitions, new.ranges, new.events),
        *(keys.sources(spec.name), keys.CONTROL, keys.ACTIVE),
        *(old.job, old.tasks, old.attempts, old.outputs, old.digests, old.given, old.bad),
        *(old.oob, old.oob_types, old.partitions, old.remade, old.events),
        *(new.pilot, keys.SLOTS, keys.LEASES, keys.ENDS, keys.UNIQUE, keys.SPARED),
        *map(keys.adopters, owners),
    ]
    # The server's own msgpack knows the format's older strings only.
    packed = msgpack.packb(list(_portions(adoption.tasks)), use_bin_type=False)
    args: list[Arg] = [spec.name, adoption.source, token, adoption.counted_as, spec.nr_partitions]
    args += [adoption.ranges, adoption.ranges_digest, adoption.told, packed, *owners]
    return "adopt_tasks", script_keys, args


def _portions(tasks: Sequence[Kept]) -> Iterator[tuple[str, list[int], str, str]]:
    """What the script does at a time: phase, runs of tasks, addresses and copies. It takes no text apart for
    each task.
    """
    for first in range(0, len(tasks), AT_ONCE):
        some = tasks[first : first + AT_ONCE]
        for phase in PHASES:
            ones = [kept for kept in some if kept.task.phase == phase]
            if ones:
                runs = runs_of((kept.task.index, kept.source.index) for kept in ones)
                addresses = "\0".join(kept.address for kept in ones)
                copies = "\0".join(kept.copy or kept.address for kept in ones)
                told = "" if copies == addresses else copies
                yield phase, [number for run in runs for number in run], addresses, told


def release_source(connection: Connection, source: str, job: str) -> bool:
    """The job needs the files of the source no more. Whether nobody does now, and it is purged itself."""
    return bool(connection.run("release_source", [keys.adopters(source)], [job]) == 1)


class AdoptionStore:
    """Reads what of jobs is committed, and who needs their files."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis

    def committed(self, job_name: str) -> dict[TaskId, str]:
        """Task -> address of its output. Not checked."""
        outputs: Any = self._redis.hgetall(keys.JobKeys(job_name).outputs)
        return {task_of(task): address.decode("utf-8", "replace") for task, address in outputs.items()}

    def inputs(self, job_name: str) -> dict[int, bytes]:
        """Index of a map -> its input with its signature before it."""
        packed: Any = self._redis.hgetall(keys.JobKeys(job_name).inputs)
        return {int(index): entry for index, entry in packed.items()}

    def ranges(self, job_name: str) -> tuple[bytes | None, str]:
        """The ranges of a job's keys as its tasks have signed them, and their digest."""
        job = keys.JobKeys(job_name)
        pipe = self._redis.pipeline(transaction=True)
        pipe.get(job.ranges)
        pipe.hget(job.job, "ranges")
        packed, digest = pipe.execute()
        return packed, (digest or b"").decode()

    def doing(self, digests: Iterable[str], most: int) -> list[str]:
        """Jobs whose maps do what one of these says, each digest's newest ones, newest first."""
        pipe = self._redis.pipeline(transaction=False)
        for digest in digests:
            pipe.zrange(keys.codes(digest), 0, most - 1, desc=True, withscores=True)
        found = {name.decode(): when for told in unreadable.answers(pipe) for name, when in told or ()}
        return sorted(found, key=lambda name: found[name], reverse=True)

    def pack(self, job_name: str) -> tuple[bytes, bytes] | None:
        """The spec of a job as it is signed, and its functions; None if it is not there."""
        job = keys.JobKeys(job_name)
        found: Any = self._redis.mget(job.spec, job.pack)
        spec, pack = found
        return None if spec is None or pack is None else (spec, pack)
