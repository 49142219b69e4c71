"""What dies during the soak: something every few seconds, and soon afterwards it is started again."""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable

from disco_rq.store.nodes import master_address
from tests.nodes import NodeCluster, Part, send

KINDS = {
    "horse": 8,
    "worker": 4,
    "node": 2,
    "node told to leave": 1,
    "leading master": 2,
    "Redis": 2,
}
"""What dies, and how often against the others."""
HEADS = ("leading master", "Redis")
GAP_S = (4.0, 14.0)
"""Between two deaths."""
AWAY_S = 2.0
"""For how long what was killed is away, at most."""
WHOLE_S = 60.0
LAST_CHARS = 4000
PAGE = re.compile(r"The web page: http://(\S+)")


class Deaths:
    """Kills by SIGKILL, and starts again.

    Whose memory is followed must live: of the node ``spared`` only horses die, and a leading master and Redis
    (after whose death a master reads everything anew) only until ``heads_until``.
    """

    def __init__(
        self, cluster: NodeCluster, chance: random.Random, spared: str, slots: int, heads_until: float
    ) -> None:
        """``slots``: of each node. ``heads_until``: by ``time.monotonic``."""
        self._cluster = cluster
        self._slots = slots
        self._chance = chance
        self._mortal = [node for name, node in cluster.nodes.items() if name != spared]
        self._heads_until = heads_until
        self._next_at = time.monotonic() + GAP_S[0]
        self._mend_at = 0.0
        self._mend: Callable[[], None] | None = None
        self._leaving: set[Part] = set()
        self.unasked: list[str] = []
        """What ended though nobody had harmed it."""
        self.done: Counter[str] = Counter()
        """What has died, and how often."""

    def go_on(self) -> None:
        """Do what is due; meanwhile, start again what has ended."""
        now = time.monotonic()
        if self._mend is not None:
            if now >= self._mend_at:
                self._mend_now()
        elif now >= self._next_at:
            self._next_at = now + self._chance.uniform(*GAP_S)
            kind = self._chance.choices(list(KINDS), weights=list(KINDS.values()))[0]
            if kind not in HEADS or now < self._heads_until:
                self._strike(kind)
        else:
            self.keep()

    def keep(self) -> None:
        """Start again what has ended, as its host would; while nothing is away."""
        for part in [*self._cluster.masters, *self._cluster.nodes.values()]:
            if not part.is_running:
                self._start_again(part)

    def rest(self) -> None:
        """Mend everything, and return when the whole cluster is up."""
        if self._mend is not None:
            self._mend_now()
        deadline = time.monotonic() + WHOLE_S
        while not self._is_whole():
            self.go_on()
            if time.monotonic() > deadline:
                raise AssertionError(f"the cluster does not become whole again: {self._state()}")
            self._next_at = time.monotonic() + self._chance.uniform(*GAP_S)
            time.sleep(0.1)

    def _is_whole(self) -> bool:
        nodes = self._cluster.nodes.items()
        return self.leader() is not None and all(
            self._cluster.slots(name) == len(node.workers()) == self._slots for name, node in nodes
        )

    def _start_again(self, part: Part) -> None:
        """It was told to leave, or left because it found no Redis; anything else is wrong."""
        if part not in self._leaving and "cannot be reached" not in part.last_words:
            self.unasked.append(f"{part.name} ended by itself: {part.said[-LAST_CHARS:]}")
        self._leaving.discard(part)
        part.start()

    def _state(self) -> str:
        leader = self.leader()
        nodes = {
            name: (self._cluster.slots(name), [worker.pid for worker in node.workers()], node.said[-2000:])
            for name, node in self._cluster.nodes.items()
        }
        return f"{leader and leader.name} leads; nodes, their slots, workers and last words: {nodes}"

    def leader(self) -> Part | None:
        """The master that leads, if one does: the one with the address that Redis tells."""
        address = master_address(self._cluster.connection)
        for master in self._cluster.masters:
            told = PAGE.findall(master.said)
            if master.is_running and told and told[-1] == address:
                return master
        return None

    def _strike(self, kind: str) -> None:
        match kind:
            case "horse" | "worker":
                nodes = self._cluster.nodes.values() if kind == "horse" else self._mortal
                found = [
                    one for node in nodes for one in (node.horses() if kind == "horse" else node.workers())
                ]
                if not found:
                    return
                send(self._chance.choice(found), signal.SIGKILL)
            case "node":
                self._kill(self._chance.choice(self._mortal))
            case "node told to leave":
                node = self._chance.choice(self._mortal)
                if not node.is_running:
                    return
                node.ask_to_end()
                self._leaving.add(node)
            case "leading master":
                leader = self.leader()
                if leader is None:
                    return
                self._kill(leader)
            case "Redis":
                self._cluster.kill_redis()
                self._later(self._chance.uniform(0, AWAY_S), self._cluster.start_redis)
        self.done[kind] += 1

    def _kill(self, part: Part) -> None:
        part.kill()
        self._later(self._chance.uniform(0, AWAY_S), part.start)

    def _later(self, after_s: float, mend: Callable[[], None]) -> None:
        self._mend_at, self._mend = time.monotonic() + after_s, mend

    def _mend_now(self) -> None:
        mend, self._mend = self._mend, None
        assert mend is not None
        mend()
