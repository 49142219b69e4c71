"""What is done to a cluster in one round of chaos: a plan made from a seed, and its carrying out."""

from __future__ import annotations

import heapq
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

import psutil

from disco_rq.model import LEASE_S
from tests.nodes import NodeCluster, Part, send
from tests.stepped import SteppedClock

Thing = TypeVar("Thing")
KINDS = {
    "kill a horse": 3,
    "kill a worker": 2,
    "kill a node": 2,
    "kill a master": 2,
    "kill Redis": 2,
    "stop a horse": 1,
    "stop a worker": 2,
    "stop a node": 2,
    "stop a master": 2,
    "stop Redis": 1,
    "freeze a horse": 1,
    "freeze a worker": 1,
    "freeze a node": 1,
    "freeze a master": 1,
    "freeze Redis": 1,
    "behead a node": 1,
    "step Redis": 2,
    "empty Redis": 1,
}
"""What may happen, and how often against the others. Who is frozen is stopped for longer than a lease. A node
that is beheaded loses its own process alone; of Redis the clock is stepped.
"""
LONGEST_STOP_S = 12.0
"""More than a lease, so that what goes on afterwards has been given up."""
FROZEN_S = (LEASE_S + 0.5, LEASE_S + 5.0)
LONGEST_GAP_S = 2.0
"""For how long a killed node, master or Redis is away, at most."""
STEPS_S = (-3600, -20, -3, 3, 20, 3600)
"""By how much the clock of Redis is stepped."""


@dataclass(frozen=True, slots=True)
class Harm:
    """One thing that happens to the cluster."""

    at_s: float  # after the beginning
    kind: str
    which: float  # of those that there are then, in [0, 1)
    lasts_s: float  # until it goes on, or is started again

    def __str__(self) -> str:
        return f"{self.kind} at {self.at_s:.1f} s for {self.lasts_s:.1f} s"


def plan(chance: random.Random, span_s: float) -> list[Harm]:
    """Two to six harms, at random moments of a span of time."""
    kinds = chance.choices(list(KINDS), weights=list(KINDS.values()), k=chance.randint(2, 6))
    return sorted(
        (
            Harm(
                at_s=chance.uniform(0, span_s),
                kind=kind,
                which=chance.random(),
                lasts_s=chance.uniform(*_durations_s(kind)),
            )
            for kind in kinds
        ),
        key=lambda harm: harm.at_s,
    )


def _durations_s(kind: str) -> tuple[float, float]:
    match kind.partition(" ")[0]:
        case "freeze":
            return FROZEN_S
        case "stop" | "step":
            return 0.0, LONGEST_STOP_S
        case _:
            return 0.0, LONGEST_GAP_S


@dataclass
class Havoc:
    """Does the harms of a plan when their time comes, and mends what they broke when theirs has."""

    cluster: NodeCluster
    clock: SteppedClock  # of Redis
    harms: Sequence[Harm]
    began: float = field(default_factory=time.monotonic)
    redis_is_up: bool = True
    times_emptied: int = 0
    _down: list[Part] = field(default_factory=list)  # killed, and not to be started again yet
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        for harm in self.harms:
            self._later(harm.at_s, lambda harm=harm: self._do(harm))  # type: ignore[misc]

    @property
    def is_over(self) -> bool:
        return not self._due

    def go_on(self) -> None:
        """Do what is due now; and start again what left because it found no Redis, as its host would."""
        for part in [*self.cluster.masters, *self.cluster.nodes.values()] if self.redis_is_up else ():
            if not part.is_running and part not in self._down and "cannot be reached" in part.last_words:
                part.start()
        while self._due and self._due[0][0] <= time.monotonic() - self.began:
            heapq.heappop(self._due)[2]()

    def _later(self, at_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at_s, next(self._numbers), action))

    def _do(self, harm: Harm) -> None:
        verb, _, what = harm.kind.partition(" ")
        mend_at_s = time.monotonic() - self.began + harm.lasts_s
        match verb, what:
            case "step", _:
                self.clock.step(_one_of(STEPS_S, harm.which))
                self._later(mend_at_s, lambda: self.clock.step(0))
            case _, "Redis" if not self.redis_is_up:
                return
            case "empty", _:
                self.cluster.connection.redis.flushdb()
                self.times_emptied += 1
            case _, "Redis":
                self._harm_redis(verb, mend_at_s)
            case _, "a master" | "a node":
                parts = self.cluster.masters if what == "a master" else list(self.cluster.nodes.values())
                running = [part for part in parts if part.is_running]
                if running:
                    self._harm_part(verb, _one_of(running, harm.which), mend_at_s)
            case _:
                nodes = self.cluster.nodes.values()
                processes = [
                    p for node in nodes for p in (node.workers() if "worker" in what else node.horses())
                ]
                if processes:
                    self._harm_process(verb, _one_of(processes, harm.which), mend_at_s)

    def _harm_redis(self, verb: str, mend_at_s: float) -> None:
        self.redis_is_up = False
        if verb == "kill":
            self.cluster.kill_redis()
            self._later(mend_at_s, self._start_redis)
        else:
            redis = psutil.Process(self.cluster.redis_pid)
            send(redis, signal.SIGSTOP)
            self._later(mend_at_s, lambda: self._wake_redis(redis))

    def _start_redis(self) -> None:
        self.cluster.start_redis()
        self.redis_is_up = True

    def _wake_redis(self, redis: psutil.Process) -> None:
        send(redis, signal.SIGCONT)
        self.redis_is_up = True

    def _harm_part(self, verb: str, part: Part, mend_at_s: float) -> None:
        if verb in ("kill", "behead"):
            part.kill() if verb == "kill" else part.behead()
            self._down.append(part)
            self._later(mend_at_s, lambda: self._start(part))
        else:
            part.stop()
            self._later(mend_at_s, part.go_on)

    def _start(self, part: Part) -> None:
        self._down.remove(part)
        part.start()

    def _harm_process(self, verb: str, process: psutil.Process, mend_at_s: float) -> None:
        if verb == "kill":
            send(process, signal.SIGKILL)
        else:
            send(process, signal.SIGSTOP)
            self._later(mend_at_s, lambda: send(process, signal.SIGCONT))


def _one_of(things: Sequence[Thing], which: float) -> Thing:
    return things[int(which * len(things))]
