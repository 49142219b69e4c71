"""Lists and streams as inputs: read in ranges that fit together, whatever is pushed while they are."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence

import msgpack
import pytest

from disco_rq.store import givenkeys
from disco_rq.store.address import with_database
from disco_rq.store.connection import Connection
from disco_rq.store.givenkeys import GivenKey, GivenKeys
from tests.services import TcpServer

LIST, STREAM = GivenKey(None, "list", b"l"), GivenKey(None, "stream", b"s")


def tens(length: int, mean_bytes: float) -> Sequence[int]:
    return range(0, length, 10)


def read(keys: GivenKeys, key: GivenKey, split: Callable[[int, float], Sequence[int]] = tens) -> list[object]:
    ranges = keys.ranges(key, split)
    total = sum(one.number for one in ranges)
    return [element for one in ranges for element in msgpack.unpackb(keys.read(key, one, total))]


@pytest.mark.parametrize("quiet_tries", [3, 0])
@pytest.mark.parametrize("push", ["rpush", "lpush", "rotate"])
def test_a_list_that_is_pushed_to_all_the_time_is_read_as_it_was_at_one_moment(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, push: str, quiet_tries: int
) -> None:
    monkeypatch.setattr(givenkeys, "_QUIET_TRIES", quiet_tries)
    connection.redis.rpush("l", *range(1000))
    stop, pushed = threading.Event(), itertools.count(1)

    def others() -> None:
        with Connection(connection.url).redis as other:
            while not stop.is_set():
                if push == "rotate":
                    other.rpoplpush("l", "l")
                else:
                    getattr(other, push)("l", f"late {next(pushed)}")

    thread = threading.Thread(target=others)
    thread.start()
    try:
        for _ in range(20):
            ranges = GivenKeys(connection).ranges(LIST, lambda n, _: range(0, n, 400))
            ends = [one.start + one.number for one in ranges]
            assert [one.start for one in ranges] == [0, *ends[:-1]]
            if push != "rotate":
                found = [int(e) for e in _elements(connection, ranges, ends[-1]) if not e.startswith(b"late")]
                assert found == list(range(1000))
            else:
                assert ends[-1] == 1000
    finally:
        stop.set()
        thread.join()


def _elements(connection: Connection, ranges: Sequence[givenkeys.Range], total: int) -> list[bytes]:
    keys = GivenKeys(connection)
    return [e for one in ranges for e in msgpack.unpackb(keys.read(LIST, one, total))]


@pytest.mark.parametrize("size", [1, 9, 10, 11, 1000])
def test_all_of_it_is_in_the_ranges_once(connection: Connection, size: int) -> None:
    connection.redis.rpush("l", *range(size))
    ids = [connection.redis.xadd("s", {"n": i}) for i in range(size)]
    keys = GivenKeys(connection)
    assert read(keys, LIST) == [b"%d" % i for i in range(size)]
    assert read(keys, STREAM) == [[id, [b"n", b"%d" % i]] for i, id in enumerate(ids)]
    assert read(keys, STREAM, lambda length, _: [0]) == read(keys, STREAM)


def test_equal_elements_at_both_ends_are_told_apart_by_what_lies_between(connection: Connection) -> None:
    before = [*"aaaa", "x", *"aaaa"]
    connection.redis.rpush("l", *before)
    keys = GivenKeys(connection)
    ranges = keys.ranges(LIST, lambda *_: [0, 3, 6])
    connection.redis.lpush("l", "a")
    found = [e for one in ranges for e in msgpack.unpackb(keys.read(LIST, one, 9))]
    assert found == [letter.encode() for letter in before]


@pytest.mark.parametrize("size", [1, 15, 16, 100])
@pytest.mark.parametrize(("before", "behind"), [(0, 3), (3, 0), (2, 5), (30, 1), (1, 30)])
def test_what_is_pushed_later_does_not_count_at_both_ends_either(
    connection: Connection, size: int, before: int, behind: int
) -> None:
    connection.redis.rpush("l", *range(size))
    keys = GivenKeys(connection)
    ranges = keys.ranges(LIST, tens)
    for _ in range(before):
        connection.redis.lpush("l", "0")
    for _ in range(behind):
        connection.redis.rpush("l", size - 1)
    assert _elements(connection, ranges, size) == [b"%d" % i for i in range(size)]
    connection.redis.lrem("l", 0, str(size // 2))
    with pytest.raises(ValueError, match=r"trimmed, or some were taken out|shorter|gone"):
        _elements(connection, ranges, size)


def test_a_stream_that_was_emptied_has_no_ranges(connection: Connection) -> None:
    connection.redis.xadd("s", {"a": 1})
    connection.redis.xtrim("s", maxlen=0, approximate=False)
    assert GivenKeys(connection).ranges(STREAM, tens) == []


def test_a_deleted_entry_of_a_stream_is_told(connection: Connection) -> None:
    ids = [connection.redis.xadd("s", {"n": i}) for i in range(10)]
    keys = GivenKeys(connection)
    [whole] = keys.ranges(STREAM, tens)
    connection.redis.xdel("s", ids[4])
    with pytest.raises(ValueError, match=r"of the 10 entries from .* 9 are left"):
        keys.read(STREAM, whole, 10)


def test_the_server_of_the_cluster_is_known_by_all_its_names(short_dir: object) -> None:
    with TcpServer(short_dir) as server:  # type: ignore[arg-type]
        connection = Connection(server.url())
        keys = GivenKeys(connection)
        port = server.url().rpartition(":")[2].partition("/")[0]
        for place in ("", f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
            keys.check_own(place)
        for place in (
            "127.0.0.1",
            f"127.0.0.2:{port}",
            "127.0.0.1:1",
            f"[::2]:{port}",
            f"no.such.invalid:{port}",
        ):
            with pytest.raises(ValueError, match="no other one is read"):
                keys.check_own(place)
        connection.close()


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("redis://h:1/0", "redis://h:1/7"),
        ("redis://h:1", "redis://h:1/7"),
        ("rediss://u:p@h:1/2?ssl_cert_reqs=none&db=3", "rediss://u:p@h:1/7?ssl_cert_reqs=none"),
        ("redis://h:1/0?db=3", "redis://h:1/7"),
        ("unix:///a/b.sock", "unix:///a/b.sock?db=7"),
        ("unix:///a/b.sock?db=1&password=p", "unix:///a/b.sock?password=p&db=7"),
        ("redis+sentinel://a:1,b:2/service/3?x=y", "redis+sentinel://a:1,b:2/service/7?x=y"),
        ("redis+sentinel://a:1/service", "redis+sentinel://a:1/service/7"),
    ],
)
def test_another_database_of_the_same_server(url: str, other: str) -> None:
    assert with_database(url, 7) == other
