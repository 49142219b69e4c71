"""Lists and streams that other programs keep on the cluster's server, as the inputs of jobs.

What one holds when a job is submitted is what its maps read. It is read once then, for a digest of each
range: so what is pushed later does not count, at whichever end; what was trimmed, popped or altered is told.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Literal, NamedTuple

import msgpack
from redis.exceptions import ResponseError, WatchError
from xxhash import xxh3_128, xxh3_128_hexdigest

from disco_rq.store.address import shown_address, with_database
from disco_rq.store.connection import Connection

__all__ = ["GivenKey", "GivenKeys", "Range"]

_SAMPLE = 100
"""So many elements tell how large the others may be."""
_QUIET_TRIES = 3
"""So often a list is read range by range, in the hope that nobody pushes meanwhile; then all at once."""

Kind = Literal["list", "stream"]
Split = Callable[[int, float], Sequence[int]]
"""Where ranges begin, of so many elements of about so many bytes each."""


class GivenKey(NamedTuple):
    """A list or a stream."""

    database: int | None  # None: that of the cluster
    kind: Kind
    name: bytes


class Range(NamedTuple):
    """Some elements of it, as they were when the job was submitted."""

    start: int  # number of the first one, counted from 0
    number: int
    digest: str
    between: tuple[str, str] | None = None  # the first and the last id, of a stream


class GivenKeys:
    """Those of one server. Methods raise ``ValueError`` that says why there is nothing to read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def check_own(self, place: str) -> None:
        """``place``: HOST:PORT of an address; empty stands for the cluster's server, wherever it is."""
        if place and not any(_same_place(place, own) for own in self._places()):
            raise ValueError(
                f"the server of this cluster is {shown_address(self._connection.url)}, and no other one is "
                "read; redis:///list/KEY or redis:///stream/KEY is a key of the cluster's own"
            )

    def ranges(self, key: GivenKey, split: Split) -> list[Range]:
        """All that it holds now, in ranges."""
        connection = self._connection_to(key.database)
        try:
            return (
                _list_ranges(connection, key.name, split)
                if key.kind == "list"
                else list(_stream_ranges(connection, key.name, split))
            )
        except ResponseError as error:
            raise _refused(key, error) from None
        finally:
            self._close(connection)

    def read(self, key: GivenKey, wanted: Range, total: int) -> bytes:
        """The elements of a range, packed for ``elements_of``; ``total``: of all that there were."""
        connection = self._connection_to(key.database)
        try:
            if wanted.between is not None:
                return _read_stream(connection, key.name, wanted)
            return _read_list(connection, key.name, wanted, total)
        except ResponseError as error:
            raise _refused(key, error) from None
        finally:
            self._close(connection)

    def _connection_to(self, database: int | None) -> Connection:
        own = self._connection.redis.connection_pool.connection_kwargs.get("db") or 0
        if database in (None, own):
            return self._connection
        return Connection(with_database(self._connection.url, int(database or 0)))

    def _close(self, connection: Connection) -> None:
        if connection is not self._connection:
            connection.close()

    def _places(self) -> list[tuple[str, int]]:
        """Where the server is, as its address says, or as the sentinels do; nowhere, behind a unix socket."""
        pool: Any = self._connection.redis.connection_pool
        if hasattr(pool, "get_master_address"):
            return [pool.get_master_address()]
        if "path" in pool.connection_kwargs:
            return []
        return [(pool.connection_kwargs.get("host", "localhost"), pool.connection_kwargs.get("port", 6379))]


def _same_place(place: str, own: tuple[str, int]) -> bool:
    host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
    if not colon:
        host, port = place, "6379"
    host = host.strip("[]").lower()
    if port != str(own[1]):
        return False
    return host == own[0].lower() or not _addresses(host).isdisjoint(_addresses(own[0]))


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _refused(key: GivenKey, error: ResponseError) -> ValueError:
    if "WRONGTYPE" in str(error):
        return ValueError(f"it holds something else than a {key.kind}")
    return ValueError(f"Redis refuses it: {error}")


def _packed(elements: Any) -> bytes:
    return bytes(msgpack.packb(elements))


def _range(start: int, elements: Sequence[Any], *, is_stream: bool = False) -> Range:
    between = (elements[0][0].decode(), elements[-1][0].decode()) if is_stream else None
    return Range(start, len(elements), xxh3_128_hexdigest(_packed(elements)), between)


def _mean_bytes(sample: Sequence[Any]) -> float:
    return sum(len(_packed(element)) for element in sample) / max(len(sample), 1)


# -- lists


def _list_ranges(connection: Connection, name: bytes, split: Split) -> list[Range]:
    for _ in range(_QUIET_TRIES):
        with connection.redis.pipeline(transaction=True) as pipe:
            try:
                return _ranges_one_by_one(pipe, name, split)
            except WatchError:
                continue
    return _ranges_at_once(connection.redis, name, split)


def _starts(pipe: Any, name: bytes, split: Split) -> list[int]:
    """Where its ranges begin, and its end."""
    length = pipe.llen(name)
    if not length:
        raise ValueError("there is no such key")
    return [*split(length, _mean_bytes(pipe.lrange(name, 0, _SAMPLE - 1))), length]


def _ranges_one_by_one(pipe: Any, name: bytes, split: Split) -> list[Range]:
    """``WatchError`` if it has changed meanwhile."""
    pipe.watch(name)
    starts = _starts(pipe, name, split)
    found = [_range(start, pipe.lrange(name, start, stop - 1)) for start, stop in pairwise(starts)]
    pipe.multi()
    pipe.exists(name)
    pipe.execute()
    return found


def _ranges_at_once(redis: Any, name: bytes, split: Split) -> list[Range]:
    """In one transaction; all of it is held here for that."""
    *starts, _ = _starts(redis, name, split)
    pipe = redis.pipeline(transaction=True)
    for start, stop in pairwise([*starts, 0]):
        pipe.lrange(name, start, stop - 1)  # the last one to the end, wherever that is now
    found = [_range(start, some) for start, some in zip(starts, pipe.execute(), strict=True) if some]
    if not found:
        raise ValueError("there is no such key")
    return found


def _read_list(connection: Connection, name: bytes, wanted: Range, total: int) -> bytes:
    """Counted from the head, and where that has grown from the tail; where both have, anywhere between."""
    first, last = wanted.start, wanted.start + wanted.number - 1
    pipe: Any = connection.redis.pipeline(transaction=True)
    for low, high in ((first, last), (first - total, last - total)):
        pipe.llen(name)
        pipe.lrange(name, low, high)
        length, elements = pipe.execute()
        packed = _packed(elements)
        if xxh3_128_hexdigest(packed) == wanted.digest:
            return packed
        if length <= total:
            break
    else:
        between = connection.redis.lrange(name, first, last - total)
        if (found := _found_in(between, wanted)) is not None:
            return found
    if not length:
        raise ValueError(f"it is gone; {total} elements were there when the job was submitted")
    if length < total:
        raise ValueError(
            f"it has become shorter since the job was submitted: {length} elements, and {total} were there"
        )
    raise ValueError(
        f"its elements {first} to {last} are not those that were there when the job was submitted: "
        "it was trimmed, or some were taken out or overwritten"
    )


def _found_in(elements: Sequence[Any], wanted: Range) -> bytes | None:
    """The elements of the range, packed, wherever among these they are."""
    packed = list(map(_packed, elements))
    ends = list(accumulate(map(len, packed), initial=0))
    together, head = memoryview(b"".join(packed)), msgpack.Packer().pack_array_header(wanted.number)
    for begin, end in zip(ends, ends[wanted.number :], strict=False):
        digest = xxh3_128(head)
        digest.update(together[begin:end])
        if digest.hexdigest() == wanted.digest:
            return bytes(head) + together[begin:end]
    return None


# -- streams


def _stream_ranges(connection: Connection, name: bytes, split: Split) -> Iterator[Range]:
    length = connection.read("XLEN", name)
    newest = connection.read("XREVRANGE", name, "+", "-", "COUNT", 1)
    if not newest:
        if not connection.redis.exists(name):
            raise ValueError("there is no such key")
        return
    last = newest[0][0]
    sample = connection.read("XRANGE", name, "-", last, "COUNT", _SAMPLE)
    starts = split(max(length, 1), _mean_bytes(sample))
    sizes = [stop - start for start, stop in pairwise([*starts, max(length, 1)])]
    number, after, start = 0, b"-", 0
    while True:
        size = sizes[min(number, len(sizes) - 1)]
        some = connection.read("XRANGE", name, after, last, "COUNT", size)
        if not some:
            return
        yield _range(start, some, is_stream=True)
        number, start, after = number + 1, start + len(some), b"(" + some[-1][0]


def _read_stream(connection: Connection, name: bytes, wanted: Range) -> bytes:
    first, last = wanted.between or ("-", "+")
    elements = connection.read("XRANGE", name, first, last)
    packed = _packed(elements)
    if xxh3_128_hexdigest(packed) != wanted.digest:
        raise ValueError(
            f"of the {wanted.number} entries from {first} to {last} that were there when the job was "
            f"submitted, {min(len(elements), wanted.number)} are left: it was trimmed, or made anew, or some "
            "were deleted"
        )
    return packed
