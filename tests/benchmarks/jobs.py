"""The work as jobs of disco-rq, with the functions of ``works``, which other runners run, too."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from redis import Redis

from disco_rq import Disco, Params, func, result_iterator
from disco_rq.runtime import put
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from tests.benchmarks.costs import peak_memory, tree
from tests.benchmarks.measured import Measured
from tests.benchmarks.works import smalljob
from tests.benchmarks.works.groupby import REDUCES, count_and_sum
from tests.benchmarks.works.noop import nothing
from tests.benchmarks.works.sortlines import BOUNDS, digest
from tests.benchmarks.works.sortlines import REDUCES as RANGES
from tests.benchmarks.works.wordcount import blocks, words

Given = dict[str, Any]
PUTS_OF_ROUND = 150
"""A task may put 1,000."""
PUT_ROUNDS = 6


def job_of(disco: Disco, given: Given, **arguments: Any) -> Callable[[], dict[Any, Any]]:
    """Run it, all pairs back in the client; then, unmeasured, purge it."""
    job = disco.new_job("bench", given["paths"], **arguments)
    answer = dict(result_iterator(job.wait()))

    def purged() -> dict[Any, Any]:
        job.purge()
        return answer

    return purged


def wordcount(disco: Disco, given: Given) -> Callable[[], dict[str, int]]:
    return job_of(disco, given, map=words, combiner=func.sum_combiner, reduce=func.sum_reduce)


def wordcount_counter(disco: Disco, given: Given) -> Callable[[], dict[str, int]]:
    """A reader of blocks, and a ``Counter`` for each."""
    purged = job_of(
        disco,
        given,
        map_reader=_blocks,
        map=_count_block,
        combiner=func.sum_combiner,
        reduce=func.sum_reduce,
    )
    return lambda: {word.decode(): number for word, number in purged().items()}


def _blocks(fd: BinaryIO, size: int | None, fname: str) -> Iterator[bytes]:
    return blocks(fd)


def _count_block(block: bytes, params: Any) -> Any:
    return Counter(block.split()).items()


def groupby(disco: Disco, given: Given) -> Callable[[], dict[str, tuple[int, int]]]:
    return job_of(disco, given, map=words, reduce=_groups, sort=True, nr_reduces=REDUCES)


def _groups(pairs: Any, params: Any) -> Iterator[tuple[str, tuple[int, int]]]:
    for word, values in func.kvgroup(pairs):
        yield word, count_and_sum(values)


def sort_bytes(disco: Disco, given: Given) -> Callable[[], str]:
    """Lines as bytes, in ranges that the job finds itself."""
    return _sorted(disco, given, map=_split, map_reader=func.bytes_lines(), partition=func.total_order)


def sort_by_range(disco: Disco, given: Given) -> Callable[[], str]:
    """Lines as bytes, in ranges that a function of the user's says."""
    return _sorted(disco, given, map=_split, map_reader=func.bytes_lines(), partition=_by_range)


def _sorted(disco: Disco, given: Given, **arguments: Any) -> Callable[[], str]:
    job = disco.new_job(
        "bench", given["paths"], reduce=func.nop_reduce, sort=True, nr_reduces=RANGES, **arguments
    )
    results = job.wait()

    def answer() -> str:
        told = digest(b"%b%b\n" % pair for pair in result_iterator(results))
        job.purge()
        return told

    return answer


def _split(line: bytes, params: Any) -> list[tuple[bytes, bytes]]:
    return [(line[:10], line[10:])]


def _by_range(key: bytes, nr_reduces: int, params: Any) -> int:
    return sum(key >= bound for bound in BOUNDS)


def noop(disco: Disco, given: Given) -> Callable[[], dict[str, int]]:
    return job_of(disco, {"paths": [f"raw://{entry}" for entry in given["entries"]]}, map=nothing)


def smalljobs(disco: Disco, given: Given) -> Measured:
    """``purge`` tells whether a job's purge is part of it; otherwise they rest after it."""
    purges = []

    def job() -> dict[str, int]:
        job = disco.new_job("small", given["paths"], map=words, reduce=_add_up, sort=True, nr_reduces=1)
        answer = dict(result_iterator(job.wait()))
        began = time.perf_counter()
        if given["purge"]:
            job.purge()
        purges.append((time.perf_counter() - began) * 1000)
        return answer

    measured = smalljob.median(job, given)
    if not given["purge"]:
        return measured
    note = f"{measured.note}, purge {statistics.median(purges):.1f} ms"
    return Measured(measured.answer, measured.value, note)


def _add_up(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    return smalljob.add_up(func.kvgroup(pairs))


def emptyparts(disco: Disco, given: Given) -> Measured:
    """The reduces' worker time where all records are in some partitions."""
    inputs = [f"raw://{i}" for i in range(given["maps"])]
    began = time.perf_counter()
    job = disco.new_job(
        "empty", inputs, map=_one, reduce=func.sum_reduce, partition=_few, nr_reduces=given["reduces"]
    )
    answer = dict(result_iterator(job.wait()))
    ended = time.perf_counter() - began
    reduces_s = JobStore(Connection(disco.url)).record(job.name).count("reduce:ms") / 1000
    value = ended if given["whole"] else reduces_s

    def purged() -> dict[int, int]:
        job.purge()
        return answer

    return Measured(purged, value, f"the job {ended:.1f} s, its reduces {reduces_s:.2f} s of workers")


def _one(entry: str, params: Any) -> list[tuple[int, int]]:
    return [(int(entry) % 3, 1)]


def _few(key: int, nr_reduces: int, params: Any) -> int:
    """Three partitions with records, where there are so many; of 100 and fewer, one."""
    return key if nr_reduces > 100 else 0


def jsonl_rows(disco: Disco, given: Given) -> Callable[[], dict[str, int]]:
    return _sums(disco, given, map_reader=func.jsonl_reader(), map=_row)


def jsonl_batches(disco: Disco, given: Given) -> Callable[[], dict[str, int]]:
    return _sums(disco, given, map_reader=func.jsonl_batches(), map=_batch)


def parquet_rows(disco: Disco, given: Given) -> Callable[[], dict[str, int]]:
    return _sums(disco, given, map_reader=func.parquet_reader(columns=["country", "cents"]), map=_row)


def parquet_batches(disco: Disco, given: Given) -> Callable[[], dict[str, int]]:
    return _sums(disco, given, map_reader=func.parquet_batches(columns=["country", "cents"]), map=_batch)


def polars_batches(disco: Disco, given: Given) -> Callable[[], dict[str, int]]:
    reader = func.parquet_batches(columns=["country", "cents"])
    return _sums(disco, given, map_reader=reader, map=_batch_by_polars)


def _sums(disco: Disco, given: Given, **arguments: Any) -> Callable[[], dict[str, int]]:
    return job_of(disco, given, combiner=func.sum_combiner, reduce=func.sum_reduce, nr_reduces=1, **arguments)


def _row(row: dict[str, Any], params: Any) -> list[tuple[str, int]]:
    return [(row["country"], row["cents"])]


def _batch(batch: Any, params: Any) -> list[tuple[str, int]]:
    import pyarrow

    from tests.benchmarks.works.columns import sums

    return sums(pyarrow.Table.from_batches([batch]))


def _batch_by_polars(batch: Any, params: Any) -> Any:
    import polars

    frame: Any = polars.from_arrow(batch)
    return frame.group_by("country").agg(polars.sum("cents")).iter_rows()


def puts(disco: Disco, given: Given) -> Measured:
    """``put`` beside a bare HSET of redis-py, in the same task, over a connection of its kind."""
    job = disco.new_job("oob", ["raw://entry"], map=_both, params=Params(url=disco.url))
    taken = dict(result_iterator(job.wait()))
    number = len(job.oob_list())
    job.purge()
    Redis.from_url(disco.url).delete("bench:hash")
    return Measured(number, taken["put"], beside=taken["hset"])


def _both(entry: str, params: Any) -> Iterator[tuple[str, float]]:
    redis = Redis.from_url(params.url)
    redis.ping()
    puts, sets = [], []
    for turn in range(PUT_ROUNDS):
        began = time.perf_counter()
        for i in range(PUTS_OF_ROUND):
            put(f"{turn}:{i}", "value")
        between = time.perf_counter()
        for i in range(PUTS_OF_ROUND):
            redis.hset("bench:hash", f"{turn}:{i}", "value")
        puts.append((between - began) / PUTS_OF_ROUND)
        sets.append((time.perf_counter() - between) / PUTS_OF_ROUND)
    redis.close()
    yield "put", statistics.median(puts[1:])
    yield "hset", statistics.median(sets[1:])


def memory(disco: Disco, given: Given) -> Measured:
    """The largest worker of a group-by that may hold little. Resident: a limit kills for that."""
    with peak_memory(lambda: _workers(disco)) as memory:
        purged = job_of(
            disco,
            given,
            map=words,
            reduce=_groups,
            sort=True,
            nr_reduces=REDUCES,
            mem_sort_limit=given["limit_bytes"],
        )
    return Measured(purged, memory.largest_bytes)


def _workers(disco: Disco) -> Any:
    """Workers and their horses; without owner, Redis and master."""
    assert disco._cluster is not None
    parents = [process for process in tree(disco._cluster.pid)[:1][0].children() if process.children()]
    return [process for parent in parents for process in tree(parent.pid)]
