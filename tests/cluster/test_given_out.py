"""What a job gave out counts as it was then: on a cluster, and in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from disco_rq import Disco, func, local, result_iterator
from disco_rq.runtime import skip_entry
from tests.cluster.small_jobs import PATIENCE_S

Run = Callable[..., list[Any]]


@pytest.fixture(params=["cluster", "local"])
def rows(request: pytest.FixtureRequest) -> Run:
    """Runs a job, and gives the pairs of its results."""
    if request.param == "local":
        return lambda **arguments: list(result_iterator(local.run("given", **arguments).wait()))
    disco: Disco = request.getfixturevalue("disco")
    return lambda **arguments: list(
        result_iterator(disco.new_job("given", **arguments).wait(timeout=PATIENCE_S))
    )


def filled_again(line: str, params: Any) -> Iterator[tuple[int, Any]]:
    record: dict[str, Any] = {"inner": []}
    for n in range(3):
        record["n"] = n
        record["inner"].append(n)
        yield n, record


FILLED = [(n, {"n": n, "inner": list(range(n + 1))}) for n in range(3)]


@pytest.mark.parametrize("sort", [False, True])
def test_a_dict_that_a_map_fills_again_and_again(rows: Run, sort: bool) -> None:
    how: dict[str, Any] = {"reduce": func.nop_reduce, "sort": sort, "nr_reduces": 1}
    assert rows(input=["raw://x"], map=filled_again, **how) == FILLED
    assert rows(input=["raw://x"], map=filled_again) == FILLED


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("nr_plain", [0, 20, 9000])
def test_it_may_come_first_after_many_plain_pairs_or_inside_a_tuple(
    rows: Run, sort: bool, nr_plain: int
) -> None:
    def late(line: str, params: Any) -> Iterator[tuple[int, Any]]:
        for n in range(nr_plain):
            yield n % 50, "plain"
        given: list[int] = []
        for n in range(30):
            given.append(n)
            yield 100 + n, (1, ("nested", given))

    found = rows(input=["raw://x"], map=late, reduce=func.nop_reduce, sort=sort, nr_reduces=1)
    assert sorted(pair for pair in found if pair[0] >= 100) == [
        (100 + n, (1, ("nested", list(range(n + 1))))) for n in range(30)
    ]
    assert len(found) == nr_plain + 30


@pytest.mark.parametrize("sort", [False, True])
def test_it_may_be_changed_after_its_yield_and_never_given_out_again(rows: Run, sort: bool) -> None:
    def changed(line: str, params: Any) -> Iterator[tuple[Any, Any]]:
        for n in range(40):
            key, value, members = [n], {"n": n}, {n}
            yield key, (value, members)
            key.append(-1)
            value.clear()
            members.add(-1)

    found = rows(input=["raw://x"], map=changed, reduce=func.nop_reduce, sort=sort, nr_reduces=1)
    assert found == [([n], ({"n": n}, {n})) for n in range(40)]


def test_it_may_be_one_object_over_many_entries(rows: Run) -> None:
    def kept(line: str, params: Any) -> list[tuple[str, Any]]:
        params.append(line)
        return [(line, params)]

    found = rows(input=["raw://a\nb\nc\n"], map=kept, params=[])
    assert found == [("a", ["a"]), ("b", ["a", "b"]), ("c", ["a", "b", "c"])]


def test_an_entry_that_a_reader_fills_again_and_again(rows: Run) -> None:
    def reader(fd: Any, size: int | None, fname: str) -> Iterator[dict[str, int]]:
        row: dict[str, int] = {}
        for line in fd:
            row["v"] = int(line)
            yield row

    def whole(row: Any, params: Any) -> list[tuple[int, Any]]:
        return [(0, row)]

    found = rows(input=["raw://1\n2\n3\n"], map_reader=reader, map=whole)
    assert found == [(0, {"v": 1}), (0, {"v": 2}), (0, {"v": 3})]


@pytest.mark.parametrize("sort", [False, True])
def test_what_a_combiner_returns(rows: Run, sort: bool) -> None:
    def combiner(key: Any, value: Any, buffer: Any, done: bool, params: Any) -> Any:
        if done:
            return None
        given = buffer.setdefault("given", [])
        given.append((key, value["n"]))
        return [(key, given)]

    found = rows(
        input=["raw://x"],
        map=filled_again,
        combiner=combiner,
        reduce=func.nop_reduce,
        sort=sort,
        nr_reduces=1,
    )
    assert found == [(n, [(m, m) for m in range(n + 1)]) for n in range(3)]


@pytest.mark.parametrize("adds", [True, False])
def test_what_a_reduce_fills_again_and_again(rows: Run, adds: bool) -> None:
    def adding(pairs: Any, out: Any, params: Any) -> None:
        record: dict[str, Any] = {}
        for key, _ in pairs:
            record["key"] = key
            out.add(key, record)

    def yielding(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
        record: dict[str, Any] = {}
        for key, _ in pairs:
            record["key"] = key
            yield key, (record,)

    def three(line: str, params: Any) -> list[tuple[int, int]]:
        return [(n, n) for n in range(3)]

    found = rows(input=["raw://x"], map=three, reduce=adding if adds else yielding, nr_reduces=1)
    assert found == [(n, {"key": n} if adds else ({"key": n},)) for n in range(3)]


class Row:
    """Of the user's program, so it needs a writer of its own."""

    n = 0


def objects(line: str, params: Any) -> Iterator[tuple[int, Row]]:
    row = Row()
    for n in range(40):
        row.n = n
        yield n, row


def their_numbers(pairs: Any, params: Any) -> Iterator[tuple[int, int]]:
    for key, row in pairs:
        yield key, row.n


@pytest.mark.parametrize("sort", [False, True])
def test_an_object_of_the_program_with_object_writer(rows: Run, sort: bool) -> None:
    how: dict[str, Any] = {"map_writer": func.object_writer, "reduce_reader": func.object_reader}
    found = rows(input=["raw://x"], map=objects, reduce=their_numbers, sort=sort, nr_reduces=1, **how)
    assert found == [(n, n) for n in range(40)]


@pytest.mark.parametrize("held", [lambda row: [row], lambda row: ([row],), lambda row: {"row": (row,)}])
def test_an_object_within_what_is_copied_where_entries_may_be_bad(rows: Run, held: Any) -> None:
    def gives(line: str, params: Any) -> Iterator[tuple[int, Any]]:
        for n, row in objects(line, params):
            yield n, held(row)

    def their_states(pairs: Any, params: Any) -> Iterator[tuple[int, int]]:
        for key, value in pairs:
            while not isinstance(value, Row):
                value = value["row"] if isinstance(value, dict) else value[0]
            yield key, value.n

    how: dict[str, Any] = {"map_writer": func.object_writer, "reduce_reader": func.object_reader}
    found = rows(input=["raw://x"], map=gives, reduce=their_states, nr_reduces=1, max_bad=1, **how)
    assert found == [(n, n) for n in range(40)]


@pytest.mark.parametrize("in_list", [False, True])
def test_an_object_that_a_reader_of_the_reduce_fills_again_and_again(rows: Run, in_list: bool) -> None:
    def reader(fd: Any, size: int | None, fname: str) -> Iterator[tuple[int, Any]]:
        row = Row()
        for key, value in func.netstr_reader(fd, size, fname):
            row.n = int(value)
            yield int(key), [row] if in_list else row

    def numbers(line: str, params: Any) -> list[tuple[int, int]]:
        return [(n, n) for n in range(40)]

    found = rows(
        input=["raw://x"],
        map=numbers,
        map_writer=func.netstr_writer,
        reduce_reader=reader,
        reduce=lambda pairs, params: their_numbers(((k, v[0] if in_list else v) for k, v in pairs), params),
        sort=True,
        nr_reduces=1,
    )
    assert found == [(n, n) for n in range(40)]


@pytest.mark.parametrize("where", ["cluster", "local"])
def test_an_entry_that_is_left_out(where: str, disco: Disco) -> None:
    def skips(row: dict[str, list[int]] | tuple[int, list[int]], params: Any) -> None:
        skip_entry(row, "no")
        (row["n"] if isinstance(row, dict) else row[1]).append(99)

    run = disco.new_job if where == "cluster" else local.run
    rows = [{"n": [1]}, (7, [1])]  # one holds the list, one only has it
    job = run("x", ["raw://x"], map=skips, map_reader=lambda fd, size, name: iter(rows), max_bad=2)
    job.wait(timeout=PATIENCE_S)
    assert [bad.entry for bad in job.bad_entries()] == [{"n": [1]}, (7, [1])]
