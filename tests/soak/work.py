"""The jobs of the soak: small ones of every kind, each with an answer that is known, each gone at its end."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from disco_rq import Disco, Job, JobError, NoMaster, Params, result_iterator
from disco_rq.func import kvgroup, sum_combiner
from disco_rq.runtime import counter, data_err, err, msg, put, this_host, this_partition

MAX_FAILURES = 50
"""So that no job may end dead for what dies here."""
DEADLINE_S = 120.0
NO_MASTER_S = 40.0
"""For how long none may lead, after one was killed: its lease, and the start of the next."""
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "0", "naïve", "日本"]


class Wrong(Exception):
    """A job gave another answer than it should."""


@dataclass(frozen=True)
class Client:
    """Who submits jobs, looks at what comes out, and leaves nothing."""

    disco: Disco
    chance: random.Random
    gc_ok: Callable[[], bool]
    """Whether a job may be left to ``gc_after`` now, or is purged here."""

    @contextmanager
    def job(self, name: str, input: list[Any], **arguments: Any) -> Iterator[Job]:
        """A job, purged at the end of the block or left to the master."""
        left_to_gc = self.gc_ok() and self.chance.random() < 0.3
        deadline = time.monotonic() + NO_MASTER_S
        while True:
            try:
                job = self.disco.new_job(
                    name,
                    input,
                    max_failures=MAX_FAILURES,
                    gc_after=1.0 if left_to_gc else None,
                    **arguments,
                )
                break
            except NoMaster:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        try:
            yield job
        except (Wrong, JobError) as error:
            error.add_note(f"{job.name}: {job.jobinfo()}")
            for _, (at, host, message) in job.events():
                error.add_note(f"{at:.2f} {host}: {message}")
            raise
        finally:
            if not left_to_gc:
                job.purge()

    def lines(self) -> list[str]:
        count = self.chance.randint(3, 20)
        return [" ".join(self.chance.choices(WORDS, k=self.chance.randint(1, 40))) for _ in range(count)]


def _expect(what: str, got: Any, wanted: Any) -> None:
    if got != wanted:
        raise Wrong(f"{what}: {got!r}\nbut it is {wanted!r}")


# -- word counts


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    words = line.split()
    put(f"map:{this_partition()}", words)
    counter("words", len(words))
    if this_partition() == 0:
        msg("here is the first one")
    time.sleep(params.seconds)
    for word in words:
        yield word, 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in kvgroup(pairs):
        counter("different")
        yield word, sum(ones)
    put(f"reduce:{this_partition()}", bytes([255, this_partition()]))


def count_words(client: Client) -> None:
    """Maps and reduces with output, OOB results, counters, a message; now and then a profile."""
    lines, reduces = client.lines(), client.chance.randint(1, 3)
    counts = Counter(" ".join(lines).split())
    with client.job(
        "words",
        [f"raw://{line}" for line in lines],
        map=map_words,
        reduce=reduce_words,
        combiner=client.chance.choice([None, sum_combiner]),
        sort=True,
        nr_reduces=reduces,
        profile=client.chance.random() < 0.1,
        params=Params(seconds=client.chance.choice([0.0, 0.02, 0.3])),
    ) as job:
        results = job.wait(timeout=DEADLINE_S)
        _expect("output", sorted(result_iterator(results)), sorted(counts.items()))
        wanted: dict[str, Any] = {f"map:{i}": line.split() for i, line in enumerate(lines)}
        wanted |= {f"reduce:{i}": bytes([255, i]) for i in range(reduces)}
        _expect("OOB results", {key: job.oob_get(key) for key in job.oob_list()}, wanted)
        counters = {"words": counts.total(), "different": len(counts)}
        _expect("counters", job.jobinfo()["counters"], counters)


def one_each(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in line.split():
        yield word, 1


def chained(client: Client) -> None:
    """A job whose partitioned output a second one reduces."""
    lines = client.lines()
    inputs = [f"raw://{line}" for line in lines]
    with client.job("parts", inputs, map=one_each, nr_reduces=3) as first:
        results = first.wait(timeout=DEADLINE_S)
        with client.job("merged", list(results), reduce=reduce_words, sort=True) as second:
            got = sorted(result_iterator(second.wait(timeout=DEADLINE_S)))
            _expect("output", got, sorted(Counter(" ".join(lines).split()).items()))


# -- tasks that misbehave


def refuse_node(line: str, params: Any) -> list[tuple[str, str]]:
    if this_host() == params.bad:
        data_err(f"not on {params.bad}")
    return [(line, "seen")]


def retried(client: Client) -> None:
    """Tasks that one node fails: they run on another one."""
    lines = [str(i) for i in range(6)]
    bad = client.chance.choice(["b", "c"])
    inputs = [f"raw://{line}" for line in lines]
    with client.job("retried", inputs, map=refuse_node, params=Params(bad=bad)) as job:
        got = sorted(result_iterator(job.wait(timeout=DEADLINE_S)))
        _expect("output", got, [(line, "seen") for line in lines])


def give_up(line: str, params: Any) -> list[tuple[str, str]]:
    if line == "3":
        err("given up on purpose")
    return [(line, "")]


def dead(client: Client) -> None:
    """A job that ends itself."""
    with client.job("dead", [f"raw://{i}" for i in range(5)], map=give_up) as job:
        try:
            job.wait(timeout=DEADLINE_S)
        except JobError as error:
            if "given up on purpose" not in str(error):
                raise Wrong(f"another cause: {error}") from None
        else:
            raise Wrong("it is ready, though a task gave it up")


def sleep_long(line: str, params: Any) -> list[tuple[str, str]]:
    subprocess.Popen(["sleep", "300"])
    time.sleep(300)
    return []


def killed(client: Client) -> None:
    """A job that is killed, or purged, in the middle of tasks that have children."""
    with client.job("killed", ["raw://a", "raw://b", "raw://c"], map=sleep_long) as job:
        time.sleep(client.chance.uniform(0.0, 0.6))
        if client.chance.random() < 0.5:
            job.kill()
            _expect("status", job.results(timeout=5)[0], "dead")
        else:
            job.purge()


def leave_litter(line: str, params: Any) -> list[tuple[str, str]]:
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    threading.Thread(target=time.sleep, args=[300], daemon=True).start()
    kept = open("/etc/hostname", "rb")  # noqa: SIM115  nobody closes it
    globals().setdefault("litter", []).append(kept)
    return [(line, "done")]


def littered(client: Client) -> None:
    """Tasks that leave processes, threads and open files behind."""
    with client.job("littered", ["raw://a", "raw://b"], map=leave_litter) as job:
        got = sorted(result_iterator(job.wait(timeout=DEADLINE_S)))
        _expect("output", got, [("a", "done"), ("b", "done")])


# -- more of it


def nothing(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def many(client: Client) -> None:
    """Tasks that take no time, in batches."""
    with client.job("many", [f"raw://{i}" for i in range(150)], map=nothing, nr_reduces=0) as job:
        got = sorted(result_iterator(job.wait(timeout=DEADLINE_S)))
        _expect("output", got, sorted((str(i), 1) for i in range(150)))


def numbers(line: str, params: Any) -> Iterator[tuple[int, bytes]]:
    for i in range(2000):
        yield i % 97, bytes(1000)


def sizes(pairs: Any, params: Any) -> Iterator[tuple[int, int]]:
    for number, values in kvgroup(pairs):
        yield number, sum(len(value) for value in values)


def spilled(client: Client) -> None:
    """Maps and reduces that need more memory than they may have."""
    inputs = ["raw://a", "raw://b", "raw://c"]
    with client.job(
        "spilled", inputs, map=numbers, reduce=sizes, sort=True, nr_reduces=2, mem_sort_limit=1 << 20
    ) as job:
        got = sorted(result_iterator(job.wait(timeout=DEADLINE_S)))
        counts = Counter(i % 97 for i in range(2000))
        _expect("output", got, [(number, 3000 * counts[number]) for number in range(97)])


KINDS: dict[Callable[[Client], None], int] = {
    count_words: 8,
    chained: 3,
    many: 2,
    spilled: 2,
    retried: 1,
    dead: 1,
    killed: 1,
    littered: 1,
}
"""What is submitted, and how often against the others."""
