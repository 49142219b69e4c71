"""Wrong use, and inputs that are not there: one line that names the thing, and nothing left behind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import (
    ConnectionLost,
    DataError,
    Disco,
    DiscoError,
    JobArgumentError,
    Params,
    SettingsError,
    UnknownJob,
    Unshippable,
    result_iterator,
)
from disco_rq.client.results import Results
from disco_rq.runtime import put
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import death, pairs, run


def ones(e: str, params: Any) -> list[tuple[str, int]]:
    return [(e, 1)]


def pass_on(iter: Iterator[Any], params: Any) -> Iterator[Any]:
    yield from iter


def keys(disco: Disco) -> set[bytes]:
    """Everything about jobs in Redis, RQ's own included."""
    found: Any = disco.session.connection.redis.keys("*")
    return {key for key in found if key.startswith((b"disco:job", b"disco:active", b"rq:job:", b"rq:queue:"))}


def assert_refused(disco: Disco, submit: Callable[[], Any], *named: str) -> str:
    """A submit is refused with one line that names the thing, and nothing of it is in Redis."""
    jobs, before = disco.joblist(), keys(disco)
    with pytest.raises(JobArgumentError) as caught:
        submit()
    text = str(caught.value)
    assert "\n" not in text
    for name in named:
        assert name in text
    assert disco.joblist() == jobs
    assert keys(disco) <= before  # RQ's own may go meanwhile
    return text


# -- arguments


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(
            ("nr_reduces", -1),
            ("nr_reduces", 0),
            ("nr_reduces", "2"),
            ("nr_reduces", 1.0),
            ("nr_reduces", True),
        ),
        *(("sort", "yes"), ("sort", 1), ("mem_sort_limit", 1), ("mem_sort_limit", "1G")),
        *(("files_per_task", 0), ("split_size", 0), ("split_size", "64M")),
        *(("scheduler", []), ("scheduler", {"max_cores": 0}), ("scheduler", {"cores": 1})),
        ("scheduler", {"force_local": True, "force_remote": True}),
        *(("max_failures", -1), ("max_failures", None), ("task_retries", -1), ("task_retries", "1")),
        *(("task_timeout", 0), ("task_timeout", -1), ("task_timeout", "1h"), ("task_timeout", True)),
        *(("status_interval", -1), ("msg_overflow", "ignore"), ("msg_overflow", None)),
        *(("oob_value_limit", 0), ("oob_value_limit", None), ("priority", "high"), ("owner", 5)),
        *(("map", 5), ("map", "count"), ("reduce", [1]), ("map_reader", "lines"), ("partition", 3)),
        *(("combiner", {}), ("map_init", 1), ("reduce_init", 1), ("map_writer", 1), ("reduce_writer", 1)),
    ],
)
def test_a_wrong_argument_is_refused_by_name(disco: Disco, argument: str, value: Any) -> None:
    arguments = {"map": ones, "reduce": pass_on, argument: value}

    assert_refused(disco, lambda: disco.new_job("wrong", ["raw://1"], **arguments), argument)


@pytest.mark.parametrize(
    "limit", [float("nan"), float("inf"), 1e12], ids=["not a number", "infinity", "more than a timer takes"]
)
def test_a_timeout_that_no_clock_can_measure_is_refused(disco: Disco, limit: float) -> None:
    assert_refused(
        disco, lambda: disco.new_job("wrong", ["raw://1"], map=ones, task_timeout=limit), "task_timeout"
    )


def test_an_unknown_argument_is_refused_by_name_with_those_that_there_are(disco: Disco) -> None:
    assert_refused(
        disco,
        lambda: disco.new_job("wrong", ["raw://1"], map=ones, reducer=pass_on),  # type: ignore[call-arg]
        "'reducer'",
        "nr_reduces",
    )


@pytest.mark.parametrize("name", ["", "two words", "-count", "a@b", "line\n", "ключ", "a/b", None, 5])
def test_a_wrong_name_is_refused(disco: Disco, name: Any) -> None:
    assert_refused(disco, lambda: disco.new_job(name, ["raw://1"], map=ones), "name=", repr(name))


def test_a_job_without_functions_is_refused(disco: Disco) -> None:
    assert_refused(disco, lambda: disco.new_job("wrong", ["raw://1"]), "map", "reduce")


# -- inputs


@pytest.mark.parametrize(
    "input", [None, "raw://1", 5, b"raw://1", {"a": 1}, [5], [None], [[]], [""], [b"a"], [["a", 5]]]
)
def test_what_is_no_list_of_addresses_is_refused(disco: Disco, input: Any) -> None:
    assert_refused(disco, lambda: disco.new_job("wrong", input, map=ones), "input")


@pytest.mark.parametrize(
    "form", ["{}/missing.txt", "file://{}/missing.txt", "{}/*.missing", "dir://{}/missing", "{}/empty"]
)
def test_a_missing_input_is_refused_by_its_address(disco: Disco, tmp_path: Path, form: str) -> None:
    (tmp_path / "there.txt").write_text("a\n")
    (tmp_path / "empty").mkdir()
    address = form.format(tmp_path)
    inputs = [str(tmp_path / "there.txt"), address]

    assert_refused(
        disco, lambda: disco.new_job("wrong", inputs, map=ones), "input", address.removeprefix("dir://")
    )


def test_replicas_of_which_all_are_missing_are_refused(disco: Disco, tmp_path: Path) -> None:
    replicas = [str(tmp_path / "one"), str(tmp_path / "two")]

    assert_refused(
        disco, lambda: disco.new_job("wrong", [replicas], map=ones), "input", str(tmp_path / "one")
    )


def test_a_scheme_that_nobody_knows_is_refused_by_its_address(disco: Disco) -> None:
    assert_refused(disco, lambda: disco.new_job("wrong", ["gopher://x/y"], map=ones), "gopher://x/y")


def test_an_input_that_goes_away_after_the_submit_is_named_in_the_cause(disco: Disco, tmp_path: Path) -> None:
    # given an input that is deleted by the map of the one before
    path = str(tmp_path / "gone")
    Path(path).write_text("a\n")

    def map(e: str, params: Any) -> None:
        Path(path).unlink()

    text = death(
        disco,
        input=["raw://first", path],
        map=map,
        max_failures=0,
        scheduler={"max_cores": 1},
    )

    first = text.splitlines()[0]
    assert "map:1, attempt 1 on localhost: DataError" in first
    assert path in first


def test_a_file_that_is_not_what_its_name_says_is_named(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "no-gzip.gz"
    path.write_text("plain text\n")

    text = death(disco, input=[str(path)], map=ones, max_failures=0)

    assert "DataError" in text.splitlines()[0]
    assert str(path) in text.splitlines()[0]


def test_a_file_name_need_not_be_utf_8(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("a\n")

    job = run(disco, input=[str(tmp_path)], map=ones)

    assert pairs(job) == [("a", 1)]
    assert job.jobinfo()["inputs"] == [[str(path)]]


# -- functions and parameters


LOCK = threading.Lock()


def uses_a_lock(e: str, params: Any) -> list[tuple[str, int]]:
    with LOCK:
        return [(e, 1)]


def test_a_function_that_cannot_be_shipped_is_refused_with_the_variable_at_fault(disco: Disco) -> None:
    connection = socket.socket()

    def map(e: str, params: Any) -> None:
        connection.send(e.encode())

    with connection:
        text = assert_refused(
            disco, lambda: disco.new_job("wrong", ["raw://1"], map=map), "map", "connection", "socket"
        )
    assert text.startswith("map ")
    assert_refused(
        disco, lambda: disco.new_job("wrong", ["raw://1"], map=uses_a_lock), "map", "LOCK", "a lock"
    )


def test_params_that_cannot_be_shipped_are_refused(disco: Disco, tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file, pytest.raises(Unshippable, match=r"params.*`log`.*open file"):
        disco.new_job("wrong", ["raw://1"], map=ones, params=Params(log=file))


def test_a_large_function_is_refused_before_it_fills_redis(disco: Disco) -> None:
    table: Any = os.urandom(33 << 20)

    assert_refused(
        disco, lambda: disco.new_job("wrong", ["raw://1"], map=lambda e, params: table), "map", "MiB"
    )


def test_a_function_that_fails_to_load_on_the_worker_ends_the_job(disco: Disco) -> None:
    text = death(disco, map=ones, params=Params(bad=LoadsBadly()))

    assert "cannot be loaded here" in text.splitlines()[0]


class LoadsBadly:
    """Can be sent, and not received."""

    def __setstate__(self, state: Any) -> None:
        raise ValueError("cannot be loaded here")

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}


# -- what a task gets wrong


def test_a_bad_oob_key_ends_the_job_in_one_line_that_names_it(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: put("no good", 1))

    assert "OOBKeyInvalid: OOB key 'no good'" in text.splitlines()[0]


def test_an_exception_in_a_map_ends_the_job_in_one_line_that_names_the_input(disco: Disco) -> None:
    text = death(disco, input=["raw://seven"], map=lambda e, params: int(e))

    assert "ValueError: invalid literal for int()" in text.splitlines()[0]
    assert "in entry 1 of raw://seven" in text.splitlines()[0]


@pytest.mark.parametrize("wrong", [lambda: None, lambda e: None, lambda e, params, more: None])
def test_a_map_with_a_wrong_signature_is_refused_at_submit(disco: Disco, wrong: Any) -> None:
    with pytest.raises(JobArgumentError, match=r"map is called with \(entry, params\), but it takes"):
        disco.new_job("wrong", ["raw://x"], map=wrong)


# -- names of jobs and results


@pytest.mark.parametrize("name", ["nobody@20200101-000000-aaaa", "no name", "", "x\ud800"])
def test_an_unknown_job_is_named(disco: Disco, name: str) -> None:
    asks: list[Callable[[], Any]] = [
        lambda: disco.wait(name),
        lambda: disco.jobinfo(name),
        lambda: disco.jobspec(name),
        lambda: disco.job(name),
        lambda: disco.kill(name),
        lambda: disco.clean(name),
        lambda: disco.pause(name),
        lambda: list(disco.events(name)),
    ]
    for ask in asks:
        with pytest.raises(UnknownJob) as caught:
            ask()
        assert str(caught.value) == f"unknown job {name!r}"
    assert disco.results(name) == ("unknown job", [])


def test_purging_what_is_no_job_harms_nothing() -> None:
    with Disco(workers=1) as own:
        for name in ("no name", "../x", "", "nobody@20200101-000000-aaaa", "x\ud800"):
            own.purge(name)
        own.session.connection.redis.sadd("disco:purges:localhost", "../x")  # by an older client

        own.purge(run(own, map=ones).name)

        wait_until(lambda: own.session.connection.redis.smembers("disco:purges:localhost") == set())
        assert own.joblist() == []


@pytest.mark.parametrize(
    "address", ["disco://localhost/nobody@20200101-000000-aaaa/map-0.1", "disco://x/y", "/tmp", "x"]
)
def test_a_result_that_cannot_be_read_is_named(disco: Disco, address: str) -> None:
    with pytest.raises(DataError) as caught:
        list(result_iterator(Results([address], disco.session.locator)))
    assert address in str(caught.value)
    assert "\n" not in str(caught.value)


# -- Redis


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_redis_that_is_not_there_is_named(scheme: str) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"{scheme}://127.0.0.1:{bound.getsockname()[1]}"

        with pytest.raises(ConnectionLost) as caught:
            Disco(address)

    assert address in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectionLost, match="no-socket"):
        Disco(f"unix://{tmp_path}/no-socket")


def test_the_password_of_a_redis_that_is_not_there_is_not_shown() -> None:
    with pytest.raises(ConnectionLost) as caught:
        Disco("redis://me:secret-word@127.0.0.1:1/0")

    assert "secret-word" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


def test_a_server_that_is_no_redis_is_named() -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        address = f"redis://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(DiscoError) as caught:
            Disco(address)
        thread.join(timeout=10)

    assert address in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://localhost", "localhost:6379", "redis:/x", "redis://localhost:port", "redis://[::1"]
)
def test_an_address_that_is_none_of_redis_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Disco(url)

    assert url.partition(":")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_address_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCO_RQ_REDIS", "ftp://somewhere")

    with pytest.raises(SettingsError, match="ftp://somewhere"):
        Disco()
