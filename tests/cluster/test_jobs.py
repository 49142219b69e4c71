"""Whole jobs with known answers, on real worker processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, Params, result_iterator
from disco_rq.func import kvgroup, sum_combiner
from tests.cluster import helper_module

LINE_WORDS = Counter(["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"])
WORDS = {word: count * 10 for word, count in LINE_WORDS.items()}


def count_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in line.split():
        yield word, 1


def sum_groups(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, counts in kvgroup(pairs):
        yield word, sum(counts)


def test_word_count_gives_the_known_counts(disco: Disco, text_files: list[str]) -> None:
    job = disco.new_job("words", text_files, map=count_words, reduce=sum_groups, sort=True, nr_reduces=3)
    assert dict(result_iterator(job.wait(timeout=30))) == WORDS


def test_a_combiner_changes_nothing_but_the_work(disco: Disco, text_files: list[str]) -> None:
    functions: dict[str, Any] = {"map": count_words, "combiner": sum_combiner, "reduce": sum_groups}
    job = disco.new_job("words", text_files, sort=True, **functions)
    assert dict(result_iterator(job.wait(timeout=30))) == WORDS


def test_reduce_in_disco_form_writes_with_out_add(disco: Disco, text_files: list[str]) -> None:
    def reduce(pairs: Any, out: Any, params: Any) -> None:
        for word, counts in kvgroup(pairs):
            out.add(word, sum(counts))

    job = disco.new_job("words", text_files, map=count_words, reduce=reduce, sort=True)
    assert dict(result_iterator(job.wait(timeout=30))) == WORDS


def test_map_only_gives_one_output_per_map(disco: Disco, text_files: list[str]) -> None:
    job = disco.new_job("maponly", text_files, map=count_words)
    results = job.wait(timeout=30)
    assert len(results) == 4
    assert Counter(word for word, _ in result_iterator(results)) == WORDS


def test_raw_inputs_are_the_text_of_their_address_line_by_line(disco: Disco) -> None:
    def generated(line: str, params: Any) -> Iterator[tuple[str, int]]:
        for i in range(2):
            yield line, i

    texts = ["raw://", "raw://one", "raw://two words ü://?#%20", "raw://two\nlines\n"]
    job = disco.new_job("raw", texts, map=generated)
    lines = ["one", "two words ü://?#%20", "two", "lines"]
    assert list(result_iterator(job.wait(timeout=30))) == [(line, i) for line in lines for i in range(2)]


def test_an_empty_input_is_ready_without_results(disco: Disco) -> None:
    assert disco.new_job("empty", [], map=count_words).wait(timeout=10) == []


def test_lambdas_closures_and_functions_of_local_modules_are_shipped(disco: Disco) -> None:
    factor = 7

    def scale(entry: str, params: Any) -> list[tuple[str, int]]:
        return [(entry, helper_module.double(int(entry)) * factor + params.plus(1))]

    job = disco.new_job("closures", ["raw://1", "raw://2"], map=scale, params=Params(plus=lambda n: n + 100))
    assert dict(result_iterator(job.wait(timeout=30))) == {"1": 115, "2": 129}


def test_one_jobs_results_feed_the_next(disco: Disco, text_files: list[str]) -> None:
    from disco_rq.func import chain_reader

    first = disco.new_job("first", text_files, map=count_words, reduce=sum_groups, sort=True, nr_reduces=2)

    def swap(pair: tuple[str, int], params: Any) -> list[tuple[int, str]]:
        return [(pair[1], pair[0])]

    second = disco.new_job("second", first.wait(timeout=30), map=swap, map_reader=chain_reader)
    assert sorted(result_iterator(second.wait(timeout=30))) == sorted((n, word) for word, n in WORDS.items())


def test_big_files_are_cut_and_every_line_is_read_once(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{n}\n" for n in range(50_000)))

    def number(line: str, params: Any) -> list[tuple[int, int]]:
        return [(int(line), 1)]

    job = disco.new_job("cut", [str(path)], map=number, split_size=30_000)
    assert len(job.wait(timeout=60)) > 5
    assert sorted(n for n, _ in result_iterator(job.wait())) == list(range(50_000))


def test_a_user_exception_ends_the_job_with_its_traceback_only(disco: Disco, text_files: list[str]) -> None:
    def broken(line: str, params: Any) -> list[tuple[str, int]]:
        return [(line, 1 // (len(line) - len("jumps over the lazy dog")))]

    job = disco.new_job("broken", text_files, map=broken)
    with pytest.raises(JobError) as caught:
        job.wait(timeout=30)
    message = str(caught.value)
    assert "ZeroDivisionError" in message
    assert "in broken" in message
    assert "entry 2 of " in message
    assert "text" in message
    assert "stages.py" not in message
    assert job.results()[0] == "dead"


def test_jobinfo_counts_tasks_entries_and_records(disco: Disco, text_files: list[str]) -> None:
    job = disco.new_job("info", text_files, map=count_words, reduce=sum_groups, sort=True, nr_reduces=2)
    job.wait(timeout=30)
    info = job.jobinfo()
    assert info["active"] == "ready"
    assert info["mapi"] == [0, 0, 4, 0]
    assert info["redi"] == [0, 0, 2, 0]
    assert info["entries"]["map"] == 20
    assert info["records"]["map"] == 90
    assert info["records"]["reduce"] == len(WORDS)
    assert next(name for _, status, name in disco.joblist() if status == "ready") == job.name
