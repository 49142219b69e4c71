"""Five of Disco's own examples, as "Coming from Disco" says that one translates them.

They are count_words, grep, estimate_pi, simple_innerjoin and faq/chain of Disco 0.3 to 0.5.
"""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.func import chain_reader, kvgroup
from disco_rq.runtime import this_input
from tests.documents import example, output_of, page, section

WAIT_S = 30


def test_count_words(disco: Disco) -> None:
    def map(line: str, params: Any) -> Iterator[tuple[str, int]]:
        for word in line.split():
            yield word, 1

    def reduce(iter: Any, params: Any) -> Iterator[tuple[str, int]]:
        for word, counts in kvgroup(sorted(iter)):  # as in Disco; with sort=True it need not fit into memory
            yield word, sum(counts)

    job = disco.new_job("count_words", ["raw://to be or", "raw://not to be"], map=map, reduce=reduce)

    assert dict(result_iterator(job.wait(WAIT_S))) == {"to": 2, "be": 2, "or": 1, "not": 1}


def test_the_page_shows_it_as_it_runs() -> None:
    assert "count_words.py" in page("coming-from")
    assert output_of(example(section("coming-from", "Disco"))) == ["a 2", "b 1"]


class Grep(Job):
    """Disco gives ``params`` to a reader; here what depends on them is in the map."""

    params = Params(pattern="")

    @staticmethod
    def map(line: str, params: Any) -> Iterator[tuple[str | None, str]]:
        if re.match(params.pattern, line):
            yield this_input(), line


def test_grep(disco: Disco, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("error one\nfine\nerror two\n")

    job = Grep.submit(disco, [str(log)], params=Params(pattern="err"))

    found = list(result_iterator(job.wait(WAIT_S)))
    assert [line for _, line in found] == ["error one", "error two"]
    assert {Path(str(address)).name for address, _ in found} == {"log"}


def test_estimate_pi(disco: Disco) -> None:
    count = 40

    def map(line: str, params: Any) -> Iterator[tuple[int, int]]:
        x, y = random.random(), random.random()
        yield 0, 1 if x * x + y * y < 1 else 0

    job = disco.new_job("estimate_pi", ["raw://0"] * count, map=map)

    total = sum(value for _, value in result_iterator(job.wait(WAIT_S)))
    assert 0 < total < count
    assert job.jobinfo()["mapi"][2] == count


class CsvInnerJoiner(Job):
    """``partitions`` is ``nr_reduces``, the reader has no ``params``, and ``fd`` gives bytes."""

    nr_reduces = 2
    sort = True

    @staticmethod
    def map(row: list[str], params: Any) -> Iterator[tuple[str, list[str]]]:
        yield row[0], row[1:]

    @staticmethod
    def map_reader(fd: BinaryIO, size: int | None, url: str) -> Iterator[list[str]]:
        yield from csv.reader(io.TextIOWrapper(fd))

    @staticmethod
    def reduce(rows_iter: Any, out: Any, params: Any) -> None:
        for url_key, descriptors in kvgroup(rows_iter):
            merged_descriptors = list(chain.from_iterable(descriptors))
            if len(merged_descriptors) > 1:
                out.add(url_key, merged_descriptors)


def test_simple_innerjoin(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "left.csv").write_text("a,1\nb,2\n")
    (tmp_path / "right.csv").write_text("b,3\nc,4\n")

    job = CsvInnerJoiner.submit(disco, [str(tmp_path / "left.csv"), str(tmp_path / "right.csv")])

    [(key, values)] = result_iterator(job.wait(WAIT_S))
    assert (key, sorted(values)) == ("b", ["2", "3"])


class FirstJob(Job):
    input = ("raw://0", "raw://0")

    @staticmethod
    def map(line: str, params: Any) -> Iterator[tuple[int, str]]:
        yield int(line) + 1, ""


class ChainJob(Job):
    map_reader = chain_reader

    @staticmethod
    def map(entry: tuple[int, str], params: Any) -> Iterator[tuple[int, str]]:
        key, value = entry  # Python 3 has no tuples among parameters
        yield key + 1, value  # an int comes back as an int


def test_chain(disco: Disco) -> None:
    last: Job = FirstJob.submit(disco)
    for _ in range(3):
        last = ChainJob.submit(disco, last.wait(WAIT_S))

    assert list(result_iterator(last.wait(WAIT_S))) == [(4, ""), (4, "")]
