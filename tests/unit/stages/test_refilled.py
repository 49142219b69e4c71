"""A pair is what it was when it was given out: whoever keeps it is safe from a map that fills it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from disco_rq import func, local, result_iterator
from disco_rq.func import object_reader, object_writer
from disco_rq.stages.external import Refused, running_program
from tests.external import python_program
from tests.unit.stages.test_stages import Job


@dataclass(unsafe_hash=True)
class Row:
    """A type that records do not hold."""

    i: int = -1


def set_first(row: list[Any], i: int) -> None:
    row[0] = i


def set_name(row: dict[str, Any], i: int) -> None:
    row["i"] = i


def set_deep(row: dict[str, Any], i: int) -> None:
    row["rows"] = row["rows"][-1:]
    row["rows"][0][0] = i


def set_attribute(row: Row, i: int) -> None:
    row.i = i


def add_to(row: set[int], i: int) -> None:
    row.clear()
    row.add(i)


SHAPES: dict[str, tuple[Callable[[], Any], Callable[[Any, int], None], list[Any]]] = {
    "list": (lambda: [0], set_first, [[0], [1], [2]]),
    "dict": (dict, set_name, [{"i": 0}, {"i": 1}, {"i": 2}]),
    "set": (set, add_to, [{0}, {1}, {2}]),
    "deep": (lambda: {"rows": [[0]]}, set_deep, [{"rows": [[0]]}, {"rows": [[1]]}, {"rows": [[2]]}]),
    "object": (Row, set_attribute, [Row(0), Row(1), Row(2)]),
    "object within": (
        lambda: [Row()],
        lambda row, i: set_attribute(row[0], i),
        [[Row(0)], [Row(1)], [Row(2)]],
    ),
}


def keeps(key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: Any) -> list[Any] | None:
    """A combiner that gives out what it was given."""
    if done:
        return [(key, value) for key, values in buffer.items() for value in values]
    buffer.setdefault(key, []).append(value)
    return None


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Any:
    return SHAPES[request.param]


def refilling(shape: Any) -> dict[str, Callable[..., Any]]:
    """A map that fills one value again and again; and the same in a reader, and with a new list each time."""
    new, fill, _ = shape

    def given(*_: Any) -> Iterator[Any]:
        row = new()
        for i in range(3):
            fill(row, i)
            yield row

    rows: list[Any] = []

    def one_list(entry: str, params: Any) -> list[Any]:
        rows[:] = rows or [new()]
        fill(rows[0], int(entry))
        return [("k", rows[0])]

    return {
        "map": lambda entry, params: (("k", row) for row in given()),
        "reader": given,
        "entries": lambda row, params: [("k", row)],
        "one_list": one_list,
    }


# Objects only travel pickled. All of them do here: it is the combiner that is looked at.
AS_OBJECTS: dict[str, Any] = {
    "combiner": keeps,
    "map_writer": object_writer,
    "reduce_reader": object_reader,
    "reduce": func.nop_reduce,
    "reduce_writer": object_writer,
}


def values(**settings: Any) -> list[Any]:
    job = local.run("refilled", settings.pop("input", ["raw://x"]), nr_reduces=1, **AS_OBJECTS | settings)
    return [value for _, value in result_iterator(job.wait(), reader=object_reader)]


@pytest.mark.parametrize("max_bad", [0, 1])
def test_a_combiner_may_keep_what_a_map_fills_again(shape: Any, max_bad: int) -> None:
    assert values(map=refilling(shape)["map"], max_bad=max_bad) == shape[2]


@pytest.mark.parametrize("max_bad", [0, 1])
def test_a_combiner_may_keep_what_a_reader_fills_again(shape: Any, max_bad: int) -> None:
    own = refilling(shape)
    assert values(map=own["entries"], map_reader=own["reader"], max_bad=max_bad) == shape[2]


@pytest.mark.parametrize("max_bad", [0, 1])
def test_a_combiner_may_keep_what_a_map_returns_again_in_lists(shape: Any, max_bad: int) -> None:
    assert values(map=refilling(shape)["one_list"], input=["raw://0\n1\n2"], max_bad=max_bad) == shape[2]


def test_a_combiner_may_keep_a_key_that_is_filled_again(tmp_path: Path) -> None:
    def map(entry: str, params: Any) -> Iterator[Any]:
        row = Row()
        for row.i in range(3):
            yield row, row.i

    def by_key(key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: Any) -> Any:
        if done:
            return [(key.i, value) for key, value in buffer.items()]
        buffer[key] = value
        return None

    assert Job(tmp_path, {"map": map, "combiner": by_key, "reduce": func.nop_reduce}).run("raw://x") == [
        [(0, 0), (1, 1), (2, 2)]
    ]


def test_a_ready_made_combiner_keeps_what_a_map_fills_again(shape: Any) -> None:
    filled = shape[2]
    places = {repr(row): -i for i, row in enumerate(filled)}
    last = func.first_of_group(by=lambda row: places[repr(row)])
    assert values(map=refilling(shape)["map"], combiner=last.combiner) == filled[-1:]
    first = func.max_of_group(by=lambda row: places[repr(row)])
    assert values(map=refilling(shape)["map"], combiner=first.combiner) == filled[:1]


def test_a_combiner_gets_what_cannot_change_as_it_is(tmp_path: Path) -> None:
    given = ("a text", ("a", "tuple"), b"bytes", 2**70, None)
    kept: list[Any] = []

    def keep(key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: Any) -> None:
        kept.append(value)

    Job(tmp_path, {"map": lambda e, params: [("k", value) for value in given], "combiner": keep}).map(
        "raw://x"
    )
    assert [id(value) for value in kept[:-1]] == [id(value) for value in given]


def test_a_pair_that_a_program_refuses_is_what_it_was_when_the_reader_gave_it(tmp_path: Path) -> None:
    def reader() -> Iterator[list[Any]]:
        entry = ["k", 0]
        for entry[1] in range(3):
            yield entry

    refuse = "sys.stdout.buffer.write(struct.pack('<II', 0xFFFFFFFF, 0)); sys.stdout.buffer.flush()"
    program = python_program(tmp_path / "program.py", f"while pair(): {refuse}\n")
    with running_program(program, tmp_path) as process:
        answers = list(process.answers(reader()))
        process.finish_map()
    assert answers == [Refused(["k", i], "") for i in range(3)]
