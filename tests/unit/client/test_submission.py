"""Every argument of new_job: what it takes, and that wrong use is refused with its name in one line."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest

from disco_rq import func
from disco_rq.client.functions import FUNCTIONS
from disco_rq.client.submission import Submission, build, unique_name
from disco_rq.errors import JobArgumentError, Unshippable
from disco_rq.model import JOB_NAME
from disco_rq.packing import JobSeal, unpack_functions
from disco_rq.params import Params


def a_map(entry: Any, params: Any) -> Iterator[tuple[Any, int]]:
    yield entry, 1


def a_reduce(iter: Any, out: Any, params: Any) -> None:
    for key, value in iter:
        out.add(key, value)


def submission(input: Any = ("raw://a",), name: Any = "job", **arguments: Any) -> Submission:
    given = {"map": a_map, **arguments}
    return build(name, list(input) if isinstance(input, tuple) else input, given, None)


def refused(input: Any = ("raw://a",), name: Any = "job", **arguments: Any) -> str:
    """The one line that the user reads."""
    with pytest.raises(JobArgumentError) as caught:
        submission(input, name, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults() -> None:
    spec = submission(reduce=a_reduce).spec

    assert JOB_NAME.fullmatch(spec.name)
    assert spec.name.startswith("job@")
    assert (spec.nr_maps, spec.nr_reduces, spec.has_map, spec.has_reduce) == (1, 1, True, True)
    assert (spec.max_failures, spec.task_retries, spec.task_timeout) == (3, 0, None)
    assert (spec.status_interval, spec.msg_overflow, spec.oob_value_limit) == (100_000, "drop", 1 << 20)
    assert (spec.sort, spec.mem_sort_limit, spec.priority) == (False, 256 << 20, 0)
    assert spec.owner


@pytest.mark.parametrize(("maps", "reduces"), [(1, 1), (2, 1), (3, 1), (4, 2), (199, 99), (500, 100)])
def test_the_default_number_of_reduces(maps: int, reduces: int) -> None:
    inputs = [f"raw://{i}" for i in range(maps)]

    assert submission(inputs, reduce=a_reduce).spec.nr_reduces == reduces
    assert submission(inputs).spec.nr_reduces == 0


def test_names_are_unique() -> None:
    assert len({unique_name("job") for _ in range(50)}) > 45


def test_an_empty_input_is_a_job_of_no_maps() -> None:
    assert submission([], reduce=a_reduce).spec.nr_maps == 0


def test_functions_and_params_are_packed() -> None:
    made = submission(reduce=a_reduce, params=Params(limit=3))
    unpacked = unpack_functions(made.pack, JobSeal(made.spec.name, None))

    assert list(unpacked.functions.map("x", None)) == [("x", 1)]
    assert unpacked.params().limit == 3


def test_scheduler_is_taken_over() -> None:
    spec = submission(scheduler={"max_cores": 2, "force_local": True}).spec

    assert (spec.max_cores, spec.force_local, spec.force_remote) == (2, True, False)
    assert spec.speculative
    assert not submission(scheduler={"speculative": False}).spec.speculative


@pytest.mark.parametrize("name", ["", "a b", "-ab", "a@b", "jöb", "job\n", "x" * 101, 5, None])
def test_a_bad_name_is_named(name: Any) -> None:
    assert refused(name=name).startswith(f"name={name!r}")


def test_an_unknown_argument_is_named_with_those_that_there_are() -> None:
    text = refused(nr_reducers=3)

    assert "'nr_reducers'" in text
    assert "nr_reduces" in text


@pytest.mark.parametrize("arguments", [{"map": None}, {"map": None, "combiner": a_map}])
def test_a_job_with_neither_map_nor_reduce_is_refused(arguments: dict[str, Any]) -> None:
    assert "neither" in refused(**arguments)


@pytest.mark.parametrize("argument", ["map_reader", "map_init", "map_writer", "combiner", "partition"])
def test_a_function_for_a_map_that_there_is_not_is_refused(argument: str) -> None:
    assert refused(map=None, reduce=a_reduce, **{argument: print}).startswith(
        f"{argument}: this job has no map"
    )


@pytest.mark.parametrize("argument", ["reduce_reader", "reduce_init", "reduce_writer"])
def test_a_function_for_a_reduce_that_there_is_not_is_refused(argument: str) -> None:
    assert refused(**{argument: print}).startswith(f"{argument}: this job has no reduce")


def test_a_job_with_a_reduce_only_has_no_maps() -> None:
    made = submission(["raw://a", "raw://b"], map=None, reduce=a_reduce)

    assert (made.spec.nr_maps, made.spec.nr_reduces, made.spec.has_map) == (0, 1, False)
    assert [entry.urls() for entry in made.inputs] == [["raw://a"], ["raw://b"]]


@pytest.mark.parametrize("argument", FUNCTIONS)
@pytest.mark.parametrize("value", [5, "cat", []])
def test_what_is_no_function_is_named(argument: str, value: Any) -> None:
    assert refused(**{argument: value}).startswith(f"{argument}={value!r}")


@pytest.mark.parametrize(
    ("argument", "good", "bad"),
    [
        ("nr_reduces", [None, 1, 7], [-1, 1.5, "3", True]),
        ("sort", [True, False], [1, None, "yes"]),
        ("profile", [True, False], [1, None, "yes"]),
        ("mem_sort_limit", [1 << 20, 1 << 40], [0, -1, 1.5, None, "1G", True]),
        ("files_per_task", [1, 10], [0, -1, None, 1.5, True]),
        ("split_size", [None, 1, 1 << 20], [0, -1, 1.5, "64M", True]),
        ("max_failures", [0, 3], [-1, None, 1.5, True]),
        ("task_retries", [0, 3], [-1, None, "3", True]),
        ("task_timeout", [None, 0.5, 60], [0, -1, "60", True, float("nan")]),
        ("status_interval", [0, 1000], [-1, None, 1.5]),
        ("msg_overflow", ["drop", "fail"], ["FAIL", None, True, ["drop"]]),
        ("oob_value_limit", [1, 1 << 30], [0, -1, None, 1.5]),
        ("priority", [0, -1, 7], [None, 1.5, "high", True]),
        (
            "owner",
            ["", "me", "DOMAIN\\me", "me@x.org", "é"],
            [None, 5, b"me", "a b", "a=b", "a;b", "a,b", "*", "a\n"],
        ),
        (
            "scheduler",
            [{}, {"max_cores": 1}, {"force_remote": True}],
            [
                None,
                5,
                {"max_cores": 0},
                {"max_cores": "2"},
                {"force_local": 1},
                {"speculative": 0},
                {"cores": 2},
                {"force_local": True, "force_remote": True},
            ],
        ),
    ],
)
def test_an_option_takes_what_it_says_and_refuses_the_rest_by_name(
    argument: str, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        assert submission(reduce=a_reduce, **{argument: value})
    for value in bad:
        text = refused(reduce=a_reduce, **{argument: value})
        assert text.startswith(f"{argument}={value!r}"), text


def test_an_endless_timeout_is_refused() -> None:
    assert refused(task_timeout=float("inf")).startswith("task_timeout=inf")


def test_a_reduce_needs_a_partition() -> None:
    assert refused(reduce=a_reduce, nr_reduces=0).startswith("nr_reduces=0")


@pytest.mark.parametrize("input", [None, 5, "raw://a", {"a": 1}, [5], [None], [[]], [["raw://a", 5]]])
def test_bad_input_is_named(input: Any) -> None:
    assert "input" in refused(input)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nosuch") in refused([str(tmp_path / "nosuch")])


@pytest.mark.parametrize("argument", ["map", "reduce", "params"])
def test_what_cannot_be_shipped_is_named(argument: str) -> None:
    lock = threading.Lock()

    def locked(*_: Any) -> Any:
        return lock

    value = Params(lock=lock) if argument == "params" else locked

    with pytest.raises(Unshippable, match=rf"\b{argument}\b"):
        submission(**{"reduce": a_reduce, argument: value})


def test_the_example_in_an_error_is_a_real_list_of_arguments() -> None:
    assert refused(nr_reduce=1).startswith("new_job() has no argument 'nr_reduce' (nr_reduces?); it takes ")
    listed = re.split(r", ", refused(nosuch=1).partition("it takes ")[2])

    assert {"name", "input", "params", *FUNCTIONS, "scheduler"} <= set(listed)


def test_a_function_that_cannot_be_called_as_it_will_be_is_refused() -> None:
    assert refused(map=lambda entry: []) == "map is called with (entry, params), but it takes (entry)"
    assert refused(reduce=lambda pairs: []).startswith(
        "reduce is called with (pairs, params) or (pairs, out, params)"
    )
    assert refused(partition=lambda key, nr_reduces: 0).startswith("partition is called with")


@pytest.mark.parametrize("maker", [func.csv_reader, func.text_reader, func.bytes_lines, func.parquet_reader])
def test_what_makes_a_reader_is_no_reader(maker: Any) -> None:
    told = f"it makes a reader of its options: func.{maker.__name__}()"
    assert told in refused(map_reader=maker)
    assert told in refused([("raw://a", a_map, maker)])


@pytest.mark.parametrize("fine", [print, lambda *all: [], lambda entry, params, more=1: [], dict])
def test_a_function_that_may_be_callable_is_taken(fine: Any) -> None:
    assert submission(map=fine).functions.map is fine


class Methods:
    """Functions of a class, of all kinds."""

    def bound(self, entry: Any, params: Any) -> list[Any]:
        return []

    @classmethod
    def of_class(cls, entry: Any, params: Any) -> list[Any]:
        return []

    @staticmethod
    def static(entry: Any, params: Any) -> list[Any]:
        return []

    def __call__(self, entry: Any, params: Any) -> list[Any]:
        return []


def three(more: Any, entry: Any, params: Any) -> list[Any]:
    return []


@wraps(three)
def two(entry: Any, params: Any) -> list[Any]:
    return []


@wraps(two)
def none() -> list[Any]:
    return []


@pytest.mark.parametrize(
    "fine",
    [Methods().bound, Methods.of_class, Methods.static, Methods(), partial(three, 1), two, min],
)
def test_whatever_can_be_called_so_is_taken(fine: Any) -> None:
    assert submission(map=fine).functions.map == fine


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Methods.bound, "put @staticmethod above it"),
        (none, "but it takes ()"),
        (partial(three, 1, 2), "but it takes (params: 'Any')"),
        (lambda key, value: [], "an entry comes as one value"),
        (lambda k, v: [], "an entry comes as one value"),
    ],
)
def test_a_map_that_would_get_something_else_is_refused(wrong: Any, told: str) -> None:
    assert told in refused(map=wrong)


@pytest.mark.parametrize(
    "wrong",
    [lambda key, values, params: [], lambda key, values: [], lambda k, vs: [], lambda word, values, p: []],
)
def test_a_reduce_of_one_key_is_told_of_kvgroup(wrong: Any) -> None:
    told = refused(reduce=wrong)

    assert "it is called once, with all pairs: for key, values in disco_rq.func.kvgroup(pairs)" in told


def test_near_misses_are_told_of_every_wrong_name() -> None:
    told = refused(sortt=True, reducee=a_reduce)
    assert "no argument 'reducee' (reduce?), 'sortt' (sort?)" in told
    assert "no 'max_core' (max_cores?)" in refused(scheduler={"max_core": 2})
    assert "save_format='jsonlines' (jsonl?)" in refused(save="/tmp", save_format="jsonlines")
