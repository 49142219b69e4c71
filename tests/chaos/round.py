"""One round of chaos: ``python -m tests.chaos.round SEED``. Says how it went; status 1 if anything was wrong.

A word count of known answer, with OOB results and counters in each task, runs while the harms of the seed's
plan are done. It must end ready with exactly the answer, or dead with a cause that names a lost or killed
process.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, put, this_host, this_partition
from tests.chaos.harms import Harm, Havoc, plan
from tests.nodes import NodeCluster

NODES, SLOTS, MAPS, REDUCES = ("a", "b", "c"), 2, 40, 4
SPAN_S = 4.0
"""An undisturbed run takes about so long; the harms begin within."""
TIMES = 6
"""Tasks take so many times as long on the slow node of a round: they lag, and are copied."""
DEADLINE_S = 90.0
LATE_S = 0.5
"""What was stopped and goes on after the end of the job gets so long to do harm."""
CAUSE = re.compile(
    r"was lost: (?:it gave no sign of life|its process ended)|was killed by SIG|exited with status"
    r"|Redis at .* cannot be reached"
)
"""What the cause of a dead job may be: it names what happened."""
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "0", "naïve", "日本"]


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    words = line.split()
    put(f"map:{this_partition()}", words)
    counter("words", len(words))
    time.sleep(params.seconds[this_partition()] * params.times.get(this_host(), 1))
    for word in words:
        yield word, 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    time.sleep(params.seconds[this_partition()] * params.times.get(this_host(), 1))
    for word, ones in kvgroup(pairs):
        counter("different")
        yield word, sum(ones)
    put(f"reduce:{this_partition()}", bytes([255, this_partition()]))


@dataclass(frozen=True)
class Answer:
    """What a job left."""

    output: list[tuple[str, int]]
    oob: dict[str, Any]
    counters: dict[str, int]


@dataclass(frozen=True)
class Round:
    """What a seed says: the job, what is done to the cluster, and what is to come out."""

    lines: list[str]
    seconds: list[float]  # what each task takes
    max_failures: int
    harms: list[Harm]
    slow: str  # the node on which tasks lag, "" for none

    @classmethod
    def of_seed(cls, seed: int) -> Round:
        chance = random.Random(seed)
        return cls(
            lines=[" ".join(chance.choices(WORDS, k=chance.randint(1, 30))) for _ in range(MAPS)],
            seconds=[chance.uniform(0.0, 2 * SPAN_S / MAPS * len(NODES) * SLOTS * 0.8) for _ in range(MAPS)],
            max_failures=chance.choice([3, 20]),
            harms=plan(chance, SPAN_S),
            slow=chance.choice([*NODES, ""]),
        )

    def submit(self, disco: Disco) -> Job:
        return disco.new_job(
            "chaos",
            [f"raw://{line}" for line in self.lines],
            map=map_words,
            reduce=reduce_words,
            sort=True,
            nr_reduces=REDUCES,
            max_failures=self.max_failures,
            params=Params(seconds=self.seconds, times={self.slow: TIMES}),
        )

    def answer(self) -> Answer:
        counts = Counter(" ".join(self.lines).split())
        maps = {f"map:{i}": line.split() for i, line in enumerate(self.lines)}
        reduces = {f"reduce:{i}": bytes([255, i]) for i in range(REDUCES)}
        counters = {"words": counts.total(), "different": len(counts)}
        return Answer(sorted(counts.items()), maps | reduces, counters)


def play(seed: int) -> tuple[bool, str]:
    """Play a round. (True if it went well, how it went)."""
    this = Round.of_seed(seed)
    with NodeCluster() as cluster:
        for _ in range(2):
            cluster.master()
        for name in NODES:
            cluster.node(name, SLOTS)
        cluster.wait_ready()
        job = this.submit(cluster.disco)
        havoc = Havoc(cluster, this.harms)
        problem, end = _watch(job, havoc, this.answer())
        harms = "; ".join(map(str, this.harms))
        copies = job.jobinfo()["copies"]
        told = f"seed {seed}: {end} after {time.monotonic() - havoc.began:.1f} s, {copies} copies; {harms}"
        if problem:
            story = [f"{host}: {message}" for _, (_, host, message) in job.events()]
            told = "\n".join([told, problem, *story, cluster.said()])
    return not problem, told


def _watch(job: Job, havoc: Havoc, answer: Answer) -> tuple[str, str]:
    """What is wrong, "" if nothing is, and the job's status at its end."""
    deadline = havoc.began + DEADLINE_S
    status = "active"
    while status == "active" or not havoc.is_over:
        if time.monotonic() > deadline:
            return f"it hangs: {job.jobinfo()}", status
        havoc.go_on()
        if havoc.redis_is_up and status == "active":
            status = job.results(timeout=0)[0]
        time.sleep(0.02)
    time.sleep(LATE_S)
    if status == "dead":
        cause = str(job.jobinfo()["cause"]["message"])
        return (
            "" if CAUSE.search(cause) else f"dead without a cause that tells why: {cause}"
        ), f"dead: {cause}"
    got = Answer(
        output=sorted(result_iterator(job.wait(timeout=1))),
        oob={key: job.oob_get(key) for key in job.oob_list()},
        counters=job.jobinfo()["counters"],
    )
    return ("" if got == answer else f"not the answer:\n{got}\nbut\n{answer}"), status


if __name__ == "__main__":
    went_well, how = play(int(sys.argv[1]))
    print(how, flush=True)
    sys.exit(not went_well)
