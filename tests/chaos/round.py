"""One round of chaos: ``python -m tests.chaos.round SEED [over-time]``. Says how it went; status 1 if it was
wrong. ``over-time``: the job has a pilot, checks, retries or the like for sure.

A word count of known answer, with OOB results and counters in each task, runs while the harms of the seed's
plan are done. It must end ready with exactly the answer, or dead with a cause that names a lost or killed
process; of a job that Redis was made to forget, who waits is told so, and it is submitted again. Then tasks
with descendants come to an end. At last nothing of all that may be left.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from disco_rq import Disco, Job, JobError, NoMaster, Params, UnknownJob, result_iterator
from tests.chaos import litter, rest
from tests.chaos.departures import Departure, Wrong
from tests.chaos.harms import Harm, Havoc, plan
from tests.chaos.lives import Company, Life, Reader
from tests.chaos.work import map_words, reduce_words
from tests.nodes import NodeCluster
from tests.stepped import SteppedClock

NODES, SLOTS, MAPS, REDUCES = ("a", "b", "c"), 2, 40, 4
SPAN_S = 4.0
"""An undisturbed run takes about so long; the harms begin within."""
TIMES = 6
"""Tasks take so many times as long on the slow node of a round: they lag, and are copied."""
DEADLINE_S = 90.0
LATE_S = 0.5
"""What was stopped and goes on after the end of the job gets so long to do harm."""
TOLD_S = 15.0
"""Who waits is told the end so much later at most: a server that is away is asked again after seconds."""
CAUSE = re.compile(
    r"was lost: (?:it gave no sign of life|its process ended)|was killed by SIG|exited with status"
    r"|Redis at .* cannot be reached"
)
"""What the cause of a dead job may be: it names what happened."""
ENDED = re.compile(r"it was (?:killed|purged)")
"""The cause of one that somebody goes on with."""
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "0", "naïve", "日本"]


@dataclass(frozen=True)
class Answer:
    """What a job left."""

    output: list[tuple[str, int]]
    oob: dict[str, Any]
    counters: dict[str, int]

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(
            output=sorted(result_iterator(job.wait(timeout=1))),
            oob={key: job.oob_get(key) for key in job.oob_list()},
            counters=job.jobinfo()["counters"],
        )


@dataclass(frozen=True)
class Round:
    """What a seed says: the job, what is done to the cluster, and what is to come out."""

    lines: list[str]
    seconds: list[float]  # what each task takes
    max_failures: int
    harms: list[Harm]
    slow: str  # the node on which tasks lag, "" for none
    litter: list[str]  # what each task leaves behind
    departure: Departure
    life: Life

    @classmethod
    def of_seed(cls, seed: int, *, over_time: bool = False) -> Round:
        chance = random.Random(seed)
        share = chance.choice([0.0, 0.1, 0.5])
        kinds = list(litter.KINDS)
        return cls(
            lines=[" ".join(chance.choices(WORDS, k=chance.randint(1, 30))) for _ in range(MAPS)],
            seconds=[chance.uniform(0.0, 2 * SPAN_S / MAPS * len(NODES) * SLOTS * 0.8) for _ in range(MAPS)],
            max_failures=chance.choice([3, 20]),
            harms=plan(chance, SPAN_S),
            slow=chance.choice([*NODES, ""]),
            litter=[chance.choice(kinds) if chance.random() < share else "" for _ in range(MAPS)],
            departure=Departure.of(chance),
            life=Life.of(chance, always=over_time),
        )

    def submit(self, disco: Disco, directory: Path, maps: int = MAPS) -> Job:
        """``directory``: for what the processes note that tasks leave behind."""
        return disco.new_job(
            "chaos",
            [f"raw://{line}" for line in self.lines[:maps]],
            map=map_words,
            reduce=reduce_words,
            sort=True,
            nr_reduces=REDUCES,
            max_failures=self.max_failures,
            params=Params(
                seconds=self.seconds,
                times={self.slow: TIMES},
                litter=self.litter,
                directory=str(directory),
            ),
            **self.life.arguments(),
        )

    def answer(self) -> Answer:
        counts = Counter(" ".join(self.lines).split())
        maps = {f"map:{i}": line.split() for i, line in enumerate(self.lines)}
        reduces = {f"reduce:{i}": bytes([255, i]) for i in range(REDUCES)}
        counters = {"words": counts.total(), "different": len(counts)}
        return Answer(sorted(counts.items()), maps | reduces, counters)

    def __str__(self) -> str:
        harms = "; ".join(map(str, self.harms))
        return f"{harms}; {sum(map(bool, self.litter))} tasks litter; {self.departure}; {self.life}"


class Waiter(threading.Thread):
    """Somebody else who waits for a job, and hears its end."""

    def __init__(self, url: str, job: str) -> None:
        super().__init__(daemon=True)
        self.job = job
        self.told = ""
        """``ready``, ``dead``, ``forgotten``, or what else he was told; "" not yet."""
        self._disco = Disco(url)  # here, while Redis is up
        self.start()

    def run(self) -> None:
        try:
            with self._disco as disco:
                disco.job(self.job).wait(timeout=DEADLINE_S)
            self.told = "ready"
        except UnknownJob:
            self.told = "forgotten"
        except JobError as error:
            is_known = CAUSE.search(str(error)) or ENDED.search(str(error))
            self.told = "dead" if is_known else f"another cause: {error}"
        except Exception as error:  # noqa: BLE001  whatever it is, the round tells it
            self.told = f"{type(error).__name__}: {error}"


class Game:
    """A round that is played on a cluster."""

    def __init__(self, this: Round, cluster: NodeCluster, clock: SteppedClock) -> None:
        self._this = this
        self._cluster = cluster
        self._notes = cluster.directory / "litter"
        self._notes.mkdir()
        self.jobs: list[Job] = []
        """All that were submitted; of the word counts the last one is not forgotten."""
        self.told: list[str] = []
        """What there is to say of the round."""
        self._waiters: list[Waiter] = []
        self._readers: list[Reader] = []
        if "reuse" in this.life.options:
            self.jobs.append(replace(this, life=Life()).submit(cluster.disco, self._notes, MAPS // 2))
            self.jobs[-1].wait(timeout=DEADLINE_S)
        self._submit()
        self._company = Company(cluster.disco, this.life, self.jobs)
        self._havoc = Havoc(cluster, clock, this.harms)

    def play(self) -> str:
        """What is wrong; "" if nothing is."""
        return self._watch() or self._judge() or self._read() or self._depart() or self._clear()

    def _submit(self) -> None:
        job = self._this.submit(self._cluster.disco, self._notes)
        self.jobs.append(job)
        self._waiters.append(Waiter(self._cluster.url, job.name))
        if "stream" in self._this.life.options:
            self._readers.append(Reader(self._cluster.url, job.name))

    def _watch(self) -> str:
        """Until all harms are done and mended, and the job has ended."""
        deadline = self._havoc.began + DEADLINE_S
        status = "active"
        while status == "active" or not self._havoc.is_over or not self._company.is_over:
            if time.monotonic() > deadline:
                return f"it hangs: {self.jobs[-1].results(timeout=0)[0]} {_info(self.jobs[-1])}"
            self._havoc.go_on()
            if self._havoc.redis_is_up:
                is_over = self._company.is_over  # before the look at the last job
                status = self.jobs[-1].results(timeout=0)[0]
                status = status if is_over or status == "unknown job" else "active"
            if status == "unknown job":
                if not self._havoc.times_emptied:
                    return "the job is unknown"
                status = "active"
                with contextlib.suppress(NoMaster):
                    self._submit()
            time.sleep(0.02)
        self._company.stop()
        if self._company.trouble:
            return f"who goes on with the job could not: {self._company.trouble}"
        self.told.append(f"{status} after {time.monotonic() - self._havoc.began:.1f} s")
        time.sleep(LATE_S)
        return ""

    def _judge(self) -> str:
        """The end of the last job, and what those were told who waited for each."""
        job = self.jobs[-1]
        status = job.results(timeout=0)[0]
        info = job.jobinfo()
        told = [(what, info[what]) for what in ("copies", "kept", "reused")]
        told += [("checked", (info["check"] or {}).get("done", 0))]
        self.told += [f"{number} {what}" for what, number in told if number or what == "copies"]
        if status == "dead":
            cause = str(info["cause"]["message"])
            if not CAUSE.search(cause):
                return f"dead without a cause that tells why: {cause}"
            self.told.append(cause)
        elif (got := Answer.of(job)) != (wanted := self._this.answer()):
            return f"not the answer:\n{got}\nbut\n{wanted}"
        for waiter in self._waiters:
            waiter.join(TOLD_S)
            may_be = {status} if waiter.job == job.name else {"ready", "dead", "forgotten"}
            if waiter.told not in may_be:
                return f"who waits for {waiter.job}, which is {may_be}, was told {waiter.told!r}"
        return ""

    def _read(self) -> str:
        """What those had who read the results as they came."""
        job = self.jobs[-1]
        status, wanted = job.results(timeout=0)[0], self._this.answer().output
        for reader in self._readers:
            reader.join(TOLD_S)
            may_be = {status} if reader.job == job.name else {"ready", "dead", "forgotten"}
            if reader.told not in may_be:
                return f"who reads {reader.job}, which is {may_be}, was told {reader.told!r}"
            if reader.told == "ready" and sorted(reader.pairs) != wanted:
                return f"who read the results had\n{sorted(reader.pairs)}\nand not\n{wanted}"
        return ""

    def _depart(self) -> str:
        if amiss := rest.wait_whole(self._cluster, SLOTS, self._havoc.go_on):
            return amiss
        directory = self._notes / "departures"
        directory.mkdir()
        try:
            free_s = self._this.departure.play(self._cluster, directory, SLOTS, self.jobs)
        except Wrong as wrong:
            return str(wrong)
        self.told.append(f"slots free after {free_s:.1f} s")
        return ""

    def _clear(self) -> str:
        for directory in (self._notes, self._notes / "departures"):
            problem, ended = rest.processes_left(directory, self._cluster.mark)
            if problem:
                return problem
            if ended:
                self.told.append(f"{ended} in sessions of their own were left")
        return rest.records_left(self._cluster, self.jobs)


def _info(job: Job) -> object:
    try:
        return job.jobinfo()
    except UnknownJob as error:
        return error


def _story(job: Job) -> str:
    try:
        return "\n".join(f"{at:.3f} {host}: {message}" for _, (at, host, message) in job.events())
    except UnknownJob as error:
        return str(error)


def play(seed: int, *, over_time: bool = False) -> tuple[bool, str]:
    """Play a round. (True if it went well, how it went)."""
    this = Round.of_seed(seed, over_time=over_time)
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    clock = SteppedClock(home)
    with NodeCluster(binary=clock.binary) as cluster:
        for _ in range(2):
            cluster.master()
        for name in NODES:
            cluster.node(name, SLOTS)
        cluster.wait_ready()
        game = Game(this, cluster, clock)
        problem = game.play()
        told = f"seed {seed}: {', '.join(game.told)}; {this}"
        if problem:
            told = "\n".join([told, problem, *map(_story, game.jobs), cluster.said()])
    shutil.rmtree(home)
    return not problem, told


if __name__ == "__main__":
    went_well, how = play(int(sys.argv[1]), over_time="over-time" in sys.argv[2:])
    print(how, flush=True)
    sys.exit(not went_well)
