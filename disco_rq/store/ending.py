"""How jobs end before their time, and how they are forgotten."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

from redis.client import Pipeline

from disco_rq.errors import RedisFull
from disco_rq.model import NODE_NAME
from disco_rq.store import keys, unreadable
from disco_rq.store.adoption import release_source
from disco_rq.store.clock import server_ms
from disco_rq.store.connection import Connection
from disco_rq.store.deaths import killed
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import KEEP, SPARE, live_slots
from disco_rq.store.taskstate import Lease, TaskState, task_of
from disco_rq.store.together import together_if_not_full

__all__ = ["Ending"]

log = logging.getLogger("disco_rq.store")


class Ending:
    """Kill, forget and purge; and what an old job, or one forgotten by half, is due."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis

    def kill(self, name: str, why: str) -> str:
        """End an active job. Returns the status that it had, ``""`` for an unknown one."""
        job = keys.JobKeys(name)
        answer: bytes = self._connection.run(
            "kill_job",
            [job.job, keys.ACTIVE, keys.CONTROL, job.events, keys.ENDS, keys.UNIQUE],
            [name, killed(why), why],
            copied=True,
        )
        return answer.decode("utf-8", "replace")

    def clean(self, name: str) -> None:
        """Delete every record of an ended job, and have the nodes note that its files stay. Idempotent."""
        asked: list[str] = []
        try:
            asked = self.ask_purge(name, "keep")  # first: no file is without a mark or a record
        except RedisFull as error:  # what is deleted makes room for others, if not for this
            told = "the nodes are not told that the files of %s stay: %s"
            log.warning(told, name, error, extra={"action": "clean", "job": name})
        self.forget(name)
        with contextlib.suppress(RedisFull):
            self.wake_nodes(asked)

    def forget(self, name: str) -> None:
        """Delete every record of an ended job. Idempotent."""
        job = keys.JobKeys(name)
        told: Any = unreadable.answer(lambda: self._redis.hget(job.job, "code")) or b""
        # The job's own hash goes first: without it no attempt can be claimed any more, so those that may have
        # staged results are the ones that run now; and once the tasks are gone nothing can be committed or
        # put.
        codes = [keys.codes(digest) for digest in told.decode("utf-8", "replace").split()]

        def first(pipe: Pipeline) -> None:
            pipe.delete(job.job)
            for code in codes:  # nobody knows these any more then
                pipe.zrem(code, name)

        together_if_not_full(self._redis, first)
        tasks: Any = unreadable.answer(lambda: self._redis.hgetall(job.tasks)) or {}
        copies: Any = unreadable.answer(lambda: self._redis.hgetall(job.copies)) or {}
        states = unreadable.readable(
            "task", [*tasks.items(), *copies.items()], lambda one: (task_of(one[0]), TaskState.parse(one[1]))
        )
        running = [Lease(name, task, state.attempt) for task, state in states if state.state == "running"]
        staged = [job.staged(lease.task) for lease in running]

        def then(pipe: Pipeline) -> None:
            pipe.unlink(job.tasks, *staged)
            pipe.unlink(*job.records())
            pipe.zrem(keys.LEASES, name, *(lease.member for lease in running))
            pipe.zrem(keys.JOBS, name)  # last: who is killed before that is followed by ``half_forgotten``

        together_if_not_full(self._redis, then)
        # Not in the transaction, which a full server would refuse for it: the deletion is what makes room.
        # Without the event RQ's own records of the job stay until they expire.
        with contextlib.suppress(RedisFull):
            self._redis.xadd(keys.CONTROL, {"k": "forgotten", "j": name})

    def purge(
        self,
        name: str,
        *,
        is_over: bool = False,
        delete_here: Callable[[str, str], bool] = lambda _node, _job: False,
    ) -> list[str]:
        """End a job, delete its records, and ask the nodes, which are returned, for its files.

        ``is_over``: it is known to have ended. ``delete_here(node, job)`` is called for each node when the
        records are gone: whether it has deleted the job's files there, so that the node need not.
        """
        if not is_over:
            unreadable.answer(lambda: self.kill(name, "it was purged"))
        is_needed = self._begin(name)
        try:
            # First, so that no file is left without a record of what to do.
            asked = self.ask_purge(name, "spare" if is_needed else "delete")
        except RedisFull:
            # The job has ended: all but what leads to its results, files and other records makes room.
            job = keys.JobKeys(name)
            needed = {job.job, job.nodes, job.tasks, job.copies, job.outputs}
            self._redis.unlink(*(key for key in job.records() if key not in needed))
            asked = self.ask_purge(name, "spare" if is_needed else "delete")
        others = self._release(name)  # before nobody knows any more that it is purged
        self.forget(name)
        # A node that has other jobs' files to delete does it all in one go, and is waited for.
        done = [] if is_needed or others else [node for node in asked if delete_here(node, name)]
        asked = sorted({*asked, *others}.difference(done))
        with contextlib.suppress(RedisFull):
            self._note_deleted(name, done, asked)
        return asked

    def _note_deleted(self, name: str, done: Sequence[str], asked: Sequence[str]) -> None:
        """Those nodes need not delete the files of the job any more; wake those that are asked for some."""
        pipe = self._redis.pipeline(transaction=True)
        for node in done:
            pipe.srem(keys.purges(node), name)
        self._wake(pipe, asked)
        pipe.execute()

    def _begin(self, name: str) -> bool:
        """Whether other jobs need its files."""
        script_keys = [keys.JobKeys(name).job, keys.adopters(name), keys.SPARED]
        with contextlib.suppress(RedisFull):
            return bool(self._connection.run("begin_purge", script_keys, [name]))
        return bool(self._redis.exists(keys.adopters(name)))

    def _release(self, name: str) -> list[str]:
        """Have the nodes, which are returned, delete the files of purged jobs that only this one needed."""
        sources: Any = unreadable.answer(lambda: self._redis.smembers(keys.sources(name)))
        asked: list[str] = []
        for source in unreadable.names(f"source of {name}", sources):
            if release_source(self._connection, source, name):
                with contextlib.suppress(RedisFull):  # else the nodes find that nobody knows the job
                    asked += self.ask_purge(source)
                self._forget_spared(source)
        if sources:
            self._redis.unlink(keys.sources(name))
        return asked

    def _forget_spared(self, name: str) -> None:
        """The nodes are asked for the files of a purged job."""

        def both(pipe: Pipeline) -> None:
            pipe.unlink(keys.adopters(name))
            pipe.zrem(keys.SPARED, name)

        together_if_not_full(self._redis, both)

    def let_go(self, most: int) -> list[str]:
        """Of jobs that are purged, and whose files stay for others, have the nodes delete those that were
        used longest ago, until so many are left. Who needs an output makes it again; results stay.
        """
        spared: Any = unreadable.answer(lambda: self._redis.zrange(keys.SPARED, 0, -1))
        gone: list[str] = []
        for name in unreadable.names("purged job", spared):
            if len(spared) - len(gone) <= most:
                break
            users: Any = self._redis.smembers(keys.adopters(name))
            if not any(user.startswith(b"!") for user in users):
                self.wake_nodes(self.ask_purge(name))
                self._forget_spared(name)
                gone.append(name)
        return gone

    def overdue(self, gc_after_s: float | None) -> list[str]:
        """The jobs that ended longer ago than their own ``gc_after``, or than the cluster's."""
        now_ms = server_ms(self._connection)
        listed = [name for name, _ in JobStore(self._connection).job_list()]
        pipe = self._redis.pipeline(transaction=False)
        for name in listed:
            pipe.hmget(keys.JobKeys(name).job, "ended", "gc_after")

        def is_due(told: list[bytes | None] | None) -> bool:
            ended, own = told or (None, None)
            patience_s = float(own) if own else gc_after_s
            if not ended or patience_s is None:
                return False
            return now_ms - int(ended) > patience_s * 1000

        answers = unreadable.answers(pipe)
        ends = [unreadable.number(told[0]) if told else None for told in answers]
        for name, ended in zip(listed, ends, strict=True):
            if ended is not None and ended > now_ms:  # by a clock that was ahead: its time begins now
                self.end_in_the_past(name)
        return [
            name
            for name, told in zip(listed, answers, strict=True)
            if unreadable.read(f"the end of {name},", told, is_due)
        ]

    def end_in_the_past(self, name: str) -> None:
        """A job cannot have ended later than now."""
        self._connection.run("redate_job", [keys.JobKeys(name).job], [])

    def half_forgotten(self) -> list[str]:
        """The jobs that are listed and have no record: whoever forgot them was killed in the middle."""
        listed = [name for name, _ in JobStore(self._connection).job_list()]
        pipe = self._redis.pipeline(transaction=False)
        for name in listed:
            pipe.exists(keys.JobKeys(name).job)
        return [name for name, exists in zip(listed, pipe.execute(), strict=True) if not exists]

    def ask_purge(self, name: str, how: Literal["delete", "keep", "spare"] = "delete") -> list[str]:
        """Note for every node that has files of an ended job that it is to delete them, to mark that they
        stay (``keep``), or that the job is purged and they stay for others (``spare``). Returns the nodes.

        For a job of which nothing is known, it may have been cleaned, that is every node. Where jobs are
        signed, those that are alive are asked, too: they remember that its signatures are of no use any more.
        """
        job = keys.JobKeys(name)

        def read(pipe: Pipeline) -> None:
            pipe.exists(job.job)
            pipe.smembers(job.nodes)
            pipe.smembers(keys.NODES)
            pipe.exists(keys.CLUSTER)

        is_known, of_job, every, is_signed = together_if_not_full(self._redis, read)
        if is_known and is_signed and of_job is not None:
            of_job = of_job | {node.encode() for node in live_slots(self._connection)}
        # Not every node: one that is away for good would be asked for ever more. Nor one that was forgotten.
        asked = of_job & (every or set()) if is_known and of_job is not None else every
        nodes = sorted(name for name in unreadable.names("node", asked) if NODE_NAME.fullmatch(name))
        pipe = self._redis.pipeline(transaction=True)
        for node in nodes:
            pipe.sadd(keys.purges(node), {"keep": KEEP, "spare": SPARE}.get(how, "") + name)
        pipe.execute()
        return nodes

    def wake_nodes(self, nodes: Sequence[str]) -> None:
        """Let the nodes look for what they are asked at once, not only with their next lease."""
        pipe = self._redis.pipeline(transaction=True)
        self._wake(pipe, nodes)
        pipe.execute()

    def _wake(self, pipe: Pipeline, nodes: Sequence[str]) -> None:
        for node in nodes:
            pipe.rpush(keys.wake(node), "purge")
            pipe.expire(keys.wake(node), 60)

    def purge_done(self, name: str, nodes: Sequence[str]) -> bool:
        """True when those nodes have deleted the files of the job."""
        pipe = self._redis.pipeline(transaction=False)
        for node in nodes:
            pipe.sismember(keys.purges(node), name)
        return not any(pipe.execute())
