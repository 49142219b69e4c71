"""``redis://HOST:PORT/DB/list/KEY`` and ``…/stream/KEY``: lists and streams of the cluster's own server.

No other server is read: a task has the rights of its node's login there, and an address is not to say where
that goes. A map is given the elements, of a list as bytes, of a stream as ``(id, fields)``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import msgpack

from disco_rq.errors import JobArgumentError
from disco_rq.inputs.addresses import scheme_of
from disco_rq.model import Identity, Input, MapInput
from disco_rq.redact import redact
from disco_rq.runtime import skip_entry
from disco_rq.store.givenkeys import GivenKey, GivenKeys, Range

__all__ = ["KeysAt", "is_key", "key_tasks", "open_key", "place_of", "read_elements"]

KeysAt = Callable[[str], GivenKeys]
"""The server that an address names. ``ValueError`` if it is none that may be read."""

_SCHEMES = ("redis", "rediss")
_ADDRESS = re.compile(
    r"(?P<scheme>rediss?://)(?:[^/]*@)?(?P<place>[^/@]*)(?P<path>/(?:(?P<db>\d+)/)?(?P<kind>list|stream)/(?P<key>.+))",
    re.DOTALL | re.IGNORECASE,
)
_RANGE_BYTES = 4 << 20
"""A map holds its range. One of its elements may be larger."""
_LEAST_RANGES = 8
"""Few elements may well be much work."""


def is_key(url: str) -> bool:
    """Whether it is the address of a list or stream."""
    return scheme_of(url) in _SCHEMES


def place_of(url: str) -> str:
    """HOST:PORT of its server; empty: the cluster's own, wherever it is. ``ValueError``: it names no key."""
    return _match(url)["place"]


def _match(url: str) -> re.Match[str]:
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise ValueError("the address of a key is redis://HOST:PORT/DB/list/KEY, or …/stream/KEY")
    return match


def _key(match: re.Match[str]) -> GivenKey:
    database = None if match["db"] is None else int(match["db"])
    name = match["key"].encode("utf-8", "surrogateescape")
    return GivenKey(database, "list" if match["kind"].lower() == "list" else "stream", name)


def key_tasks(url: str, keys_at: KeysAt | None, split_size: int | None) -> Iterator[MapInput]:
    """What each map reads of what the key holds now. The login of the address does not travel.

    Raises ``JobArgumentError`` naming the address.
    """
    if keys_at is None:
        raise JobArgumentError(
            f"input {redact(url)}: a list or stream needs a map; this job has a reduce only"
        )
    try:
        match = _match(url)
        key = _key(match)
        ranges = keys_at(url).ranges(key, lambda length, mean: _starts(length, mean, split_size))
    except ValueError as error:
        raise JobArgumentError(f"input {redact(url)}: {redact(str(error))}") from None
    total = sum(one.number for one in ranges)
    address = match["scheme"].lower() + match["place"] + match["path"]
    for one in ranges:
        tag = " ".join((one.digest, *(one.between or ())))
        yield MapInput(((Input(address, one.start, one.number, Identity(total, tag=tag)),),))


def _starts(length: int, mean_bytes: float, split_size: int | None) -> list[int]:
    if split_size is None:
        return [0]
    bytes_each = min(split_size, _RANGE_BYTES)
    number = min(max(int(length * mean_bytes / bytes_each) + 1, _LEAST_RANGES), length)
    return [length * i // number for i in range(number)]


def open_key(inp: Input, keys: GivenKeys) -> tuple[io.BufferedReader[Any], int]:
    """The elements of a range, for ``read_elements``, and their bytes. ``ValueError`` if they are not those
    that were there.
    """
    assert inp.identity is not None
    digest, *between = inp.identity.tag.split(" ")
    wanted = Range(inp.start, inp.length or 0, digest, (between[0], between[1]) if between else None)
    packed = keys.read(_key(_match(inp.url)), wanted, inp.identity.size or 0)
    raw: Any = io.BytesIO(packed)
    return io.BufferedReader(raw), len(packed)


def read_elements(fd: BinaryIO, size: int | None, fname: str) -> Iterator[Any]:  # noqa: ARG001
    """The elements of a list, or of a stream ``(id, fields)``: the id as text, a dict of text and bytes.

    An entry of a stream that has a field twice goes to ``skip_entry``.
    """
    elements = msgpack.unpackb(fd.read())
    return iter(elements) if _match(fname)["kind"].lower() == "list" else _entries(elements)


def _entries(elements: list[tuple[bytes, list[bytes]]]) -> Iterator[tuple[str, dict[str, bytes]]]:
    for id, told in elements:
        fields = dict(
            zip((name.decode("utf-8", "surrogateescape") for name in told[::2]), told[1::2], strict=True)
        )
        entry = id.decode(), fields
        if 2 * len(fields) == len(told):
            yield entry
        else:
            skip_entry(entry, "it has a field twice, and a dict has one")
