"""Out-of-band results: which keys and values ``put`` takes, and how many."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from disco_rq import Disco, OOBKeyExists, OOBQuotaExceeded, OOBValueInvalid
from disco_rq.runtime import put
from tests.cluster.small_jobs import (
    death,
    outcome,
    pairs,
    run,
)

VALUES: list[Any] = [
    *("", "text", "ключ ☃ 😀", "lone \ud800 and \udcff", "two\nlines\0", "5", '"quoted"', "null"),
    *(b"", b"\x00\xff\xfe", b"text"),
    *(0, -1, 1.5, 2**80, True, False, None, [], {}, [1, "a", None, [2.5, True]], {"a": {"ключ": [1]}}),
]
CHANGED_BY_JSON: list[Callable[[], Any]] = [
    lambda: (1, 2),
    lambda: [(1, 2)],
    lambda: {"deep": [{"tuple": ()}]},
    lambda: {1: "a"},
    lambda: {"a": {None: 1}},
    lambda: float("nan"),
    lambda: [float("inf")],
    lambda: {1, 2},
    lambda: bytearray(b"a"),
    lambda: [b"a"],
    object,
]


# -- keys


@pytest.mark.parametrize(
    "key",
    [
        *(
            "",
            " ",
            "ok key!",
            "key\n",
            "\nkey",
            "ke\ny",
            "ключ",
            "\uff4bey",
            "k\0",
            "a.b",
            "a/b",
            "é",
            "k\ud800",
        ),
        pytest.param("k" * 257, id="257 characters"),
        *(None, 5, True, b"key", ("key",)),
    ],
)
def test_a_key_that_breaks_the_rule_ends_the_job_and_is_named(disco: Disco, key: Any) -> None:
    text = death(disco, map=lambda e, params: put(key, "value"))

    assert "OOBKeyInvalid: OOB key " + repr(key)[:40] in text.splitlines()[0]


def test_caught_errors_about_keys_store_nothing(disco: Disco) -> None:
    def map(e: str, params: Any) -> Iterator[tuple[str, str]]:
        for key in ("ok key!", "key\n", "", "k" * 257, 5):
            yield repr(key), outcome(lambda key=key: put(key, "value"))  # type: ignore[misc]

    job = run(disco, map=map)

    assert {found for _, found in pairs(job)} == {"OOBKeyInvalid"}
    assert job.oob_list() == []


def test_every_character_of_the_alphabet_and_256_of_them_make_a_key(disco: Disco) -> None:
    alphabet = string.ascii_letters + string.digits + "_-:"
    keys = [*alphabet, alphabet, "k" * 256]

    def put_all(e: str, params: Any) -> None:
        for key in keys:
            put(key, key)

    job = run(disco, map=put_all)

    assert job.oob_list() == sorted(keys)
    assert job.oob_get("k" * 256) == "k" * 256


# -- values


def test_values_come_back_as_the_type_that_was_put(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        for i, value in enumerate(VALUES):
            put(f"v{i}", value)

    job = run(disco, map=map)

    read = [job.oob_get(f"v{i}") for i in range(len(VALUES))]
    assert read == VALUES
    assert [type(value) for value in read] == [type(value) for value in VALUES]


@pytest.mark.parametrize("make", CHANGED_BY_JSON, ids=lambda make: repr(make())[:20])
def test_a_value_that_would_come_back_changed_is_refused_with_its_key(
    disco: Disco, make: Callable[[], Any]
) -> None:
    text = death(disco, map=lambda e, params: put("the-key", make()))

    assert "OOBValueInvalid" in text.splitlines()[0]
    assert "'the-key'" in text.splitlines()[0]


def test_values_nested_without_end_are_refused_like_any_other(disco: Disco) -> None:
    def map(e: str, params: Any) -> list[tuple[str, str]]:
        circle: list[Any] = []
        circle.append(circle)
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        return [("circle", outcome(lambda: put("c", circle))), ("deep", outcome(lambda: put("d", deep)))]

    assert dict(pairs(run(disco, map=map))) == {"circle": "OOBValueInvalid", "deep": "OOBValueInvalid"}


@pytest.mark.parametrize("kind", [str, bytes, list])
def test_a_value_of_exactly_one_mebibyte_is_stored_and_one_byte_more_is_not(disco: Disco, kind: Any) -> None:
    def map(e: str, params: Any) -> None:
        sizes = {"exact": 1 << 20, "over": (1 << 20) + 1}
        for key, size in sizes.items():
            if kind is list:
                value: Any = ["x" * (size - len('[""]'))]
            else:
                value = "x" * size if kind is str else b"x" * size
            try:
                put(key, value)
            except OOBValueInvalid as error:
                put("error", str(error))

    job = run(disco, map=map)

    assert job.oob_list() == ["error", "exact"]
    assert "'over'" in job.oob_get("error")
    assert "1048577" in job.oob_get("error")


def test_the_jobs_own_value_limit_counts_bytes_not_characters(disco: Disco) -> None:
    job = run(
        disco,
        map=lambda e, params: [
            ("fits", outcome(lambda: put("a", "é" * 5))),
            ("not", outcome(lambda: put("b", "é" * 5 + "a"))),
        ],
        oob_value_limit=10,
    )

    assert dict(pairs(job)) == {"fits": "ok", "not": "OOBValueInvalid"}
    assert job.oob_list() == ["a"]


def test_a_value_over_the_limit_ends_the_job_and_names_the_key(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: put("wide", "x" * 11), oob_value_limit=10)

    assert "OOBValueInvalid" in text
    assert "'wide'" in text.splitlines()[0]


# -- uniqueness


def test_a_second_put_of_a_key_in_a_task_ends_the_job_and_names_the_key(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        put("twice", 1)
        put("twice", 2)

    text = death(disco, map=map)

    assert "OOBKeyExists" in text.splitlines()[0]
    assert "'twice'" in text.splitlines()[0]


def test_the_same_key_and_value_put_twice_is_an_error_too(disco: Disco) -> None:
    job = run(
        disco,
        map=lambda e, params: [("1", outcome(lambda: put("k", 1))), ("2", outcome(lambda: put("k", 1)))],
    )

    assert pairs(job) == [("1", "ok"), ("2", "OOBKeyExists")]


def test_a_caught_second_put_leaves_the_first_value(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        put("twice", "first")
        with pytest.raises(OOBKeyExists):
            put("twice", "second")
        put("after", "the error")

    job = run(disco, map=map)

    assert job.oob_list() == ["after", "twice"]
    assert job.oob_get("twice") == "first"


def test_a_key_that_another_task_is_about_to_put_ends_the_job(disco: Disco) -> None:
    text = death(disco, input=["raw://1", "raw://2"], map=lambda e, params: put("shared", e))

    assert "OOBKeyExists" in text.splitlines()[0]
    assert "'shared'" in text.splitlines()[0]


def test_of_tasks_that_race_for_a_key_one_wins_and_the_others_can_go_on(disco: Disco) -> None:
    def map(e: str, params: Any) -> list[tuple[str, str]]:
        return [(e, outcome(lambda: put("shared", e)))]

    job = run(disco, input=[f"raw://{i}" for i in range(6)], map=map)

    found = dict(pairs(job))
    assert sorted(found.values()) == ["OOBKeyExists"] * 5 + ["ok"]
    assert found[job.oob_get("shared")] == "ok"


def test_a_reduce_cannot_put_a_key_of_the_map_phase(disco: Disco) -> None:
    def map(e: str, params: Any) -> list[tuple[str, int]]:
        put("shared", "map")
        return [(e, 1)]

    def reduce(iter: Iterator[Any], params: Any) -> Iterator[tuple[str, str]]:
        yield "put", outcome(lambda: put("shared", "reduce"))

    job = run(disco, map=map, reduce=reduce)

    assert pairs(job) == [("put", "OOBKeyExists")]
    assert job.oob_get("shared") == "map"


def test_two_jobs_may_put_the_same_key(disco: Disco) -> None:
    jobs = [run(disco, input=[f"raw://{i}"], map=lambda e, params: put("same", e)) for i in range(2)]

    assert [job.oob_get("same") for job in jobs] == ["0", "1"]


# -- the quota


def test_a_task_may_put_1000_results_and_the_1001st_ends_the_job(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        for i in range(1001):
            put(f"k{i}", i)

    text = death(disco, map=map)

    assert "OOBQuotaExceeded" in text.splitlines()[0]
    assert "'k1000'" in text.splitlines()[0]


def test_a_caught_1001st_put_stores_nothing_and_each_task_has_its_own_1000(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        for i in range(1000):
            put(f"{e}:{i}", i)
        for _ in range(2):
            with pytest.raises(OOBQuotaExceeded):
                put(f"{e}:more", 0)

    job = run(disco, input=["raw://a", "raw://b"], map=map)

    assert job.oob_list() == sorted(f"{e}:{i}" for e in "ab" for i in range(1000))


def test_a_refused_put_does_not_count_against_the_quota(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        put("k0", 0)
        for _ in range(20):
            outcome(lambda: put("k0", 0))
            outcome(lambda: put("not a key", 0))
        for i in range(1, 1000):
            put(f"k{i}", i)

    assert len(run(disco, map=map).oob_list()) == 1000
