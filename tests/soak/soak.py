"""The soak itself: a cluster, its clients, what dies, and what was measured."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Self

from disco_rq import Disco
from tests.nodes import NodeCluster
from tests.soak import sample, visitor, work
from tests.soak.deaths import Deaths
from tests.soak.growth import LIMITS, trends
from tests.soak.work import Client

NODES, SLOTS, FOLLOWED = ("a", "b", "c"), 2, "a"
CLIENTS = 2
WARM = 1 / 12
SPARED = 1 / 3
"""The parts of the time after which figures count, and after which neither masters nor Redis die any more."""
ROUND_S = 60.0
VISIT_S = 7.0
GC_UNTIL_S = 20.0
"""Only in the beginning of a round are jobs left to the master's ``gc_after``: at its end they are gone."""
QUIET_S = 240.0
"""For how long the last jobs of a round may take, and the purges after it: longer than a client waits."""


class Soak:
    """Runs rounds of a minute, see ``tests.soak.__main__``."""

    def __init__(self, seed: int, seconds: float, pause_s: float) -> None:
        self._chance = random.Random(seed)
        self._began = time.monotonic()
        self._seconds, self._pause_s = seconds, pause_s
        self._cluster = NodeCluster()
        temporary = self._cluster.directory / "tmp"
        temporary.mkdir()
        self._cluster.environment |= {"TMPDIR": str(temporary), "DISCO_RQ_GRACE": "3"}
        self._files = [temporary, *map(self._cluster.data, NODES)]
        for _ in range(2):
            self._cluster.master()
        for name in NODES:
            self._cluster.node(name, SLOTS)
        self._cluster.wait_ready()
        spared_from = self._began + seconds * SPARED
        self._deaths = Deaths(self._cluster, self._chance, FOLLOWED, SLOTS, spared_from)
        self._samples: list[tuple[float, dict[str, float], Counter[str]]] = []
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self._round_began = 0.0
        self._may_work, self._ended = threading.Event(), threading.Event()
        self._busy = threading.Semaphore(CLIENTS)
        self._threads = [
            threading.Thread(target=self._submit, args=[random.Random(self._chance.random())], daemon=True)
            for _ in range(CLIENTS)
        ]
        self._threads.append(threading.Thread(target=self._visit, daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._may_work.set()
        self._cluster.close()

    @property
    def is_on(self) -> bool:
        return time.monotonic() - self._began < self._seconds

    # -- a round

    def minute(self, now: float) -> str:
        """A minute of jobs and deaths, then a sample at rest; how it went, in a line."""
        self._round_began = now
        until = min(now + ROUND_S, self._began + self._seconds)
        self._may_work.set()
        while time.monotonic() < until:
            self._deaths.go_on()
            time.sleep(0.1)
        self._deaths.rest()
        self._may_work.clear()
        self._wait_idle()
        self._wait_purged()
        self._deaths.rest()
        for what in self._deaths.unasked:
            print(what, flush=True)
        self.wrong += self._deaths.unasked
        self._deaths.unasked.clear()
        line = self._measure()
        for _ in range(CLIENTS):
            self._busy.release()
        return line

    def _wait_idle(self) -> None:
        """Each client gives its turn back when its job is through."""
        deadline = time.monotonic() + QUIET_S
        for _ in range(CLIENTS):
            while not self._busy.acquire(timeout=0.1):
                assert time.monotonic() < deadline, "a client does not come back"
                self._deaths.keep()

    def _wait_purged(self) -> None:
        """Jobs that were left to the master are gone, and no node has files to delete."""
        deadline = time.monotonic() + QUIET_S
        while left := [name for _, _, name in self._cluster.disco.joblist()]:
            assert time.monotonic() < deadline, f"these jobs are not purged: {left}"
            self._deaths.keep()
            time.sleep(0.1)

    def _measure(self) -> str:
        leader = self._deaths.leader()
        assert leader is not None
        figures = sample.take(self._cluster, leader, self._cluster.nodes[FOLLOWED], self._files)
        at = time.monotonic() - self._began
        self._samples.append((at, figures, sample.families(self._cluster)))
        shown = ", ".join(
            f"{name} {figures[name] / (1 << 20):.1f} MB"
            if "memory" in name
            else f"{name} {figures[name]:.0f}"
            for name in (
                "Redis keys",
                "Redis memory",
                "files",
                "processes",
                "open files",
                "master memory",
                "worker memory",
            )
        )
        return (
            f"{at / 60:5.1f} min: {self.done.total()} jobs, {len(self.wrong)} wrong, "
            f"{self._deaths.done.total()} deaths; {shown}"
        )

    # -- clients

    def _submit(self, chance: random.Random) -> None:
        with Disco(self._cluster.url) as disco:
            client = Client(disco, chance, lambda: time.monotonic() - self._round_began < GC_UNTIL_S)
            while not self._ended.is_set():
                self._may_work.wait()
                with self._busy:
                    self._one_job(client)
                self._ended.wait(self._pause_s * chance.uniform(0.5, 1.5))

    def _one_job(self, client: Client) -> None:
        kind = client.chance.choices(list(work.KINDS), weights=list(work.KINDS.values()))[0]
        try:
            kind(client)
        except Exception:  # noqa: BLE001  the boundary around all that a job may do: it is told, and the next one comes
            if not self._ended.is_set():
                self.wrong.append(f"{kind.__name__}: {traceback.format_exc()}")
                print(self.wrong[-1], flush=True)
        self.done[kind.__name__] += 1

    def _visit(self) -> None:
        chance = random.Random(0)
        with Disco(self._cluster.url) as disco:
            while not self._ended.wait(VISIT_S):
                self._may_work.wait()
                visitor.look(disco, chance)

    # -- the end

    def conclude(self) -> int:
        """Print what there is; 1 if anything grows or was wrong."""
        print(f"jobs: {_told(self.done)}\ndeaths: {_told(self._deaths.done)}")
        figures = [figures for _, figures, _ in self._samples]
        warm, spared = (
            sum(at < self._seconds * part for at, _, _ in self._samples) for part in (WARM, SPARED)
        )
        found = trends(figures, warm, spared)
        _show([("", "first quarter", "last quarter", "at most", ""), *(trend.row() for trend in found)])
        if len(found) < len(LIMITS):
            print(f"{len(figures)} samples are too few to tell for {len(LIMITS) - len(found)} figures")
        growing = [trend.name for trend in found if trend.grows]
        if "Redis keys" in growing or "Redis memory" in growing:
            self._show_keys(warm)
        print(
            f"{self.done.total()} jobs, {len(self.wrong)} wrong, {len(growing)} figures grow {growing or ''}"
        )
        return 1 if growing or self.wrong else 0

    def _show_keys(self, warm: int) -> None:
        before, after = self._samples[warm][2], self._samples[-1][2]
        for kind in sorted(before | after):
            if before[kind] != after[kind]:
                print(f"keys {kind}: {before[kind]} -> {after[kind]}")


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {number}" for what, number in counts.most_common())


def _show(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
