"""The names of the runtime API: where job functions find them, and what they say."""

from __future__ import annotations

import builtins
import importlib
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from disco_rq import Disco, NotInTask, runtime
from tests.cluster.small_jobs import death, pairs, run

HELPER = """
def tell(word):
    put("told:" + word, this_name())
    counter("told")

class Teller:
    def tell(self, word):
        tell(word)
"""

OWN_NAMES = """
import helper_without_imports

def put(key, value):
    return "my own put"

msg = "my own message"

def map(e, params):
    helper_without_imports.tell("by-helper")
    return [("put", put("not a key!", 1)), ("msg", msg), ("name", this_name())]
"""


@pytest.fixture
def import_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a local module of a source text, as a user has them beside the program."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def make(name: str, source: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(source)
        names.append(name)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name in names:
        del sys.modules[name]


def sum_all(iter: Iterator[Any], params: Any) -> Iterator[tuple[str, int]]:
    yield "sum", sum(value for _, value in iter)


def test_job_functions_use_the_names_without_importing_them(disco: Disco) -> None:
    def map(e: str, params: Any) -> Iterator[tuple[str, Any]]:
        put(f"map:{this_partition()}", this_inputs())  # type: ignore[name-defined]  # noqa: F821
        yield "map", [this_name(), this_host(), this_partition(), this_inputs()]  # type: ignore[name-defined]  # noqa: F821

    def reduce(iter: Iterator[Any], params: Any) -> Iterator[tuple[str, Any]]:
        yield from iter
        yield "got", get("map:0")  # type: ignore[name-defined]  # noqa: F821
        yield "reduce", [this_name(), this_host(), this_partition(), this_inputs()]  # type: ignore[name-defined]  # noqa: F821

    job = run(disco, map=map, reduce=reduce)

    assert dict(pairs(job)) == {
        "map": [job.name, "localhost", 0, ["raw://entry"]],
        "got": ["raw://entry"],
        "reduce": [job.name, "localhost", 0, [f"disco://localhost/{job.name}/map-0.1"]],
    }


def test_job_functions_may_import_the_names(disco: Disco) -> None:
    def map(e: str, params: Any) -> list[tuple[str, bool]]:
        from disco_rq.runtime import this_name

        same = this_name() == runtime.this_name() == builtins.this_name()  # type: ignore[attr-defined]
        return [(this_name(), same)]

    job = run(disco, map=map)

    assert pairs(job) == [(job.name, True)]


def test_each_task_has_its_own_partition_and_inputs(disco: Disco) -> None:
    inputs = [f"raw://{i}" for i in range(5)]

    def map(e: str, params: Any) -> Iterator[tuple[int, Any]]:
        yield int(e), ("map", runtime.this_partition(), runtime.this_inputs())

    def reduce(iter: Iterator[Any], params: Any) -> Iterator[Any]:
        for key, value in iter:
            yield key, (*value, runtime.this_partition())

    job = run(
        disco, input=inputs, map=map, reduce=reduce, nr_reduces=3, partition=lambda key, n, params: key % n
    )

    assert sorted(pairs(job)) == [(i, ("map", i, [f"raw://{i}"], i % 3)) for i in range(5)]


def test_the_inputs_of_a_task_are_the_replica_it_reads_or_its_whole_group(
    disco: Disco, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name}\n")

    def map(e: str, params: Any) -> list[tuple[str, list[str]]]:
        return [(e, runtime.this_inputs())]

    grouped = run(disco, input=[str(tmp_path)], map=map, files_per_task=2)
    redundant = run(disco, input=[["raw://a", "raw://b"]], map=map)

    both = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert pairs(grouped) == [("a", both), ("b", both)]
    assert pairs(redundant) == [("a", ["raw://a"])]


def test_the_master_is_a_host_and_a_port(disco: Disco) -> None:
    [(_, master)] = pairs(run(disco, map=lambda e, params: [(e, runtime.this_master())]))

    assert re.fullmatch(r"[^:/\s]+:\d+", master)


def test_a_modules_own_definition_wins_and_its_helpers_find_ours(disco: Disco, import_local: Any) -> None:
    # given a module that calls something else `put`, and one that means ours
    import_local("helper_without_imports", HELPER)
    program = import_local("own_names", OWN_NAMES)

    # when
    job = run(disco, map=program.map)

    # then each has meant its own
    assert dict(pairs(job)) == {"put": "my own put", "msg": "my own message", "name": job.name}
    assert job.oob_list() == ["told:by-helper"]
    assert job.jobinfo()["counters"] == {"told": 1}


def test_methods_lambdas_and_other_job_functions_find_the_names(disco: Disco, import_local: Any) -> None:
    teller = import_local("helper_without_imports", HELPER).Teller()

    def init(input_iter: Iterator[Any], params: Any) -> None:
        counter("init")  # type: ignore[name-defined]  # noqa: F821

    def reader(fd: Any, size: Any, fname: str) -> Iterator[str]:
        counter("reader")  # type: ignore[name-defined]  # noqa: F821
        yield from ("a", "b")

    def combiner(key: Any, value: Any, comb_buffer: Any, done: bool, params: Any) -> None:
        counter("combiner")  # type: ignore[name-defined]  # noqa: F821

    def partition(key: Any, nr_reduces: int, params: Any) -> int:
        counter("partition")  # type: ignore[name-defined]  # noqa: F821
        return 0

    job = run(
        disco,
        map=lambda e, params: [teller.tell(e), counter("lambda")] and [(e, 1)],  # type: ignore[name-defined]  # noqa: F821
        map_init=init,
        map_reader=reader,
        partition=partition,
        reduce=sum_all,
    )
    combined = run(disco, map=lambda e, params: [(e, 1)], combiner=combiner, reduce=sum_all)

    assert job.oob_list() == ["told:a", "told:b"]
    assert job.jobinfo()["counters"] == {"told": 2, "lambda": 2, "init": 1, "reader": 1, "partition": 2}
    assert combined.jobinfo()["counters"] == {"combiner": 2}


@pytest.mark.parametrize("name", runtime.__all__)
def test_outside_a_task_a_name_says_so(name: str) -> None:
    arguments = {
        "put": ("k", 1),
        "get": ("k",),
        "msg": ("m",),
        "counter": ("c",),
        "err": ("e",),
        "data_err": ("d",),
        "skip_entry": ("s",),
    }

    with pytest.raises(NotInTask, match=name):
        getattr(runtime, name)(*arguments.get(name, ()))


def test_a_client_does_not_change_its_own_builtins(disco: Disco) -> None:
    run(disco, map=lambda e, params: None)

    assert not [name for name in runtime.__all__ if hasattr(builtins, name)]


def test_threads_of_a_task_use_the_names(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        def work(number: int) -> None:
            for i in range(50):
                runtime.put(f"{number}:{i}", runtime.this_partition())
                runtime.counter("puts")
            runtime.msg(f"thread {number}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    job = run(disco, map=map)

    assert job.oob_list() == sorted(f"{number}:{i}" for number in range(4) for i in range(50))
    assert job.jobinfo()["counters"] == {"puts": 200}
    assert len([message for _, (_, _, message) in job.events() if message.startswith("thread")]) == 4


# -- counters


def test_counters_add_up_over_the_tasks_of_both_phases(disco: Disco) -> None:
    def map(e: str, params: Any) -> list[tuple[str, int]]:
        runtime.counter("both")
        runtime.counter("by n", int(e))
        runtime.counter("down", -2)
        runtime.counter("zero", 0)
        return [(e, 1)]

    def reduce(iter: Iterator[Any], params: Any) -> None:
        runtime.counter("both", 10)

    job = run(disco, input=["raw://1", "raw://2", "raw://3"], map=map, reduce=reduce)

    assert job.jobinfo()["counters"] == {"both": 13, "by n": 6, "down": -6, "zero": 0}


def test_a_counter_of_an_attempt_that_failed_is_not_counted(disco: Disco, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def map(e: str, params: Any) -> None:
        runtime.counter("attempts")
        runtime.counter("only first" if not mark.exists() else "only second")
        if not mark.exists():
            mark.touch()
            runtime.data_err("once")

    job = run(disco, map=map)

    assert job.jobinfo()["counters"] == {"attempts": 1, "only second": 1}
    assert job.jobinfo()["mapi"] == [0, 0, 1, 1]


@pytest.mark.parametrize("arguments", [("", 1), (5, 1), ("name", 1.5), ("name", "1"), ("name", None)])
def test_a_wrong_counter_ends_the_job_and_is_named(disco: Disco, arguments: Any) -> None:
    text = death(disco, map=lambda e, params: runtime.counter(*arguments))

    assert f"counter({arguments[0]!r}, {arguments[1]!r})" in text.splitlines()[0]


def test_a_counters_name_may_be_any_text(disco: Disco) -> None:
    job = run(disco, input=["raw://caf\udce9"], map=lambda e, params: runtime.counter(f"ключ {e}"))

    assert job.jobinfo()["counters"] == {"ключ caf\\udce9": 1}
