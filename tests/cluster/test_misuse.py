"""What a job function does wrong is told by its own name: which function, where it is, what it gave."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from disco_rq import Disco, JobError, local, result_iterator
from disco_rq.func import object_writer, sum_combiner
from tests.cluster.small_jobs import PATIENCE_S, death, run

ENTRIES = 12_000


def ones(entry: str, params: Any) -> list[tuple[str, int]]:
    return [(entry, 1)]


Run = Callable[..., list[Any]]
Death = Callable[..., str]


@pytest.fixture(params=["cluster", "local"])
def results(request: pytest.FixtureRequest, disco: Disco) -> Run:
    def of(**arguments: Any) -> list[Any]:
        if request.param == "local":
            return list(result_iterator(local.run("small", ["raw://entry"], **arguments).wait()))
        return list(result_iterator(run(disco, **arguments).wait(timeout=PATIENCE_S)))

    return of


@pytest.fixture(params=["cluster", "local"])
def dead(request: pytest.FixtureRequest, disco: Disco) -> Death:
    def of(**arguments: Any) -> str:
        if request.param == "cluster":
            return death(disco, **arguments)
        with pytest.raises(JobError) as caught:
            local.run("small", ["raw://entry"], **arguments)
        return str(caught.value)

    return of


# -- decorators


def without_params(function: Callable[[str], Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(entry: str, params: Any) -> Any:
        return function(entry)

    return call


def with_list(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(pairs: Any, params: Any) -> list[tuple[Any, Any]]:
        out: list[tuple[Any, Any]] = []
        function(pairs, lambda key, value: out.append((key, value)), params)
        return out

    return call


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


@without_params
def one_of(entry: str) -> list[tuple[str, int]]:
    return [(entry, 1)]


@with_list
def emitting(pairs: Any, emit: Callable[[Any, Any], None], params: Any) -> None:
    for key, value in pairs:
        emit(key, value)


@as_it_is
def yielding(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
    yield from pairs


@as_it_is
def adding(pairs: Any, out: Any, params: Any) -> None:
    for key, value in pairs:
        out.add(key, value)


@pytest.mark.parametrize("reduce", [emitting, yielding, adding])
def test_a_function_behind_a_decorator_is_called_as_the_decorator_takes_it(
    results: Run, reduce: Callable[..., Any]
) -> None:
    assert results(map=one_of, reduce=reduce) == [("entry", 1)]


# -- readers


def forgot_to_return(fd: Any, size: Any, name: Any) -> None:
    list(fd)


def gives_text(fd: Any, size: Any, name: Any) -> Any:
    return fd.read().decode()


@pytest.mark.parametrize(
    ("reader", "given"), [(forgot_to_return, "and gave None"), (gives_text, "and gave 'entry'")]
)
def test_a_reader_that_gives_no_entries_is_named(dead: Death, reader: Callable[..., Any], given: str) -> None:
    told = dead(map=ones, map_reader=reader)

    assert f"map_reader must return or yield entries, {given}" in told
    assert f"({reader.__name__} at test_misuse.py:{reader.__code__.co_firstlineno})" in told


def test_a_reduce_reader_is_named_too(dead: Death) -> None:
    assert "reduce_reader must return or yield entries, and gave None (forgot_to_return at" in dead(
        map=ones, map_writer=object_writer, reduce=yielding, reduce_reader=forgot_to_return
    )


# -- pairs


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("ab", "gave the str 'ab'; 'a' is not a pair"),
        ({("a", "b"): 1}, "gave the dict {('a', 'b'): 1}; its items() are pairs"),
        (["ab"], "this is not a pair: 'ab'"),
        ([{1, 2}], "this is not a pair: {1, 2}"),
        ([("a", 1, 2)], "this is not a pair: ('a', 1, 2)"),
        ([10**5000], "this is not a pair: <int that cannot be shown: ValueError>"),
    ],
)
def test_a_map_that_gives_no_pairs_is_named_with_what_it_gave(dead: Death, given: Any, told: str) -> None:
    def gives(entry: str, params: Any) -> Any:
        return given

    said = dead(map=gives)

    assert told in said
    assert "gives at test_misuse.py:" in said
    assert "in entry 1 of raw://entry" in said


@pytest.mark.parametrize("late", ["ab", {1, 2}, {1: 0, 2: 0}])
@pytest.mark.parametrize(
    "how",
    [{}, {"sort": True}, {"combiner": sum_combiner}, {"nr_reduces": 2, "reduce": yielding}],
    ids=["map", "sort", "combiner", "reduce"],
)
def test_what_is_no_pair_is_told_however_late_it_comes(dead: Death, late: Any, how: dict[str, Any]) -> None:
    def gives(entry: str, params: Any) -> Iterator[Any]:
        yield from ((number, 1) for number in range(ENTRIES))
        yield late
        yield from ((number, 1) for number in range(10))

    assert f"this is not a pair: {late!r}" in dead(map=gives, **how)


def test_a_dict_is_told_also_behind_many_entries_that_gave_nothing(dead: Death) -> None:
    def gives(entry: int, params: Any) -> Any:
        return {("a", "b"): 1} if entry == ENTRIES else None

    told = dead(map_reader=lambda fd, size, fname: range(ENTRIES + 1), map=gives)

    assert "gave the dict {('a', 'b'): 1}; its items() are pairs" in told


@pytest.mark.parametrize("writer", [None, object_writer])
def test_a_dict_is_no_pairs_for_out_extend(dead: Death, writer: Any) -> None:
    def extends(pairs: Any, out: Any, params: Any) -> None:
        out.extend({("a", "b"): 1})

    told = dead(map=ones, reduce=extends, reduce_writer=writer)

    assert "out.extend takes (key, value) pairs, and got {('a', 'b'): 1}; its items() are pairs" in told


def test_a_partition_function_may_answer_by_a_comparison(results: Run) -> None:
    found = results(map=ones, partition=lambda key, nr, params: key > "a", reduce=yielding, nr_reduces=2)
    assert found == [("entry", 1)]


def test_a_list_of_two_is_a_pair_however_late_it_comes(results: Run) -> None:
    def gives(entry: str, params: Any) -> Iterator[Any]:
        yield from ((number, 1) for number in range(ENTRIES))
        yield [ENTRIES, 1]

    assert len(results(map=gives, sort=True)) == ENTRIES + 1


def test_a_combiner_that_gives_no_pairs_is_named(dead: Death) -> None:
    def combine(key: Any, value: Any, buffer: Any, done: bool, params: Any) -> Any:
        return ["ab"] if done else None

    told = dead(map=ones, combiner=combine)

    assert "combiner must return or yield (key, value) pairs, and this is not a pair: 'ab'" in told


# -- reduces


def calls_out(pairs: Any, out: Any, params: Any) -> None:
    out("a", 1)


def takes_the_values(first: Any, second: Any, params: Any) -> None:
    sum(second)


def forgets(pairs: Any, params: Any) -> None:
    list(pairs)


def gives_words(pairs: Any, params: Any) -> list[str]:
    return ["ab"]


@pytest.mark.parametrize(
    ("reduce", "told"),
    [
        (calls_out, "a pair is given out by out.add(key, value)"),
        (takes_the_values, "disco_rq.func.kvgroup(pairs) gives the values of each key"),
        (gives_words, "reduce must return or yield (key, value) pairs, and this is not a pair: 'ab'"),
    ],
)
def test_a_reduce_that_is_meant_for_another_system_is_told_how_it_is_here(
    dead: Death, reduce: Callable[..., Any], told: str
) -> None:
    assert told in dead(map=ones, reduce=reduce)


def test_a_reduce_that_gives_nothing_is_told_in_the_history(disco: Disco) -> None:
    for job in (
        disco.new_job("none", ["raw://a"], map=ones, reduce=forgets),
        local.run("none", ["raw://a"], map=ones, reduce=forgets),
    ):
        assert list(result_iterator(job.wait())) == []
        told = "reduce:0: reduce gave nothing: it yields (key, value) pairs, or takes out (forgets at "
        assert any(line.startswith(told) for _, (_, _, line) in job.events())


def test_a_reduce_that_only_counts_needs_no_pairs(results: Run) -> None:
    def counts(pairs: Any, params: Any) -> None:
        counter("pairs", len(list(pairs)))  # type: ignore[name-defined]  # noqa: F821  a runtime name

    assert results(map=ones, reduce=counts) == []
