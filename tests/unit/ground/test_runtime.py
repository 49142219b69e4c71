"""The runtime API, as a job function sees it; Redis' side of it is played by a small stand-in."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from disco_rq import runtime
from disco_rq.errors import (
    DataError,
    DiscoError,
    JobFailure,
    MessageQuotaExceeded,
    NotInTask,
    OOBKeyExists,
    OOBKeyInvalid,
    OOBNotFound,
    OOBNotReadable,
    OOBQuotaExceeded,
    OOBValueInvalid,
)
from disco_rq.model import JobSpec, TaskId
from disco_rq.runtime import Overtaken, RunningTask, enter_task

JOB = "job@20260101-000000-aaaa"


class StandIn:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.code = 0
        self.stored: dict[str, bytes] = {}
        self.counts: list[int] = []
        self.messages: list[str] = []
        self.readable = {"from-map": [1]}

    def put(self, key: str, typed_value: bytes, count: int) -> int:
        if self.code == 0:
            self.stored[key] = typed_value
            self.counts.append(count)
        return self.code

    def get(self, key: str, phase: str | None) -> Any:
        assert phase == "map"
        return self.readable[key]

    def get_from(self, job: str, key: str) -> Any:
        return (job, key)

    def take_back(self, keys: Sequence[str]) -> None:
        for key in keys:
            del self.stored[key]

    def bad_elsewhere(self) -> int:
        return 0

    def message(self, text: str) -> int:
        text.encode()  # as the client does
        self.messages.append(text)
        return self.code


def task_of(services: StandIn, task: str = "map:3", **options: Any) -> RunningTask:
    spec = JobSpec(JOB, 5, 2, True, True, **options)
    inputs = ["raw://a", "raw://b"]
    return RunningTask(spec, TaskId.parse(task), "n1", lambda: "127.0.0.1:8989", lambda: inputs, services)


@pytest.fixture
def services() -> Iterator[StandIn]:
    services = StandIn()
    enter_task(task_of(services))
    yield services
    enter_task(None)


OUTSIDE: dict[str, Callable[[], object]] = {
    "counter": lambda: runtime.counter("a"),
    "data_err": lambda: runtime.data_err("x"),
    "err": lambda: runtime.err("x"),
    "get": lambda: runtime.get("k"),
    "msg": lambda: runtime.msg("x"),
    "put": lambda: runtime.put("k", 1),
    "skip_entry": lambda: runtime.skip_entry("x"),
    "this_host": runtime.this_host,
    "this_input": runtime.this_input,
    "this_inputs": runtime.this_inputs,
    "this_master": runtime.this_master,
    "this_name": runtime.this_name,
    "this_offset": runtime.this_offset,
    "this_partition": runtime.this_partition,
}


def test_every_name_is_tried_outside_a_task() -> None:
    assert sorted(OUTSIDE) == sorted(runtime.__all__)


@pytest.mark.parametrize("name", sorted(OUTSIDE))
def test_outside_a_task_a_name_says_so(name: str) -> None:
    with pytest.raises(NotInTask, match=rf"^{name}\(\)"):
        OUTSIDE[name]()


def test_where_a_task_runs(services: StandIn) -> None:
    assert runtime.this_host() == "n1"
    assert runtime.this_master() == "127.0.0.1:8989"
    assert runtime.this_name() == JOB
    assert runtime.this_partition() == 3
    assert runtime.this_inputs() == ["raw://a", "raw://b"]


def test_names_are_found_without_an_import_unless_the_module_has_its_own(
    services: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in runtime.__all__:
        monkeypatch.setattr(builtins, name, None, raising=False)
    runtime.install_names()
    module: dict[str, Any] = {"msg": lambda text: f"mine: {text}"}

    assert eval("this_partition(), msg('x')", module) == (3, "mine: x")


# -- put and get


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        ("text", b"stext"),
        ("", b"s"),
        ("é", "sé".encode()),
        ("\udce9", b"s\xed\xb3\xa9"),
        (b"\x00\xff", b"b\x00\xff"),
        (17, b"j17"),
        (2.5, b"j2.5"),
        (None, b"jnull"),
        (True, b"jtrue"),
        ([1, "é", {"a": None}], '[1, "é", {"a": null}]'.encode()),
        (10**30, b"1" + b"0" * 30),
    ],
)
def test_a_value_is_stored_behind_its_type(services: StandIn, value: object, typed: bytes) -> None:
    runtime.put("key", value)

    assert services.stored["key"] == (typed if typed[:1] in b"sbj" else b"j" + typed)


@pytest.mark.parametrize("key", ["", "x" * 257, "a b", "a\n", "\na", "é", "a.b", "a/b", 5, None, b"a", ["a"]])
def test_a_bad_key_is_named_and_nothing_is_stored(services: StandIn, key: Any) -> None:
    with pytest.raises(OOBKeyInvalid, match=r"^OOB key .*1 to 256 characters") as caught:
        runtime.put(key, 1)

    assert len(str(caught.value)) < 200
    assert services.stored == {}


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, (1, 2), {1: 2}, [(1,)], float("nan"), bytearray(b"x"), 1j, [b"x"]]
)
def test_a_value_that_would_come_back_changed_is_refused(services: StandIn, value: object) -> None:
    with pytest.raises(OOBValueInvalid, match=f"'key'.*not this {type(value).__name__}"):
        runtime.put("key", value)
    assert services.stored == {}


def test_a_value_that_holds_itself_is_refused(services: StandIn) -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(OOBValueInvalid, match="'key'"):
        runtime.put("key", loop)


@pytest.mark.parametrize(("value", "size"), [("é" * 6, 12), (b"x" * 11, 11), ([1, 2, 3, 4], 12)])
def test_the_limit_is_of_bytes_as_stored(value: object, size: int) -> None:
    services = StandIn()
    enter_task(task_of(services, oob_value_limit=size))
    runtime.put("fits", value)
    enter_task(task_of(services, oob_value_limit=size - 1))

    with pytest.raises(OOBValueInvalid, match=f"the value has {size} bytes, the limit is {size - 1}"):
        runtime.put("key", value)
    enter_task(None)

    assert list(services.stored) == ["fits"]


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [(1, OOBKeyExists, "'key' was put before"), (2, OOBQuotaExceeded, r"1000 results, and map:3 has")],
)
def test_a_refused_put_says_why(services: StandIn, code: int, error: type[DiscoError], text: str) -> None:
    services.code = code
    with pytest.raises(error, match=text):
        runtime.put("key", 1)


def test_a_put_of_an_overtaken_attempt_ends_it_past_all_user_code(services: StandIn) -> None:
    services.code = 3
    with pytest.raises(Overtaken) as caught:
        runtime.put("key", 1)
    assert not isinstance(caught.value, Exception)


def test_puts_are_counted_also_from_threads_and_refused_ones_are_not(services: StandIn) -> None:
    threads = [threading.Thread(target=runtime.put, args=[f"k{i}", i]) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    services.code = 1
    with pytest.raises(OOBKeyExists):
        runtime.put("k0", 1)
    services.code = 0
    runtime.put("last", 1)

    assert services.counts == list(range(1, 22))


def test_get_reads_what_the_maps_put_in_a_reduce_only(services: StandIn) -> None:
    with pytest.raises(OOBNotReadable, match=r"'from-map'.*not in a map"):
        runtime.get("from-map")
    with pytest.raises(OOBNotReadable):
        runtime.get("from-map", JOB)

    enter_task(task_of(services, "reduce:0"))

    assert runtime.get("from-map") == [1]
    with pytest.raises(OOBNotFound, match="no OOB result 'nosuch'"):
        runtime.get("nosuch")


@pytest.mark.parametrize("key", [5, None, b"from-map", ["a"]])
def test_get_of_what_is_no_key_says_so(services: StandIn, key: Any) -> None:
    enter_task(task_of(services, "reduce:0"))
    with pytest.raises(OOBKeyInvalid, match="OOB key"):
        runtime.get(key)


def test_get_of_another_job_is_asked_of_redis(services: StandIn) -> None:
    assert runtime.get("key", "other") == ("other", "key")


# -- messages, counters, errors


def test_a_message_is_one_line_of_255_characters(services: StandIn) -> None:
    services.code = 1
    runtime.msg("a\nb\r\nc")
    runtime.msg("é" * 300)
    runtime.msg(17)

    assert services.messages == ["a b c", "é" * 255, "17"]


def test_a_message_may_hold_what_was_not_utf_8(services: StandIn) -> None:
    """As the lines of map_line_reader may."""
    services.code = 1
    runtime.msg("caf\udce9")

    assert services.messages == ["caf\\udce9"]


def test_a_dropped_message_is_no_error(services: StandIn) -> None:
    task = task_of(services)
    enter_task(task)
    services.code = 0

    runtime.msg("one too many")

    assert task.doom is None


def test_with_msg_overflow_fail_it_dooms_the_task_even_if_caught(services: StandIn) -> None:
    task = task_of(services, msg_overflow="fail")
    enter_task(task)
    services.code = 0

    with pytest.raises(MessageQuotaExceeded, match=r"10 messages in a second.*'one too many'"):
        runtime.msg("one too many")

    assert isinstance(task.doom, MessageQuotaExceeded)


def test_counters_add_up(services: StandIn) -> None:
    task = task_of(services)
    enter_task(task)
    for n in (1, 5, -2):
        runtime.counter("lines", n)
    runtime.counter("files")

    assert task.counters == {"lines": 4, "files": 1}


@pytest.mark.parametrize(("name", "n"), [("", 1), (5, 1), ("a", 1.5), ("a", "1"), (None, 1)])
def test_a_counter_takes_a_name_and_a_whole_number(services: StandIn, name: Any, n: Any) -> None:
    with pytest.raises(TypeError, match=r"counter\(.*a name, a str, and a whole number"):
        runtime.counter(name, n)


def test_the_name_of_a_counter_may_come_from_a_line_that_was_not_utf_8(services: StandIn) -> None:
    task = task_of(services)
    enter_task(task)
    runtime.counter("caf\udce9")

    assert task.counters == {"caf\\udce9": 1}


@pytest.mark.parametrize("n", [2**63, -(2**64)])
def test_a_counter_too_large_for_redis_is_told_where_it_is_counted(services: StandIn, n: int) -> None:
    with pytest.raises(OverflowError, match="counter 'big'"):
        runtime.counter("big", n)


def test_err_and_data_err(services: StandIn) -> None:
    with pytest.raises(JobFailure, match=r"^17$"):
        runtime.err(17)
    with pytest.raises(DataError) as caught:
        runtime.data_err("truncated", "file:///a")
    assert (str(caught.value), caught.value.url) == ("truncated (file:///a)", "file:///a")
