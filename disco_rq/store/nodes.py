"""What nodes and the master tell Redis of themselves, and what a node is asked to delete."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoPermissionError

from disco_rq.errors import DiscoError, NodeAlive
from disco_rq.model import NODE_NAME
from disco_rq.settings import rq_program
from disco_rq.store import keys, unreadable
from disco_rq.store.clock import local_ahead_ms, ms_of, server_ms
from disco_rq.store.connection import Connection
from disco_rq.store.taskstate import Lease, Slot, TaskState

Cause = Literal["disk", "leave"]
"""Why a node may take no tasks of its own accord."""

LEFT_FOR_S = 86400.0
"""A node that said good-bye so long ago, and has not come back, is forgotten."""
GONE_FOR_S = 60.0
"""A node that has given no sign of life for so long may be forgotten: one that is cut off ends before."""

SUSPENDED = f"RQ is suspended on this Redis: '{rq_program(os.environ)} resume'"
"""Why no node takes tasks when somebody, of another program perhaps, told all workers here to stop."""

KEEP = "keep "
"""Before the name of a job in what a node is asked: its files are to stay."""

SPARE = "spare "
"""Before that of one that is purged, whose files stay for other jobs that have adopted them."""

PROCESS_ENDED = 0
"""In place of the end of a lease: nobody will renew it."""


def node_about(connection: Connection, node: str) -> dict[str, str]:
    """What a node told of itself; empty for an unknown one."""
    return about_of(unreadable.answer(lambda: connection.redis.hgetall(keys.node(node))))


NUMBERS = {
    "seen",
    "left",
    "done",
    "data_error",
    "error",
    "lost",
    "ms",
    "records",
    "bytes",
    "clock_ms",
    "protocol",
    "unknown_jobs",
    "swept_in_s",
} | {f"{what}_{how}" for what in ("memory", "disk") for how in ("total", "free")}
"""Fields of a node's record that are whole numbers."""


def about_of(told: Any) -> dict[str, str]:
    """A node's record as Redis has it, without the fields that should be numbers and are none."""
    about = unreadable.lines(told)
    for field in about.keys() & (NUMBERS | {"load"}):
        if unreadable.read(f"{field} of a node,", about[field], float if field == "load" else int) is None:
            del about[field]
    return about


def has_left(about: Mapping[str, str]) -> bool:
    """Whether the last that a node told was that it ends: it is not missed."""
    return "left" in about and int(about["left"]) >= int(about.get("seen", 0))


def node_names(connection: Connection) -> list[str]:
    """Every node that was seen and is not forgotten, sorted."""
    members: Any = unreadable.answer(lambda: connection.redis.smembers(keys.NODES))
    return sorted(name for name in unreadable.names("node", members) if NODE_NAME.fullmatch(name))


class NodeKit(NamedTuple):
    """What a node can do jobs with."""

    node: str
    python: str
    version: str
    protocol: int
    packages: Mapping[str, str] | None  # of those that were asked for; None: it has not told

    @property
    def language(self) -> str:
        """Its Python's major and minor: ``3.11``."""
        return ".".join(self.python.split(".")[:2])


def open_kits(connection: Connection, wanted: Sequence[str], likely: Collection[str]) -> list[NodeKit]:
    """The kits of the nodes that are alive and take tasks, but for want of disk.

    ``wanted``: modules and distributions to ask for. One round trip if ``likely`` names all these nodes.
    """
    pipe = connection.redis.pipeline(transaction=False)
    pipe.time()
    pipe.zrange(keys.SLOTS, 0, -1, withscores=True)
    pipe.smembers(keys.BLACKLIST)
    pipe.smembers(keys.DRAINING)
    pipe.hkeys(keys.CLOSED)
    told = _ask_kits(pipe, wanted, sorted(likely))
    moment, slots, black, draining, closed = told.others
    now_ms = ms_of(moment)
    members = [member for member, lease_end in slots or () if lease_end > now_ms]
    alive = {slot.node for slot in unreadable.readable("slot", members, Slot.parse)}
    fields = unreadable.names("closed node", closed)
    leaving = {field.removesuffix(" leave") for field in fields if field.endswith(" leave")}
    shut = unreadable.names("node", [*(black or ()), *(draining or ())])
    names = alive - set(shut) - leaving
    kits = told.kits
    if new := sorted(names - kits.keys()):
        kits |= _ask_kits(connection.redis.pipeline(transaction=False), wanted, new).kits
    return [kits[name] for name in sorted(names) if kits[name].python]  # without: it is only just coming


class _Told(NamedTuple):
    others: list[Any]  # what the pipeline had before
    kits: dict[str, NodeKit]


def _ask_kits(pipe: Pipeline, wanted: Sequence[str], names: Sequence[str]) -> _Told:
    before = len(pipe)
    for name in names:
        pipe.hmget(keys.node(name), "python", "version", "protocol")
        pipe.exists(keys.packages(name))
        pipe.hmget(keys.packages(name), ["", *wanted])
    answers = unreadable.answers(pipe)
    kits = {}
    for i, name in enumerate(names):
        about, has_told, found = answers[before + 3 * i : before + 3 * i + 3]
        python, version, protocol = (
            (value or b"").decode("utf-8", "replace") for value in about or [None] * 3
        )
        packages = {
            key: value.decode("utf-8", "replace")
            for key, value in zip(wanted, (found or [None])[1:], strict=bool(found))
            if value is not None
        }
        # The first nodes did not tell their protocol.
        speaks = unreadable.number(protocol) or 1
        kits[name] = NodeKit(name, python, version, speaks, packages if has_told and found else None)
    return _Told(answers[:before], kits)


def live_slots(connection: Connection, now_ms: int | None = None) -> dict[str, int]:
    """Node -> its workers whose lease has not run out, now or at that time of the server's clock."""
    since = f"({server_ms(connection) if now_ms is None else now_ms}"
    members: Any = unreadable.answer(lambda: connection.redis.zrangebyscore(keys.SLOTS, since, "+inf"))
    return dict(Counter(slot.node for slot in unreadable.readable("slot", members, Slot.parse)))


def closed_nodes(connection: Connection) -> dict[str, str]:
    """Node -> why it takes no tasks now, for those that said so themselves."""
    return closed_of(unreadable.answer(lambda: connection.redis.hgetall(keys.CLOSED)))


def closed_of(told: Any) -> dict[str, str]:
    """The same, of what Redis has of it."""
    return {field.partition(" ")[0]: why for field, why in sorted(unreadable.lines(told).items())}


def is_suspended(redis: Redis) -> bool:
    """Whether RQ's workers, ours too, were told by ``rq suspend`` to take nothing."""
    try:
        return bool(redis.exists(keys.rq_suspended()))
    except NoPermissionError as error:  # users of an older ``ops/users.conf``
        unreadable.leave_out("the key", keys.rq_suspended(), error)
        return False


def master_address(connection: Connection) -> str:
    """``host:port`` of the leading master's HTTP address; empty if it serves none."""
    address: Any = unreadable.answer(lambda: connection.redis.get(keys.MASTER))
    return address.decode("utf-8", "replace") if address else ""


_FORGOTTEN, _UNKNOWN = -1, -2  # what forget_node.lua answers


class NodeAdmin:
    """What people decide about nodes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis

    def blacklist(self) -> set[str]:
        members: Any = self._redis.smembers(keys.BLACKLIST)
        return set(unreadable.names("blacklisted node", members))

    def draining(self) -> set[str]:
        members: Any = self._redis.smembers(keys.DRAINING)
        return set(unreadable.names("draining node", members))

    def close(self, node: str, *, drain: bool) -> None:
        """No new tasks for the node. What is queued there moves, or with ``drain`` is finished first.

        Raises ``DiscoError`` for a name that no node was ever seen by: a slip would keep tasks from nobody.
        """
        self._check_known(node)
        self._change(node, blacklisted=not drain, draining=drain)

    def open(self, node: str) -> None:
        """Tasks for the node again. Raises as ``close`` does, unless the name is one that is closed."""
        if node not in self.blacklist() | self.draining():
            self._check_known(node)
        self._change(node, blacklisted=False, draining=False)

    def _check_known(self, node: str) -> None:
        known = set(node_names(self._connection)) | live_slots(self._connection).keys()
        if node not in known:
            there = f"there are {' '.join(sorted(known))}" if known else "there is none"
            raise DiscoError(f"unknown node {node!r}: {there}")

    def forget(self, node: str) -> None:
        """Keep nothing more of a node that is gone for good; one that comes back is known again.

        Raises ``NodeAlive`` for one that was seen less than ``GONE_FOR_S`` ago, ``DiscoError`` for an unknown
        name.
        """
        told = self._forget(node, GONE_FOR_S)
        if told == _UNKNOWN:
            raise DiscoError(f"unknown node {node!r}")
        if told != _FORGOTTEN:
            raise NodeAlive(
                f"node {node!r} was seen {told // 1000} s ago: only one that is gone for {GONE_FOR_S:.0f} s "
                "can be forgotten"
            )

    def forget_left(self) -> list[str]:
        """Forget the nodes that said good-bye ``LEFT_FOR_S`` ago, which are returned.

        Those stay that are blacklisted or drained, and those that are to mark files of cleaned jobs as kept.
        """
        names = node_names(self._connection)
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hmget(keys.node(name), "left", "seen")
        left = [
            name
            for name, told in zip(names, unreadable.answers(pipe) if names else [], strict=True)
            if told and (unreadable.number(told[0]) or -1) >= (unreadable.number(told[1]) or 0)
        ]
        return [name for name in left if self._forget(name, LEFT_FOR_S, if_left=True) == _FORGOTTEN]

    def _forget(self, node: str, gone_for_s: float, *, if_left: bool = False) -> int:
        told: int = self._connection.run(
            "forget_node",
            [
                *(keys.SLOTS, keys.NODES, keys.node(node), keys.packages(node), keys.purges(node)),
                *(keys.wake(node), keys.BLACKLIST, keys.DRAINING, keys.CLOSED, keys.CONTROL),
            ],
            [node, int(gone_for_s * 1000), int(if_left)],
        )
        return told

    def _change(self, node: str, *, blacklisted: bool, draining: bool) -> None:
        pipe = self._redis.pipeline(transaction=True)
        (pipe.sadd if blacklisted else pipe.srem)(keys.BLACKLIST, node)
        (pipe.sadd if draining else pipe.srem)(keys.DRAINING, node)
        pipe.xadd(keys.CONTROL, {"k": "nodes", "n": node})
        pipe.execute()


def say_good_bye(connection: Connection, node: str) -> None:
    """Workers of a node, all perhaps, end as they were asked to. While one lives it counts for nothing."""
    if connection.redis.sismember(keys.NODES, node):
        connection.redis.hset(keys.node(node), "left", server_ms(connection))


class NodeStore:
    """One node's own entries."""

    def __init__(self, connection: Connection, node: str) -> None:
        self._connection = connection
        self._redis = connection.redis
        self._node = node

    def register(self, about: Mapping[str, str]) -> None:
        """Say where the node is, and that a worker of it came."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.sadd(keys.NODES, self._node)
        fields: Any = dict(about)
        pipe.hset(keys.node(self._node), mapping=fields)
        pipe.xadd(keys.CONTROL, {"k": "nodes", "n": self._node})
        pipe.execute()

    def tell_again(self, about: Mapping[str, str]) -> bool:
        """Register once more if Redis has forgotten the node, or a part of what this process told of it: it
        was emptied, or started without its data. True: it had.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.sismember(keys.NODES, self._node)
        pipe.hmget(keys.node(self._node), list(about))
        is_known, told = pipe.execute()
        # What another life of the node has told since is left alone.
        if is_known and None not in told:
            return False
        self.register(about)
        return True

    def report(self, load: Mapping[str, int | float]) -> None:
        """How much memory and disk the node has, how busy it is, and what its clock says."""
        fields: Any = {**load, "clock_ms": local_ahead_ms(self._connection)}
        self._redis.hset(keys.node(self._node), mapping=fields)

    def has_told_packages(self) -> bool:
        """Whether Redis has what is installed there: a node that tells nothing may well have nothing."""
        return bool(self._redis.exists(keys.packages(self._node)))

    def tell_packages(self, installed: Mapping[str, str]) -> None:
        """What is installed there: modules and distributions, as ``installed`` tells them."""
        fields: Any = dict(installed)
        pipe = self._redis.pipeline(transaction=True)
        pipe.delete(keys.packages(self._node))
        if fields:
            pipe.hset(keys.packages(self._node), mapping=fields)
        pipe.execute()

    def drop_slots(self, worker: str, *, good_bye: bool = False) -> None:
        """Workers whose name begins so have left. ``good_bye``: as they were asked to."""
        if good_bye:
            say_good_bye(self._connection, self._node)
        members: Any = self._redis.zrange(keys.SLOTS, 0, -1)
        gone = [member for member in members if member.startswith(f"{self._node} {worker}".encode())]
        pipe = self._redis.pipeline(transaction=True)
        if gone:
            pipe.zrem(keys.SLOTS, *gone)
        pipe.xadd(keys.CONTROL, {"k": "nodes", "n": self._node})
        pipe.execute()

    def lose_worker(self, worker: str) -> None:
        """The processes of its workers whose name begins so have ended, and all that they had started.

        The master need not wait for the leases of their attempts to run out.
        """
        members: Any = self._redis.zrange(keys.LEASES, 0, -1)
        leases = unreadable.readable("lease", members, Lease.parse)
        pipe = self._redis.pipeline(transaction=False)
        for lease in leases:
            pipe.hget(keys.JobKeys(lease.job).tasks, str(lease.task))
            pipe.hget(keys.JobKeys(lease.job).copies, str(lease.task))
        found = unreadable.answers(pipe)
        states = [unreadable.read("task", state, TaskState.parse) if state else None for state in found]
        ended = []
        for i, lease in enumerate(leases):
            here = "running", lease.attempt, self._node
            for state in states[2 * i : 2 * i + 2]:
                if (
                    state
                    and (state.state, state.attempt, state.node) == here
                    and state.worker.startswith(worker)
                ):
                    ended.append(lease.member)
        if ended:
            self._redis.zadd(keys.LEASES, dict.fromkeys(ended, PROCESS_ENDED), xx=True)
        self.drop_slots(worker)

    def close(self, cause: Cause, why: str) -> bool:
        """Take no tasks for this cause; what is queued moves. True: the cluster did not know it yet."""
        new = self._redis.hset(keys.CLOSED, f"{self._node} {cause}", why) == 1
        if new:
            self._redis.xadd(keys.CONTROL, {"k": "nodes", "n": self._node})
        return new

    def open(self, cause: Cause) -> bool:
        """The cause is gone. True: the cluster did not know it yet."""
        known = self._redis.hdel(keys.CLOSED, f"{self._node} {cause}") == 1
        if known:
            self._redis.xadd(keys.CONTROL, {"k": "nodes", "n": self._node})
        return known

    def purges(self) -> list[str]:
        """The jobs whose files this node is to delete."""
        return [asked for asked in self._asked() if not asked.startswith((KEEP, SPARE))]

    def spares(self) -> list[str]:
        """The jobs that are purged, and whose files stay for others."""
        return [asked.removeprefix(SPARE) for asked in self._asked() if asked.startswith(SPARE)]

    def keeps(self) -> list[str]:
        """The jobs whose files this node is to keep for good: Redis forgets them."""
        return [asked.removeprefix(KEEP) for asked in self._asked() if asked.startswith(KEEP)]

    def _asked(self) -> list[str]:
        members: Any = self._redis.smembers(keys.purges(self._node))
        return [asked.decode("utf-8", "surrogateescape") for asked in members]

    def unknown_jobs(self, jobs: Sequence[str]) -> set[str]:
        """Those of which Redis has nothing, and has asked nothing, and whose files no other job needs."""
        asked = {name.removeprefix(KEEP).removeprefix(SPARE) for name in self._asked()}
        pipe = self._redis.pipeline(transaction=False)
        for name in jobs:
            job = keys.JobKeys(name)
            pipe.exists(job.job, job.spec, job.tasks, job.outputs, job.events, keys.adopters(name))
        return {name for name, found in zip(jobs, pipe.execute(), strict=True) if not found} - asked

    def tell_unknown(self, jobs: int, first_s: float) -> None:
        """Of so many jobs that Redis does not know there are files, and the first are deleted so soon."""
        fields: Any = {"unknown_jobs": jobs, "swept_in_s": round(first_s)}
        self._redis.hset(keys.node(self._node), mapping=fields)

    def set_aside(self) -> None:
        """Rename keys of the node that are of another type than ours."""
        unreadable.set_aside(self._redis, keys.node_types(self._node))

    def wait_purge(self, timeout_s: float) -> bool:
        """Wait until a purge is asked for, at most so long. True: one was."""
        return self._redis.blpop([keys.wake(self._node)], timeout=max(timeout_s, 0.01)) is not None

    def noted(self, job: str) -> None:
        """The files of the job are marked, or it is noted that it is purged."""
        for asked in (KEEP, SPARE):
            self.purged(asked + job)

    def purged(self, job: str) -> None:
        """The files of the job are deleted."""
        self._redis.srem(keys.purges(self._node), job.encode("utf-8", "surrogateescape"))
