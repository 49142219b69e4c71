"""Lists and streams of the cluster's own Redis as inputs, on the cluster and in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from disco_rq import Disco, Job, JobArgumentError, JobError, local, records_input, result_iterator
from disco_rq.func import jsonl_reader
from disco_rq.local.runner import LocalJob
from disco_rq.runtime import this_input, this_offset

Runs = Callable[..., Job | LocalJob]


@pytest.fixture
def server(disco: Disco) -> Iterator[Any]:
    keys: Any = disco.session.connection.redis
    yield keys
    for key in keys.keys("mine:*"):
        keys.delete(key)


@pytest.fixture(params=["cluster", "local"])
def run(request: pytest.FixtureRequest, disco: Disco, monkeypatch: pytest.MonkeyPatch) -> Runs:
    if request.param == "cluster":
        return disco.new_job
    monkeypatch.setenv("DISCO_RQ_REDIS", disco.url)
    return local.run


def pairs(job: Job | LocalJob) -> list[Any]:
    return list(result_iterator(job.wait(timeout=60)))


def as_they_are(entry: Any, params: Any) -> list[tuple[Any, int]]:
    return [(entry, 1)]


def with_place(entry: Any, params: Any) -> list[tuple[Any, Any]]:
    return [(entry, (this_input(), this_offset()))]


ELEMENTS = [b"", b"\0\xff", "ä".encode(), *(b"%d" % i for i in range(3000))]


def test_a_list_is_read_whole_and_in_order(server: Any, run: Runs) -> None:
    server.rpush("mine:list", *ELEMENTS)
    assert [key for key, _ in pairs(run("list", ["redis:///list/mine:list"], map=as_they_are))] == ELEMENTS


def test_a_stream_gives_ids_with_their_fields(server: Any, run: Runs) -> None:
    ids = [server.xadd("mine:stream", {"n": i, b"\xff": b"\0"}).decode() for i in range(100)]
    found = [key for key, _ in pairs(run("stream", ["redis:///stream/mine:stream"], map=as_they_are))]
    assert found == [(id, {"n": b"%d" % i, "\udcff": b"\0"}) for i, id in enumerate(ids)]


def test_several_maps_share_it_out_and_know_where_they_begin(server: Any, run: Runs) -> None:
    server.rpush("mine:list", *range(100))
    url = "redis:///list/mine:list"
    found = pairs(run("share", [url], map=with_place))
    assert {where for _, where in found} == {(url, 100 * i // 8) for i in range(8)}
    assert len(pairs(run("share", [url], map=with_place, split_size=None))) == 100


@pytest.mark.parametrize("push", ["rpush", "lpush"])
def test_what_is_pushed_after_submit_does_not_count(
    server: Any, disco: Disco, tmp_path: Path, push: str
) -> None:
    server.rpush("mine:list", *range(50))
    stream = [server.xadd("mine:stream", {"n": i}) for i in range(50)]
    job = _held(disco, tmp_path / "gate", ["redis:///list/mine:list", "redis:///stream/mine:stream"])
    for i in range(20):
        getattr(server, push)("mine:list", f"late {i}")
        server.xadd("mine:stream", {"late": i})
    (tmp_path / "gate").touch()
    found = [key for key, _ in pairs(job)]
    assert found[:50] == [b"%d" % i for i in range(50)]
    assert [id.encode() for id, _ in found[50:]] == stream


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (
            lambda server: server.ltrim("mine:list", 5, -1),
            "it has become shorter since the job was submitted: 45",
        ),
        (lambda server: server.lpop("mine:list"), "it has become shorter"),
        (lambda server: server.delete("mine:list"), "it is gone; 50 elements were there"),
        (
            lambda server: server.lset("mine:list", 7, "other"),
            "its elements 6 to 11 are not those that were there",
        ),
        (lambda server: server.rpoplpush("mine:list", "mine:list"), "are not those that were there"),
        (lambda server: server.xtrim("mine:stream", maxlen=40, approximate=False), "it was trimmed"),
        (lambda server: server.delete("mine:stream"), "0 are left"),
    ],
)
def test_what_is_gone_or_altered_is_an_error_that_names_the_key(
    server: Any, disco: Disco, tmp_path: Path, harm: Callable[[Any], object], told: str
) -> None:
    server.rpush("mine:list", *range(50))
    for i in range(50):
        server.xadd("mine:stream", {"n": i})
    job = _held(
        disco, tmp_path / "gate", ["redis:///list/mine:list", "redis:///stream/mine:stream"], max_failures=0
    )
    harm(server)
    (tmp_path / "gate").touch()
    with pytest.raises(JobError, match=told) as caught:
        job.wait(60)
    assert "cannot read redis:///" in str(caught.value)


def behind_a_gate(entry: Any, params: Any) -> list[tuple[Any, int]]:
    """The first map ends when the gate is open."""
    if entry != "gate":
        return [(entry, 1)]
    while not Path(params).exists():
        time.sleep(0.005)
    return []


def _held(disco: Disco, gate: Path, inputs: list[str], **arguments: Any) -> Job:
    """A job of which no other map begins before the gate is open."""
    inputs = ["raw://gate", *inputs]
    return disco.new_job(
        "held", inputs, map=behind_a_gate, params=str(gate), scheduler={"max_cores": 1}, **arguments
    )


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://elsewhere.invalid:6379/0/list/k", "no other one is read; redis:///list/KEY"),
        ("redis:///list/none", "there is no such key"),
        ("redis:///stream/none", "there is no such key"),
        ("redis:///list/mine:hash", "it holds something else than a list"),
        ("redis:///stream/mine:hash", "it holds something else than a stream"),
        ("redis:///hash/mine:hash", "the address of a key is redis://HOST:PORT/DB/list/KEY"),
        ("redis:///list/", "the address of a key is"),
    ],
)
def test_what_cannot_be_read_is_refused_at_submit_by_name(
    server: Any, run: Runs, url: str, told: str
) -> None:
    server.hset("mine:hash", "a", 1)
    with pytest.raises(JobArgumentError, match=told) as caught:
        run("refused", [url], map=as_they_are)
    assert f"input {url}: " in str(caught.value)


def test_it_has_no_replicas_and_needs_a_map(server: Any, run: Runs) -> None:
    server.rpush("mine:list", 1)
    with pytest.raises(JobArgumentError, match="has no replicas"):
        run("replicas", [["redis:///list/mine:list", "raw://x"]], map=as_they_are)
    with pytest.raises(JobArgumentError, match="needs a map"):
        run("merge", ["redis:///list/mine:list"], reduce=lambda pairs, params: pairs)


def test_another_database_of_the_server_can_be_named(server: Any, disco: Disco, run: Runs) -> None:
    with redis.Redis.from_url(disco.url, db=3) as other:
        other.rpush("mine:list", "of 3")
        try:
            assert pairs(run("db", ["redis:///3/list/mine:list"], map=as_they_are)) == [(b"of 3", 1)]
        finally:
            other.delete("mine:list")


def test_a_field_that_comes_twice_is_a_bad_entry(server: Any, run: Runs) -> None:
    server.execute_command("XADD", "mine:stream", "1-1", "a", "1", "a", "2")
    server.xadd("mine:stream", {"a": 3}, id="2-1")
    job = run("twice", ["redis:///stream/mine:stream"], map=as_they_are, max_bad=1)
    assert pairs(job) == [(("2-1", {"a": b"3"}), 1)]
    assert [entry.error for entry in job.bad_entries()] == ["it has a field twice, and a dict has one"]


def test_map_init_meets_the_elements_too(server: Any, run: Runs) -> None:
    def init(entries: Iterator[bytes], params: dict[str, Any]) -> None:
        params["first"] = next(entries)

    server.rpush("mine:list", *"abc")
    job = run(
        "init", ["redis:///list/mine:list"], map=lambda e, p: [(p["first"], e)], map_init=init, params={},
        split_size=None,
    )  # fmt: skip
    assert pairs(job) == [(b"a", b"b"), (b"a", b"c")]


@pytest.mark.parametrize("inputs", [records_input([1]), ["redis:///list/mine:list"], [records_input([1])]])
def test_a_reader_that_would_read_nothing_is_refused(server: Any, run: Runs, inputs: Any) -> None:
    server.rpush("mine:list", 1)
    with pytest.raises(JobArgumentError, match="none of its inputs is a file"):
        run("unread", inputs, map=as_they_are, map_reader=jsonl_reader())


def test_a_reader_reads_the_files_beside_records(server: Any, run: Runs) -> None:
    server.rpush("mine:list", 1)
    inputs = ["raw://[2]", records_input([3]), "redis:///list/mine:list"]
    job = run("mixed", inputs, map=lambda e, p: [(str(e), 1)], map_reader=jsonl_reader())
    assert pairs(job) == [("[2]", 1), ("3", 1), ("b'1'", 1)]
